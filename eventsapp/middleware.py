"""What wraps every request."""

import uuid
from functools import lru_cache
from random import getrandbits

from django.conf import settings
from django.http import HttpResponseBadRequest
from django.urls import ResolverMatch, resolve
from django.urls.exceptions import Resolver404

from eventsapp import request_log
from eventsapp.errors import invalid

PAGES = (
    "/app/",
    "/admin/",
    "/login/",
    "/logout/",
    "/invite/",
    "/u/",
    "/docs/",
    "/demo-shop/",
    f"/{settings.STATIC_URL.strip('/')}/",
)


def is_page(path: str) -> bool:
    """Whether people, rather than programs, look at `path`."""
    return path == "/" or f"{path}/".startswith(PAGES)


def client_address(request) -> str:
    """Return the address that a request came from, which too many wrong passwords lock out.

    What stands before the last entry of X-Forwarded-For was written by the client itself.
    """
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.TRUST_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


class RequestId:
    """Gives each request an id, which stands in errors, in `X-Request-Id` and in the log."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        # Unique is enough, and asking the system for secret bits costs more than all the rest here.
        request.request_id = str(uuid.UUID(int=getrandbits(128), version=4))
        # No database takes it, and no honest address holds it.
        refused = "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path
        response = _refuse_nul(request) if refused else self.get_response(request)
        response["X-Request-Id"] = request.request_id
        if response.status_code >= 500 or not is_page(request.path):
            request_log.remember(request, response)
        return response


class StraightToApi:
    """Answers the API without what only pages need: sessions, CSRF, content policies and their cost."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if is_page(request.path):
            return self.get_response(request)
        match = _api_match(request.path_info)
        if match is None:
            return self.get_response(request)
        request.resolver_match = match
        _read_body(request, match.func.body_limit)
        response = match.func(request, *match.args, **match.kwargs)
        return response.render() if hasattr(response, "render") and not response.is_rendered else response


@lru_cache(maxsize=1024)
def _api_match(path: str) -> ResolverMatch | None:
    """Return what answers `path`, if that is of the API. Remembered, since most requests have the same few paths."""
    try:
        match = resolve(path)
    except Resolver404:
        return None
    return match if getattr(match.func, "is_api", False) else None


def _refuse_nul(request):
    if is_page(request.path):
        return HttpResponseBadRequest("The address holds a NUL character.", content_type="text/plain")
    from eventsapp.transport import error_response

    return error_response(
        invalid("query", "The address holds a NUL character. Leave it out."), request=request, status=400
    )


DRAINED = 30_000_000  # bytes of a body too large that are read nevertheless


def _read_body(request, limit: int):
    """Take in a body of up to `limit` bytes, with a length or in chunks: Django takes one in chunks for an empty one.

    Of a larger one nothing is kept; whoever asks for it is told so (`too_large`).
    """
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not length:
        length = DRAINED
    stream = request.environ["wsgi.input"]
    body = stream.read(min(length, limit + 1))
    request.too_large = len(body) > limit
    if request.too_large:
        # Who is answered while still sending sees a broken connection instead of the answer.
        left = min(length, DRAINED) - len(body)
        while left > 0 and (chunk := stream.read(min(left, 65_536))):
            left -= len(chunk)
    request._body = b"" if request.too_large else body
    request.META["CONTENT_LENGTH"] = str(length if request.too_large else len(body))
