"""The browsers of an app's own users: who is there, what a page may say of them, and the events that they send.

A browser proves little. It is known by two secrets that its library makes and keeps: one of the device, and one of the
visit, which ends when a visitor turns out to be somebody. What it may read and change depends on how it is known
(`Kind`): never on ids alone, since anybody can write another's user_id into their own page.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import IntegrityError, transaction
from django.utils import timezone

from eventsapp import group_commit
from eventsapp.attributes import misfits
from eventsapp.batches import AT_ONCE
from eventsapp.errors import Fault, NotFound, Refused, invalid
from eventsapp.identity import Claim, claim_in
from eventsapp.incoming import IncomingEvent, read_event
from eventsapp.ingest import TRIES, Outcome, ingest
from eventsapp.merging import merge
from eventsapp.models import Contact, Source, Workspace, now_in_seconds
from eventsapp.people import change_contact, change_or_create_user, contact_named, create_contact
from eventsapp.serializers import ContactIn
from eventsapp.text import fold

# Settings of the messenger, and of a person what is kept nowhere: https://developers.intercom.com, "Attributes and
# objects". Whatever else a page sends is a custom attribute.
NOT_OF_THE_PERSON = frozenset(
    """
    app_id api_base custom_launcher_selector alignment vertical_padding horizontal_padding z_index
    hide_default_launcher hide_notifications session_duration action_color background_color theme_mode
    installation_type user_hash intercom_user_jwt last_request_at language_override avatar company companies
    utm_campaign utm_content utm_medium utm_source utm_term page_title type role id
    """.split()
)
OWN_FIELDS = {
    "user_id": "external_id", "email": "email", "name": "name", "phone": "phone", "created_at": "signed_up_at",
    "unsubscribed_from_emails": "unsubscribed_from_emails",
}  # fmt: skip
MOST_ATTRIBUTES = 250  # custom ones of a person, beyond which a browser adds none; Intercom's limit
MOST_SETTINGS = 300  # of one page
MOST_TOLD = 20  # of the sentences about what of them was not taken
LIFETIME = 24 * 3600  # seconds after which a proof has to be shown again
LAST_SEEN = 60  # seconds within which somebody who is seen again is not noted again
SECRET = range(16, 65)  # how long a browser's secrets are, in characters


class Kind(StrEnum):
    """How a browser's user is known: not at all; by what its page says; by a proof."""

    VISITOR = "visitor"
    CLAIMED = "claimed"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Session:
    """Who a browser is to us, as its token has it.

    `contact` is the id of a contact, None for a visitor who has done nothing yet; `visitor` is the visit's id, under
    which it is a contact; `device` marks the events of one device: the first half of their UUIDs. Somebody verified is
    so by the secret with the id `proof`, `until` a time (Unix seconds).
    """

    workspace: int
    kind: Kind
    contact: int | None
    visitor: str
    device: str
    proof: int | None = None
    until: int = 0

    def token(self, purpose: str = "session") -> str:
        """Return the session for a browser to keep. It tells nothing of who that is here: not even whether two that
        claim to be somebody are one and the same."""
        nonce = secrets.token_hex(8)
        masked = (self.contact or 0) ^ _mask(nonce)
        said = [self.workspace, self.kind, nonce, masked, self.visitor, self.device, self.proof, self.until]
        return _signer(purpose).sign_object(said)

    @property
    def events_of_device(self) -> tuple[UUID, UUID]:
        """Between which UUIDs the events lie that this device sent."""
        return UUID(self.device + "0" * 16), UUID(self.device + "f" * 16)

    def event_id(self, own: UUID) -> UUID:
        """The UUID of an event of this device, out of the one that its library gave it."""
        return UUID(self.device + hashlib.blake2b(own.bytes, digest_size=8).hexdigest())


def _mask(nonce: str) -> int:
    key = f"{settings.SECRET_KEY}:session".encode()
    return int.from_bytes(hmac.new(key, nonce.encode(), hashlib.sha256).digest()[:4], "big")


