"""How the API travels: JSON in whatever is sent, JSON out whatever is asked for, `error.list` for every fault.

Intercom's SDKs send `Accept` headers that stock negotiation answers with 406, and some read an error body of any other
shape as a success.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import msgspec
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventsapp.auth import HasScope, TokenAuthentication
from eventsapp.errors import Fault, Merged, Refused, faults_in, invalid
from eventsapp.limits import Allowance, spend

logger = logging.getLogger(__name__)


def decode(body: bytes):
    """Return the JSON value in `body`. Raises Refused with a sentence that says where it breaks."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(invalid("body", f"The body is not JSON: {error}.")) from error
    except RecursionError as error:
        raise Refused(invalid("body", "The JSON is nested too deeply.")) from error


def body_of(request) -> bytes:
    """Return the bytes of a DRF request's body. Raises Refused (413) when they were too many."""
    view = request.parser_context["view"]
    if request._request.too_large:
        message = f"The body is larger than {view.body_limit // 10**6} MB. Send fewer or smaller items."
        raise Refused(invalid("body", message), status=413)
    return request._request.body


def number_in(asked, name: str, default: int, *, most: int) -> int:
    """Return a whole number of the query, from 1 to `most`. Raises Refused."""
    text = asked.get(name)
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise Refused(invalid(name, f"{name} must be a whole number from 1 to {most}."))
    return int(text)


def truth_in(asked, name: str) -> bool:
    """Return whether the query says true; absent is false. Raises Refused for any other word."""
    text = asked.get(name, "false").lower()  # python-intercom 3 says True
    if text not in ("true", "false"):
        raise Refused(invalid(name, f"{name} must be true or false."))
    return text == "true"


# What the SDKs of 1.x say of themselves; the version that they mean they send only when they are told to.
SDKS_OF_1_X = ("python-intercom/3.", "intercom-node-client/2.", "intercom-java/2.")


def speaks_1_x(request) -> bool:
    """Whether a request means Intercom's API 1.x, by its Intercom-Version or else by the SDK that sent it."""
    version = request.META.get("HTTP_INTERCOM_VERSION")
    return version.startswith("1.") if version else request.META.get("HTTP_USER_AGENT", "").startswith(SDKS_OF_1_X)


class Json(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else msgspec.json.encode(data)


class AlwaysJson(BaseContentNegotiation):
    """Any Accept header is fine."""

    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A view of the API. Says in `scopes` what each method needs of the token, and answers for `self.workspace`."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [HasScope]
    parser_classes = []  # see `sent`
    renderer_classes = [Json]
    content_negotiation_class = AlwaysJson
    scopes: dict[str, str] = {}
    body_limit = 1_000_000  # bytes; one event needs a few hundred
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]

    allowance: Allowance | None = None

    # These know nothing of a request, so one of each serves all.
    _renderers = [Json()]

    def get_renderers(self):
        return self._renderers

    def get_authenticators(self):
        return _made(tuple(self.authentication_classes))

    def get_permissions(self):
        return _made(tuple(self.permission_classes))

    def initialize_request(self, request, *args, **kwargs):
        return Request(request, authenticators=self.get_authenticators(), parser_context={"view": self})

    def sent(self):
        """Return the body's JSON whatever its Content-Type (`curl -d` calls it a form), {} for none. Raises Refused."""
        body = body_of(self.request)
        return decode(body) if body.strip() else {}

    @property
    def workspace(self):
        return self.request.auth.workspace

    # DRF would say "Allow" with each answer; `as_error_list` says it where it helps.
    default_response_headers: dict[str, str] = {}

    def initial(self, request, *args, **kwargs):
        """DRF's own, without what is the same for all of ours: one format, one version, limits of our own."""
        request.accepted_renderer, request.accepted_media_type = self._renderers[0], Json.media_type
        self.perform_authentication(request)
        self.check_permissions(request)

    def perform_authentication(self, request):
        # As `request.user` would, but at once and once.
        [authenticator] = request.authenticators
        request.user, request.auth = authenticator.authenticate(request)
        request._request.token = request.auth
        self.spend(1, request.auth)

    def note(self, notes: list[str]):
        """Leave sentences for whoever looks for this request later: what the answer does not say."""
        self.request._request.notes = notes

    def keep_out_of_log(self):
        """Leave nothing of what is asked for whoever looks for this request later: it names somebody who is deleted."""
        self.request._request.names_the_deleted = True

    def spend(self, items: int, token=None):
        """Count `items` against the token's limit. Raises Refused (429)."""
        token = token or self.request.auth
        self.allowance = spend(token.pk, token.workspace.rate_limit, items)
        if self.allowance.is_exceeded:
            message = f"Exceeded rate limit of {self.allowance.limit} in 10_seconds"
            raise Refused(Fault("rate_limit_exceeded", message), status=429)

    def finalize_response(self, request, response, *args, **kwargs):
        if isinstance(response, Response):
            response.accepted_renderer, response.accepted_media_type = self._renderers[0], Json.media_type
            response.renderer_context = {}
        if self.allowance:
            for name, value in self.allowance.headers().items():
                response[name] = value
        return response


