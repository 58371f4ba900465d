"""What the library in a customer's pages asks: itself, a session, and to keep events.

Pages of any origin may ask, since nothing here goes by cookies. Bodies are JSON sent as text, so that no browser asks
for permission first, and a page that is being left can still send one.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, wraps
from ipaddress import ip_network
from types import SimpleNamespace

import msgspec
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from eventsapp.browser import boot, on_boot, session_in, track, workspaces
from eventsapp.errors import Fault, Refused, invalid
from eventsapp.limits import spend
from eventsapp.middleware import client_address
from eventsapp.models import Workspace, now_in_seconds
from eventsapp.request_log import NOTE
from eventsapp.transport import decode, error_response

logger = logging.getLogger(__name__)

BODY = 1_000_000  # bytes
MOST_EVENTS = 1_000  # in one request
FRESH = "public, max-age=300, stale-while-revalidate=86400"  # of the library at the address that pages have
FOREVER = "public, max-age=31536000, immutable"  # of one version of it


OPEN_TO_ALL = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


# What answers by its WSGI environment alone, before Django has seen it: each returns (status, headers, body), or None
# for what is not its own. Upper apps add theirs.
quick_answers: list[Callable[[dict], tuple[int, dict[str, str], bytes] | None]] = []


def browser_path(route: str, view, name: str | None = None):
    """Return the URL pattern of something that browsers ask for, kept off what only pages and the API need."""
    function = csrf_exempt(_open_to_all(view))
    function.is_api, function.body_limit = True, BODY
    return re_path(rf"^widget/(?P<app_id>[-\w]+){route}$", function, name=name)


def _open_to_all(view):
    @wraps(view)
    def answer(request, app_id):
        if request.method == "OPTIONS":
            response = HttpResponse(status=204)
            response["Access-Control-Allow-Methods"] = "GET, POST"
            response["Access-Control-Allow-Headers"] = "Content-Type"
        else:
            try:
                response = view(request, workspaces.get(app_id))
            except Refused as refused:
                response = error_response(*refused.faults, request=request, status=refused.status)
            except (OperationalError, InterfaceError):
                logger.exception("request %s found no database", request.request_id)
                fault = Fault("service_unavailable", "The database could not take this just now. Send it again.")
                response = error_response(fault, request=request, status=503)
        for name, value in OPEN_TO_ALL.items():
            response[name] = value
        return response

    return answer


def answered(body) -> HttpResponse:
    """JSON, kept by nobody."""
    return HttpResponse(
        msgspec.json.encode(body), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def said_by(request, workspace: Workspace) -> dict:
    """Return the JSON object that a browser posted, and count it. Raises Refused."""
    if request.method != "POST":
        raise Refused(Fault("not_found", f"{request.method} is not possible here. Try POST."), status=405)
    # From here on staff see it among their requests.
    request.token = SimpleNamespace(workspace=workspace, workspace_id=workspace.pk, name="Browser")
    count(request, workspace, 1)
    if request.too_large:
        raise Refused(invalid("body", f"The body is larger than {BODY // 10**6} MB. Send fewer events."), status=413)
    said = decode(request.body)
    if not isinstance(said, dict):
        raise Refused(invalid("body", "Write a JSON object."))
    return said


def count(request, workspace: Workspace, items: int):
    """Count what comes from one address against the workspace's limit. Raises Refused (429)."""
    who = hashlib.blake2b(f"{workspace.pk} {_network(client_address(request))}".encode(), digest_size=8).hexdigest()
    allowance = spend(who, workspace.rate_limit, items)
    if allowance.is_exceeded:
        raise Refused(Fault("rate_limit_exceeded", "Too much from one address. Try again soon."), status=429)


def _network(address: str) -> str:
    """The address, and of IPv6 the part that somebody cannot choose."""
    try:
        return str(ip_network((address, 64), strict=False)) if ":" in address else address
    except ValueError:
        return address


@lru_cache(maxsize=1)
def _library_on_disk() -> tuple[bytes, str]:
    with open(finders.find("widget/widget.js"), "rb") as file:
        source = file.read()
    return source, hashlib.sha256(source).hexdigest()[:12]


def library() -> tuple[bytes, str]:
    """Return the JavaScript of the library, and its version."""
    if settings.DEBUG:
        _library_on_disk.cache_clear()
    return _library_on_disk()


def widget(request, workspace):
    """The library itself, for a <script>."""
    source, version = library()
    etag = f'"{version}"'
    headers = {"ETag": etag, "Cache-Control": FOREVER if request.GET.get("v") == version else FRESH}
    if request.headers.get("If-None-Match", "").removeprefix("W/") == etag:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(source, content_type="text/javascript; charset=utf-8", headers=headers)


def boot_browser(request, workspace):
    """A page says who its user is; it is told its session."""
    found = boot(workspace, said_by(request, workspace))
    session = found.session
    told = {
        "session_token": session.token(),
        "mailbox_token": session.token("mailbox"),
        "kind": session.kind,
        "visitor_id": session.visitor,
        "merged": found.was_merged,
        "now": now_in_seconds(),
        "ignored": found.ignored,
    }
    if found.notes:
        request.notes = [f"Not taken: {'; '.join(found.notes)}"[:NOTE]]
    for more in on_boot:
        told |= more(workspace)
    return answered(told)


def keep_events(request, workspace):
    """Store what happened in a page. Each item that is refused is told, by its place; the others are stored."""
    said = said_by(request, workspace)
    items = said.get("events", [])
    if not isinstance(items, list) or len(items) > MOST_EVENTS:
        raise Refused(invalid("events", f"events must be a list of at most {MOST_EVENTS:,}."))
    count(request, workspace, len(items))
    session, ends = track(workspace, session_in(workspace, said.get("session_token")), items)
    refused = {}
    for place, end in enumerate(ends):
        faults = end if isinstance(end, list) else [end.fault] if end.fault else []
        if faults:
            refused[str(place)] = [fault.as_json() for fault in faults]
    request.notes = _notes(said.get("lost"), refused)
    return answered({"session_token": session.token(), "stored": len(ends) - len(refused), "refused": refused})


def _notes(lost, refused: dict) -> list[str]:
    """What staff should know of a request that was answered with 200."""
    notes = []
    if isinstance(lost, int) and lost > 0:
        notes.append(f"{lost:,} events were not taken in the browser: too many waited there to be sent.")
    told = Counter(faults[0]["message"] for faults in refused.values())
    return notes + [f"{number} refused: {message}"[:NOTE] for message, number in told.most_common(3)]


urlpatterns = [
    browser_path("", widget, name="widget"),
    browser_path("/boot", boot_browser),
    browser_path("/events", keep_events),
]
