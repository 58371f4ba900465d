"""Pages: the way in, values as all pages show them, and what is said when something is wrong."""

import re
from dataclasses import dataclass

from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponseServerError
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from eventsapp.days import day_of
from eventsapp.errors import Fault
from eventsapp.forms import LoginForm, NewColleagueForm
from eventsapp.metadata import kind_of, shown
from eventsapp.middleware import is_page
from eventsapp.models import Invitation, Membership
from eventsapp.pages import recognise
from eventsapp.transport import error_response

OF_WORKSPACE = re.compile(r"/app/(?P<app_id>[-\w]+)/")


# The way in ----------------------------------------------------------------------------------------------------------


class Login(LoginView):
    form_class = LoginForm
    redirect_authenticated_user = True


@login_required
def home(request):
    """Lead to the workspace that was used last."""
    return last_used(request)


@login_required
def last_used(request, section=None):
    """Lead `/app/people/` and the like to the same page of the workspace that was used last."""
    membership = (
        Membership.objects.filter(user=request.user).select_related("workspace").order_by("-last_used_at").first()
    )
    if membership is None:
        return render(request, "eventsapp/no_workspace.html", status=404 if section else 200)
    query = request.META["QUERY_STRING"]
    target = reverse(section or "dashboard", args=[membership.workspace.app_id])
    return redirect(f"{target}?{query}" if query else target)


def invitation(request, secret):
    """Show who invites into what; on POST the bearer becomes a member, and the link is used up."""
    offer = Invitation.open(secret).select_related("workspace", "invited_by").first()
    if offer is None:
        return render(request, "eventsapp/invitation_gone.html", status=404)
    form = None if request.user.is_authenticated else NewColleagueForm(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        with transaction.atomic():
            # Deleting is the claim: of two who open the link at once, one finds it used up.
            if not Invitation.open(secret).delete()[0]:
                return render(request, "eventsapp/invitation_gone.html", status=404)
            user = request.user if form is None else _new_user(form)
            Membership.objects.get_or_create(user=user, workspace=offer.workspace, defaults={"role": offer.role})
        if form is not None:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("dashboard", offer.workspace.app_id)
    status = 422 if form is not None and form.errors else 200
    return render(request, "eventsapp/invitation.html", {"offer": offer, "form": form}, status=status)


def _new_user(form):
    email = form.cleaned_data["email"]
    return get_user_model().objects.create_user(username=email, email=email, password=form.cleaned_data["password"])


# Values --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chip:
    """One value of metadata as it is shown. `filter` ({key, op, value}) is what a filter by it says, if one can."""

    key: str
    text: str
    kind: str
    href: str | None = None
    filter: dict | None = None


def chips(values: dict, zone, *, date_suffix="_date") -> list[Chip]:
    """Return the values of metadata, or of custom attributes, as chips."""
    found = []
    for key, value in values.items():
        kind = kind_of(key, value, date_suffix=date_suffix)
        href = value if kind == "link" else value["url"] if kind == "rich_link" else None
        safe = href if href and href.lower().startswith(("http://", "https://")) else None
        found.append(Chip(key, shown(kind, value, zone), kind, safe, _filter_by(key, kind, value, zone)))
    return found


def _filter_by(key, kind, value, zone) -> dict | None:
    """The test of a filter for people with this very value."""
    match kind:
        case "text" | "link" | "stripe" if value.strip():
            return {"key": key, "op": "is", "value": value}
        case "rich_link" if isinstance(value["value"], str) and value["value"].strip():
            return {"key": key, "op": "is", "value": value["value"]}
        case "number" | "money":
            return {"key": key, "op": "eq", "value": value}
        case "boolean":
            return {"key": key, "op": "is_true" if value else "is_false"}
        case "date":
            return {"key": key, "op": "on", "value": day_of(value, zone).isoformat()}
    return None


# When something is wrong ----------------------------------------------------------------------------------------------


def not_found(request, exception):
    """404, for people as a page and for programs as an `error.list`."""
    if not is_page(request.path):
        return error_response(Fault("not_found", "Resource Not Found"), request=request, status=404)
    return _told(request, "404.html", status=404)


def forbidden(request, exception=None):
    reason = str(exception) if isinstance(exception, PermissionDenied) and str(exception) else ""
    return _told(request, "403.html", status=403, reason=reason)


def csrf_failure(request, reason=""):
    """The form is older than its login, or came from elsewhere. Leads back to the page it stood on."""
    page = request.META.get("HTTP_REFERER", "")
    own = url_has_allowed_host_and_scheme(page, allowed_hosts={request.get_host()})
    return _told(request, "expired.html", status=403, page=page if own else None)


def _told(request, template: str, *, status: int, **context):
    """A page that says what is wrong, for members with the side bar of the workspace in whose address it stands."""
    user = getattr(request, "user", None)
    if user and user.is_authenticated and (place := OF_WORKSPACE.match(request.path)):
        recognise(request, place["app_id"])
    frame = "base.html" if hasattr(request, "membership") else "outside.html"
    return render(request, template, context | {"frame": frame}, status=status)


def server_error(request):
    """500. Asks nothing of the database nor of the session, which may be what is broken."""
    if not is_page(request.path):
        message = "Something broke here. The request_id finds it in the log."
        return error_response(Fault("server_error", message), request=request, status=500)
    return HttpResponseServerError(render_to_string("500.html", {"request_id": request.request_id}))