@lru_cache
def _made(classes: tuple[type, ...]) -> list:
    return [one() for one in classes]


class PublicView(ApiView):
    """A view of the API that anybody may ask, without a token: it tells nothing of any workspace."""

    authentication_classes = []
    permission_classes = []

    def perform_authentication(self, request):
        """Nobody is counted."""


def api_path(route: str, view: type[ApiView]):
    """Return the URL pattern of an API route, with and without trailing slash: a redirect would lose a POST.

    `route` is a regular expression without its ends.
    """
    function = csrf_exempt(view.as_view())
    function.is_api, function.body_limit = True, view.body_limit
    return re_path(rf"^{route}/?$", function)


def _body(faults: Sequence[Fault], request_id: str | None) -> dict:
    return {"type": "error.list", "request_id": request_id, "errors": [fault.as_json() for fault in faults]}


def error_list(*faults: Fault, request_id: str | None, status: int, headers=None) -> Response:
    return Response(_body(faults, request_id), status=status, headers=headers)


def error_response(*faults: Fault, request, status: int) -> HttpResponse:
    """An `error.list` from outside a view of the API."""
    body = _body(faults, getattr(request, "request_id", None))
    return HttpResponse(msgspec.json.encode(body), status=status, content_type="application/json")


def as_error_list(error, context) -> Response:
    """Translate what a view raised. The unexpected is logged with the request's id and told in general terms."""
    request = context["request"]._request
    headers = {}
    match error:
        case Merged():
            faults, status = error.faults, error.status
            if speaks_1_x(request):
                # Which is what their SDKs know.
                faults = [replace(fault, code="not_found") for fault in faults]
            headers["Link"] = f'<{settings.BASE_URL}/contacts/{error.heir}>; rel="canonical"'
        case Refused():
            faults, status = error.faults, error.status
        case exceptions.ValidationError():
            faults, status = list(faults_in(error.detail)), 400
        case exceptions.MethodNotAllowed():
            message = f"{request.method} is not possible here. Try {', '.join(context['view'].allowed_methods)}."
            faults, status = [Fault("not_found", message)], 405
            headers["Allow"] = ", ".join(context["view"].allowed_methods)
        case Http404() | exceptions.NotFound():
            faults, status = [Fault("not_found", "Resource Not Found")], 404
        case SuspiciousOperation() | exceptions.ParseError():
            faults, status = [invalid("body", "The request could not be read.")], 400
        case exceptions.APIException():
            faults, status = [Fault("client_error", str(error.detail))], error.status_code
        case OperationalError() | InterfaceError():
            logger.exception("request %s found no database", getattr(request, "request_id", None))
            message = "The database could not take this just now. Nothing was stored: send it again."
            faults, status = [Fault("service_unavailable", message)], 503
            headers["Retry-After"] = "1"
        case _:
            logger.exception("request %s failed", getattr(request, "request_id", None))
            faults, status = [Fault("server_error", "Something broke here. The request_id finds it in the log.")], 500
    response = error_list(*faults, request_id=getattr(request, "request_id", None), status=status, headers=headers)
    response.exception = True
    return response
