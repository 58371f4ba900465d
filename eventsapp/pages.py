"""Papers, please: who may look at a page, and who may change something on it."""

from datetime import timedelta
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from eventsapp.models import Membership, Role


def staff_page(role: str = Role.VIEWER, post: str | None = None):
    """Make `view(request, workspace, …)` a page for members of the workspace whose `app_id` the URL names.

    Whoever is no member gets a 404, as if there were nothing; a member without `role` (`post`: to change something)
    gets a 403 that says who may. Sets `request.workspace` and `request.membership`.
    """

    def decorate(view):
        @wraps(view)
        def page(request, app_id, **kwargs):
            if not request.user.is_authenticated:
                return _to_login(request)
            membership = recognise(request, app_id)
            if membership is None:
                raise Http404
            needed = post if post and request.method == "POST" else role
            if not membership.may(needed):
                raise PermissionDenied(f"This needs the role {Role(needed).label}. Ask an admin of the workspace.")
            _note_use(membership)
            return view(request, membership.workspace, **kwargs)

        return page

    return decorate


def recognise(request, app_id: str) -> Membership | None:
    """Return the membership of whoever asks in this workspace, and note it on the request, if there is one."""
    own = Membership.objects.select_related("workspace").filter(user=request.user, workspace__app_id=app_id)
    if membership := own.first():
        request.membership, request.workspace = membership, membership.workspace
    return membership


def came_from(request, default: str) -> str:
    """The page of ours that led here, with its query, which is the state of a filter; else `default`."""
    page = request.META.get("HTTP_REFERER", "")
    is_ours = url_has_allowed_host_and_scheme(page, allowed_hosts={request.get_host()})
    path = page.partition(request.get_host())[2]
    return path if is_ours and path.startswith("/app/") else default


def _to_login(request) -> HttpResponse:
    response = redirect_to_login(request.htmx.current_url_abs_path or "/" if request.htmx else request.get_full_path())
    # htmx would put the login page into the middle of the old one.
    return HttpResponseClientRedirect(response.url) if request.htmx else response


def _note_use(membership: Membership):
    """Remember the workspace to which `/` leads: to the minute, so that looking writes next to nothing."""
    now = timezone.now()
    if now - membership.last_used_at > timedelta(minutes=1):
        Membership.objects.filter(pk=membership.pk).update(last_used_at=now)