@cache
def _signer(purpose: str) -> Signer:
    """What is made for one purpose serves no other: the token that stands in addresses, and so in logs, only reads."""
    return Signer(salt=f"eventsapp.browser.{purpose}")


@lru_cache(maxsize=5_000)
def _session_from(token: str, purpose: str) -> Session:
    try:
        workspace, kind, nonce, masked, *rest = _signer(purpose).unsign_object(token)
        return Session(workspace, Kind(kind), masked ^ _mask(nonce) or None, *rest)
    except (BadSignature, ValueError, TypeError) as error:
        raise _no_session("The session is none of ours. Boot again.") from error


def session_in(workspace: Workspace, token, purpose: str = "session") -> Session:
    """Return the session of a `Session.token` made for this purpose. Raises Refused (401) for none, another
    workspace's, one whose proof is over, or a claim where the workspace wants a proof by now."""
    session = _session_from(token if isinstance(token, str) else "", purpose)
    if session.workspace != workspace.pk:
        raise _no_session("The session is of another workspace.")
    if session.kind == Kind.CLAIMED and workspace.enforces_identity:
        raise _no_session("This workspace wants a proof. Boot again with one.")
    if session.kind == Kind.VERIFIED and (session.until < time.time() or session.proof not in workspace.secret_ids):
        raise _no_session("The proof is over. Boot again with one.")
    return session


def _no_session(message: str) -> Refused:
    return Refused(Fault("unauthorized", message, "session"), status=401)


class _Workspaces:
    """Workspaces looked up a moment ago, by app_id: pages of their users ask all the time."""

    FRESH = 5  # seconds

    def __init__(self):
        self.entries: dict[str, tuple[float, Workspace]] = {}

    def get(self, app_id: str) -> Workspace:
        """Return the workspace. Raises NotFound."""
        until, workspace = self.entries.get(app_id, (0, None))
        if workspace is None or time.monotonic() > until:
            workspace = Workspace.objects.filter(app_id=app_id).first()
            if workspace is None:
                raise NotFound(f"No workspace has the app_id “{app_id}”.", "app_id")
            workspace.secret_ids = set(workspace.identity_secrets.values_list("pk", flat=True))
            self.entries[app_id] = time.monotonic() + self.FRESH, workspace
        return workspace

    def forget(self):
        self.entries.clear()


workspaces = _Workspaces()

# Each gets a workspace and returns what else its browsers are told when they boot. Upper apps add theirs.
on_boot: list[Callable[[Workspace], dict]] = []


# Who is there --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boot:
    """What a browser is told when it says who is there: its session, whether its visitor is somebody from now on, and
    sentences about what of its settings was not taken (`ignored`). `notes` are those for staff: whoever proves nothing
    is not told what would have been another value."""

    session: Session
    was_merged: bool = False
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def boot(workspace: Workspace, said: dict) -> Boot:
    """Find out who is there, and note what their page says of them. `said` is decoded JSON: `settings` as a page has
    them, and `device_secret` and `visit_secret`.

    Raises Refused: (401) for a wrong proof or a missing one, (403) for somebody who is blocked, (404) for somebody
    unknown where nobody is to be made, (409) when several share an email, (400) for what cannot be read.
    """
    page = said.get("settings", {})
    if not isinstance(page, dict):
        raise Refused(invalid("settings", "settings must be an object."))
    visitor, device = _secret(workspace, said, "visit_secret")[:32], _secret(workspace, said, "device_secret")[:16]
    visitor = str(UUID(visitor))
    own = page.get("custom_attributes")
    number = len(page) + (len(own) if isinstance(own, dict) else 0)
    if number > MOST_SETTINGS:
        raise Refused(invalid("settings", f"There are {number:,} settings. Send at most {MOST_SETTINGS}."))
    claim = claim_in(workspace, page)
    if not claim.is_of_somebody:
        return Boot(Session(workspace.pk, Kind.VISITOR, _visitor_pk(workspace, visitor), visitor, device))
    if claim.user_id:
        page = page | {"user_id": claim.user_id}
    fields, faults = _fields(page | claim.signed, needs="user_id" if claim.user_id else "email")
    ignored = _drop_misfits(workspace, fields["custom_attributes"])
    contact, was_made = _somebody(workspace, claim, fields)
    if contact.blocked_at:
        raise Refused(Fault("action_forbidden", "Nothing is heard from here."), status=403)
    ignored += [] if was_made else _change(contact, claim, fields)
    was_merged = _merge_visitor(workspace, visitor, contact, claim)
    notes = tuple([*faults, *ignored][:MOST_TOLD])
    if not claim.is_proven:
        session = Session(workspace.pk, Kind.CLAIMED, contact.pk, visitor, device)
        return Boot(session, was_merged, tuple(faults[:MOST_TOLD]), notes)
    until = min(int(time.time()) + LIFETIME, claim.until or 2**40)
    session = Session(workspace.pk, Kind.VERIFIED, contact.pk, visitor, device, claim.proof, until)
    return Boot(session, was_merged, notes, notes)


