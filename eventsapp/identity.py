"""Whether the user of a browser is who its page says: `user_hash`, or a JWT, signed with a secret of the workspace.

Both are Intercom's: https://developers.intercom.com/installing-intercom/web/identity-verification and its
"Authenticating users with JSON Web Tokens".
"""

import hashlib
import hmac
from dataclasses import dataclass, field

import jwt

from eventsapp.errors import Fault, Refused, invalid
from eventsapp.models import Workspace

CLOCKS = 60  # seconds by which the clock of whoever signs may be wrong
OF_THE_TOKEN = {"exp", "iat", "nbf", "iss", "aud", "jti", "sub"}


@dataclass(frozen=True)
class Claim:
    """Who a page says that its user is. `signed` are the settings that a JWT holds, beside the ids; `proof` is the id
    of the secret that proves them, None for a mere claim, and `until` (Unix seconds) when that ends, if it says so."""

    user_id: str | None = None
    email: str | None = None
    proof: int | None = None
    signed: dict = field(default_factory=dict)
    until: int | None = None

    @property
    def is_proven(self) -> bool:
        return self.proof is not None

    @property
    def is_of_somebody(self) -> bool:
        return bool(self.user_id or self.email)


def claim_in(workspace: Workspace, said: dict) -> Claim:
    """Return the claim in a page's settings. Raises Refused (401) for a proof that is none, even where none is asked
    for: a page that sends one relies on it. Raises the same where the workspace wants one and there is none."""
    if token := said.get("intercom_user_jwt"):
        claim = _read_jwt(workspace, token)
    else:
        claim = Claim(_text(said, "user_id"), _text(said, "email"))
        if (proof := said.get("user_hash")) and claim.is_of_somebody:
            # Of both, the user_id alone is signed.
            secret = _secret_of_hash(workspace, claim.user_id or claim.email, proof)
            if secret is None:
                raise _unproven("user_hash", "user_hash is not that of this user. See Settings, In the browser.")
            claim = Claim(claim.user_id, claim.email, secret)
    if claim.is_of_somebody and not claim.is_proven and workspace.enforces_identity:
        raise _unproven("user_hash", "This workspace wants a proof. Send user_hash or intercom_user_jwt.")
    return claim


def user_hash(secret: str, value: str) -> str:
    """Return the hash that proves a user_id, or an email where there is no user_id: lower-case hex."""
    return hmac.new(secret.encode(), value.encode(), hashlib.sha256).hexdigest()


def _secret_of_hash(workspace: Workspace, value: str, proof) -> int | None:
    """Return the id of the workspace's secret that makes this hash of a user_id, or email."""
    if not isinstance(proof, str) or not proof.isascii():
        return None
    return next(
        (pk for pk, secret in _secrets(workspace) if hmac.compare_digest(user_hash(secret, value), proof)), None
    )


def _read_jwt(workspace: Workspace, token) -> Claim:
    for pk, secret in _secrets(workspace):
        try:
            said = jwt.decode(
                token, secret, algorithms=["HS256"], leeway=CLOCKS, options={"verify_aud": False, "verify_sub": False}
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, TypeError) as error:
            raise _unproven("intercom_user_jwt", f"intercom_user_jwt cannot be taken: {error}.") from error
        until = int(said["exp"]) if "exp" in said else None
        claim = Claim(_text(said, "user_id"), _text(said, "email"), pk, _signed(said), until)
        if not claim.user_id:
            raise _unproven("intercom_user_jwt", "intercom_user_jwt has no user_id. Sign one.")
        return claim
    raise _unproven("intercom_user_jwt", "intercom_user_jwt is signed with no secret of this workspace.")


def _signed(said: dict) -> dict:
    return {key: value for key, value in said.items() if key not in OF_THE_TOKEN | {"user_id"}}


def _secrets(workspace: Workspace) -> list[tuple[int, str]]:
    return list(workspace.identity_secrets.values_list("pk", "secret"))


def _text(said: dict, name: str) -> str | None:
    value = said.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused(invalid(name, f"{name} must be a text."))
    if not str(value).strip():
        raise Refused(invalid(name, f"{name} is empty. Write one, or leave it out."))
    return str(value)


def _unproven(field: str, message: str) -> Refused:
    return Refused(Fault("unauthorized", message, field), status=401)
