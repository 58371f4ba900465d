"""Who is asking: an app with a token. The API knows no session login."""

import base64
import binascii
import threading
import time

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from eventsapp.errors import Fault, Refused
from eventsapp.models import ApiToken, digest_of

FRESH = 5  # seconds for which a revoked token may still be taken


class _KnownTokens:
    """Tokens looked up a moment ago, by digest, so that a busy app does not cost a query each time."""

    def __init__(self):
        self.entries: dict[str, tuple[float, ApiToken]] = {}
        self._asking = threading.Lock()

    def get(self, digest: str) -> ApiToken | None:
        token = self._fresh(digest)
        if token is None:
            # One asks; the others that came with it take the answer instead of a connection each.
            with self._asking:
                token = self._fresh(digest) or self._ask(digest)
        return token

    def _fresh(self, digest):
        until, token = self.entries.get(digest, (0, None))
        return token if time.monotonic() < until else None

    def _ask(self, digest):
        asked_at = time.monotonic()
        token = ApiToken.objects.usable().select_related("workspace").filter(digest=digest).first()
        if len(self.entries) > 1000:
            self.entries.clear()
        if token:
            self.entries[digest] = asked_at + FRESH, token
        return token

    def forget(self):
        self.entries.clear()


known_tokens = _KnownTokens()


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`, or Basic with the token as user name, as Intercom's older SDKs send it."""

    def authenticate(self, request):
        scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not value:
            raise Refused(
                Fault("unauthorized", "Access Token Invalid: send the header Authorization: Bearer <your token>."),
                status=401,
            )
        token = known_tokens.get(digest_of(_secret(scheme.lower(), value.strip())))
        if not token:
            raise Refused(
                Fault("unauthorized", "Access Token Invalid: it is unknown or revoked. Make one under Settings."),
                status=401,
            )
        return None, token


def _secret(scheme: str, value: str) -> str:
    if scheme == "bearer":
        return value
    if scheme == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            pass
    return ""


def require(token: ApiToken, scope: str):
    """Raises Refused (403) for a token that lacks the scope."""
    if not token.allows(scope):
        raise Refused(
            Fault("forbidden", f"This token lacks the scope {scope}. Make one that has it under Settings."), status=403
        )


class HasScope(BasePermission):
    """A view says by `scopes = {"POST": Scope.EVENTS_WRITE, …}` what its methods need."""

    def has_permission(self, request, view):
        if needed := view.scopes.get("GET" if request.method == "HEAD" else request.method):
            require(request.auth, needed)
        return True