def _secret(workspace: Workspace, said: dict, name: str) -> str:
    """Return in hex what stands for one of a browser's secrets here. Nobody can tell the secret from it."""
    value = said.get(name)
    if not isinstance(value, str) or len(value) not in SECRET:
        raise Refused(invalid(name, f"{name} must be a random text of {SECRET[0]} to {SECRET[-1]} characters."))
    key = f"{settings.SECRET_KEY}:browser:{workspace.key}"
    return hmac.new(key.encode(), f"{name}:{value}".encode(), hashlib.sha256).hexdigest()


def _visitor_pk(workspace: Workspace, visitor: str) -> int | None:
    """The contact of a visit, if it has one, whoever that is by now."""
    found = Contact.objects.filter(workspace=workspace, external_id=visitor)
    return found.values_list("pk", flat=True).first()


def _fields(page: dict, *, needs: str) -> tuple[dict, list[str]]:
    """Return the fields of a contact that a page sends, checked, and sentences about those that are wrong. Raises
    Refused when the one is that it `needs`: the id that says who it is."""
    sent = {field: page[name] for name, field in OWN_FIELDS.items() if page.get(name) not in (None, "")}
    if "external_id" in sent:
        sent["external_id"] = str(sent["external_id"])
    others = page.keys() - OWN_FIELDS.keys() - NOT_OF_THE_PERSON - {"custom_attributes"}
    attributes = page.get("custom_attributes")
    sent["custom_attributes"] = {key: page[key] for key in page if key in others and page[key] is not None}
    sent["custom_attributes"] |= attributes if isinstance(attributes, dict) else {}
    faults = []
    for _ in range(2):
        incoming = ContactIn(data=sent)
        if incoming.is_valid():
            break
        wrong = incoming.errors
        if OWN_FIELDS[needs] in wrong:
            raise Refused(invalid(needs, str(wrong[OWN_FIELDS[needs]][0])))
        for field, sentences in wrong.items():
            if field == "custom_attributes":
                faults += [f"{key}: {told[0]}" for key, told in sentences.items()]
                for key in sentences:
                    del sent["custom_attributes"][key]
            else:
                faults.append(f"{field}: {sentences[0]}")
                del sent[field]
    return dict(incoming.validated_data), faults


def _drop_misfits(workspace: Workspace, attributes: dict) -> list[str]:
    """Take out what is of another type than the attribute is here; return sentences about it."""
    found = misfits(workspace, attributes, settles=False)
    for key in found:
        del attributes[key]
    return [f"{key}: {sentence}" for key, sentence in found.items()]


def _somebody(workspace: Workspace, claim: Claim, fields: dict) -> tuple[Contact, bool]:
    """Return whom a page names, and whether they were made for it."""
    if claim.user_id and (heir := _heir(workspace, claim.user_id)):
        return heir, False
    new = _of_somebody_new(workspace, claim, fields)
    for _ in range(TRIES):
        try:
            return _known(workspace, claim), False
        except NotFound as error:
            if workspace.unknown_people == Workspace.UnknownPeople.REJECT:
                field = "user_id" if claim.user_id else "email"
                message = f"Nobody here has the {field} “{claim.user_id or claim.email}”. Create the contact first."
                raise NotFound(message, field) from error
        try:
            if "email" in claim.signed:
                # As with events, who is known by the email alone becomes the one with the new user_id.
                return change_or_create_user(workspace, None, new, settles=False), True
            return create_contact(workspace, new, settles=False), True
        except Refused as refused:
            # Another tab of theirs was faster.
            conflict = refused
    raise conflict


def _known(workspace: Workspace, claim: Claim) -> Contact:
    """Return whom a claim names. Raises NotFound, Refused (400) for the id of a visitor, and (401) for an email that
    another's was signed for: texts that are the same to us need not be so to whoever signed."""
    contact = contact_named(workspace, user_id=claim.user_id, email=None if claim.user_id else claim.email)
    if contact.role == Contact.Role.VISITOR:
        raise Refused(invalid("user_id", "This user_id is a visitor's. Leave it out, or write your own."))
    is_the_same = claim.user_id or claim.email.isascii() or claim.email == contact.email
    if claim.is_proven and not is_the_same:
        raise Refused(
            Fault("unauthorized", "The email is spelt otherwise here. Sign it as it is.", "email"), status=401
        )
    return contact


def _of_somebody_new(workspace: Workspace, claim: Claim, fields: dict) -> dict:
    """What a page may say of somebody who is made for it."""
    protected = workspace.protected
    new = {name: value for name, value in fields.items() if name in claim.signed or name not in protected}
    own = fields.get("custom_attributes", {})
    allowed = {key: value for key, value in own.items() if key in claim.signed or key not in protected}
    new["custom_attributes"] = dict(islice(allowed.items(), MOST_ATTRIBUTES))
    if claim.user_id and "email" not in claim.signed and _is_held(workspace, fields.get("email")):
        # Quietly: whose email is known here is nothing to tell.
        new.pop("email", None)
    return new | {"role": Contact.Role.USER, "last_seen_at": now_in_seconds()}


def _is_held(workspace: Workspace, email: str | None) -> bool:
    """Whether somebody here has this email: who else took it would make it nobody's."""
    held = Contact.objects.filter(workspace=workspace).present().exclude(role=Contact.Role.VISITOR)
    return bool(email) and held.filter(email_folded=fold(email)).exists()


def _heir(workspace: Workspace, user_id: str) -> Contact | None:
    """Who became of somebody that was merged into another and had this user_id; a visitor's id says nothing of that."""
    merged = Contact.objects.filter(workspace=workspace, external_id=user_id).exclude(merged_into=None)
    found = merged.exclude(role=Contact.Role.VISITOR).values_list("merged_into", flat=True).first()
    return Contact.objects.select_related("workspace").present().filter(pk=found).first() if found else None


def _change(contact: Contact, claim: Claim, fields: dict) -> list[str]:
    """Note what a page says of somebody known; return sentences about what it may not change."""
    allowed, refused = _allowed(contact, claim, fields)
    now = now_in_seconds()
    if (contact.last_seen_at or 0) < now - LAST_SEEN:
        allowed["last_seen_at"] = now
    if allowed:
        change_contact(contact, allowed, settles=False)
    return [f"{name}: this browser may not change it." for name in refused]


def _allowed(contact: Contact, claim: Claim, fields: dict) -> tuple[dict, list[str]]:
    """Part what a page may change from the names of what it may not.

    Without a proof it changes no more than custom attributes; a person's email least of all: whoever could set it would
    get their mails.
    """
    protected = contact.workspace.protected
    allowed, refused = {}, []
    for name, value in fields.items():
        said_as = "created_at" if name == "signed_up_at" else name
        if name in ("custom_attributes", "external_id") or getattr(contact, name) == value:
            continue
        if said_as in claim.signed or claim.is_proven and said_as not in protected:
            is_taken = name == "email" and said_as not in claim.signed and _is_held(contact.workspace, value)
            if not is_taken:
                allowed[name] = value
        else:
            refused.append(said_as)
    attributes, known = {}, contact.custom_attributes
    room = MOST_ATTRIBUTES - len(known)
    for key, value in fields.get("custom_attributes", {}).items():
        if key in known and known[key] == value:
            continue
        if key not in claim.signed and key in protected or key not in known and room <= 0:
            refused.append(key)
        else:
            attributes[key] = value
            room -= key not in known
    return allowed | ({"custom_attributes": attributes} if attributes else {}), refused


def _merge_visitor(workspace: Workspace, visitor: str, contact: Contact, claim: Claim) -> bool:
    """Let what the visitor did be what the person did; return whether there was one.

    A visitor who is a lead by now has a name and an email, which nobody gets without a proof.
    """
    were = (Contact.Role.VISITOR, Contact.Role.LEAD) if claim.is_proven else (Contact.Role.VISITOR,)
    source = Contact.objects.filter(workspace=workspace, external_id=visitor, role__in=were).present().first()
    if source is None:
        return False
    source.workspace = workspace
    merge(source, contact, inherits=claim.is_proven)
    return True


# What they do --------------------------------------------------------------------------------------------------------


def track(workspace: Workspace, session: Session, items: list) -> tuple[Session, list[Outcome | list[Fault]]]:
    """Store the events of a browser; return its session, which has a contact from now on, and what became of each."""
    if session.contact is None and items:
        session = replace(session, contact=_make_visitor(workspace, session.visitor))
    who = workspace.contact_id(session.contact or 0)
    read = [_read(item, who, session) for item in items]
    events = [event for event in read if isinstance(event, IncomingEvent)]
    source = Source.BROWSER_VERIFIED if session.kind == Kind.VERIFIED else Source.BROWSER
    outcomes = iter(_stored(workspace, events, source))
    if events and workspace.browser_seen_at is None:
        workspace.browser_seen_at = timezone.now()
        first = Workspace.objects.filter(pk=workspace.pk, browser_seen_at=None)
        first.update(browser_seen_at=workspace.browser_seen_at)
    return session, [next(outcomes) if isinstance(event, IncomingEvent) else event for event in read]


def _read(item, who: str, session: Session) -> IncomingEvent | list[Fault]:
    if not isinstance(item, dict):
        return read_event(item)
    # Whose it is says the session alone.
    said = {key: item.get(key) for key in ("event_name", "created_at", "metadata")} | {"id": who}
    try:
        said["uuid"] = str(session.event_id(UUID(item.get("uuid"))))
    except (ValueError, TypeError, AttributeError):
        said["uuid"] = item.get("uuid") or ""
    return read_event(said)


def _stored(workspace: Workspace, events: list[IncomingEvent], source: str) -> list[Outcome]:
    if len(events) == 1:
        return [group_commit.store(workspace, events[0], source)]
    lots = (events[start : start + AT_ONCE] for start in range(0, len(events), AT_ONCE))
    return [outcome for lot in lots for outcome in ingest(workspace, lot, source=source)]


def _make_visitor(workspace: Workspace, visitor: str) -> int:
    now = now_in_seconds()
    contact = Contact(workspace=workspace, role=Contact.Role.VISITOR, external_id=visitor, last_seen_at=now)
    contact.fold_texts()
    try:
        with transaction.atomic():
            contact.save(force_insert=True)
    except IntegrityError:
        # Another tab of theirs was faster.
        return _visitor_pk(workspace, visitor)
    return contact.pk
