"""The one door by which events come in.

One set-based act for a list of events: each step is one statement, whatever the length of the list, and everything it
writes is sorted by key, so that two writers wait for each other and never lock each other out.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from django.db import IntegrityError, connection, transaction

from eventsapp import signals
from eventsapp.errors import Fault, shared
from eventsapp.incoming import ImportedTotal, IncomingEvent, Who
from eventsapp.models import Contact, EventType, Source, Workspace, now_in_seconds
from eventsapp.sql import EventRow, dialect
from eventsapp.text import fold

BROWSERS = (Source.BROWSER, Source.BROWSER_VERIFIED)
TRIES = 3  # at finding or making people whom another writer makes too


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event: stored, absorbed as a duplicate, or refused with a fault and the HTTP status of it."""

    fault: Fault | None = None
    status: int = 202
    duplicate: bool = False
    person_created: bool = False


STORED, ABSORBED = Outcome(), Outcome(duplicate=True)


def ingest(
    workspace: Workspace, events: Sequence[IncomingEvent], *, source: str = Source.API, historical: bool = False
) -> list[Outcome]:
    """Store `events` and answer one Outcome for each, in their order, once all is committed or part of the caller's
    transaction. Historical ones count as imported, whatever their source: no rule will hear of them."""
    if not events:
        return []
    historical = historical or source == Source.IMPORT
    source = Source.IMPORT if historical else source
    with transaction.atomic(savepoint=False):
        names = dict.fromkeys(event.name for event in events)
        contacts, types = _known(workspace, {event.who for event in events}, names)
        allowed = _allowed(workspace, names, types)
        people = _People(workspace, are_browsers=source in BROWSERS)
        people.find_or_create({event.who for event in events if event.name in allowed}, contacts)
        accepted = [event for event in events if event.name in allowed and people.of(event.who)]
        types |= _make_types(workspace, {event.name for event in accepted} - types.keys())
        rows = {}
        for event in accepted:
            rows.setdefault(_key(event, people.of(event.who), types), event)
        # `watched` was read in this transaction, because it may have changed a moment ago.
        watched = [] if historical else sorted({type for type, is_watched in types.values() if is_watched})
        stored = set(_store(rows, source, watched)) if rows else set()
        if any(key[2] in watched for key in stored):
            transaction.on_commit(partial(signals.events_handed_over.send_robust, sender=EventType))
    return _outcomes(workspace, events, people, types, stored)


def ingest_known(workspace: Workspace, events: Sequence[IncomingEvent], *, source: str) -> list[Outcome | None]:
    """Store those events whose type is there and whose person is by user_id, as `ingest` does, in one statement that is
    a transaction of its own; answer None for each of the others. Where the database takes no such statement, that is
    for all."""
    if connection.vendor != "postgresql":
        return [None] * len(events)
    rows = [_named_row(place, event) for place, event in enumerate(events) if event.who.user_id and not event.who.id]
    outcomes: list[Outcome | None] = [None] * len(events)
    stored = dialect().store_named_events(workspace.pk, rows, source) if rows else []
    for place, is_new, _ in stored:
        outcomes[place] = STORED if is_new else ABSORBED
    if any(is_new and is_watched for _, is_new, is_watched in stored):
        signals.events_handed_over.send_robust(sender=EventType)
    return outcomes


def _named_row(place: int, event: IncomingEvent) -> tuple:
    content = event.created_at, event.fingerprint, event.metadata, event.terms, event.uuid
    return place, event.who.user_id, event.name, *content


def _key(event: IncomingEvent, contact: int, types) -> tuple[int, int, int, int]:
    return contact, event.created_at, types[event.name][0], event.fingerprint


def _known(workspace, everyone: set[Who], names: Iterable[str]) -> tuple[dict[str, int], dict[str, tuple[int, bool]]]:
    """Return the contacts with these people's user_ids, and those types (id, watched) that are there already."""
    user_ids = {who.user_id for who in everyone if who.user_id and not who.id}
    return dialect().known(workspace.pk, user_ids, names)


def _store(rows: dict[tuple, IncomingEvent], source, watched):
    """Sorted by key, so that two writers wait for each other and never lock each other out."""
    sent = [EventRow(*key, rows[key].metadata, rows[key].terms, rows[key].uuid) for key in sorted(rows)]
    return dialect().store_events(sent, source, watched)


def _outcomes(workspace, events, people, types, stored):
    outcomes, seen = [], set()
    for event in events:
        contact = people.of(event.who)
        if event.name not in types and event.who not in people.refused:
            outcomes.append(_one_name_too_many(workspace))
            continue
        if not contact:
            fault, status = people.refused[event.who]
            outcomes.append(Outcome(fault, status))
            continue
        key = _key(event, contact, types)
        outcomes.append(Outcome(duplicate=key not in stored or key in seen, person_created=event.who in people.created))
        seen.add(key)
    return outcomes


# Who did it ----------------------------------------------------------------------------------------------------------


class _People:
    """Finds the contacts that a list of events names, and makes the missing ones."""

    def __init__(self, workspace: Workspace, *, are_browsers: bool = False):
        self.workspace, self.are_browsers = workspace, are_browsers
        self.found: dict[Who, int] = {}
        self.refused: dict[Who, tuple[Fault, int]] = {}
        self.created: set[Who] = set()

    @property
    def contacts(self):
        return Contact.objects.filter(workspace=self.workspace, deleted_at=None)

    def of(self, who: Who) -> int | None:
        return self.found.get(who)

    def find(self, everyone: set[Who], known: dict[str, int]):
        """Find those who are there, and refuse the others. `known` are the contacts of the user_ids among them:
        {user_id: id}."""
        self._find(everyone, known)
        self._refuse_unknown({who for who in everyone if who not in self.found and who not in self.refused})

    def _refuse_unknown(self, unknown: set[Who]):
        for who in unknown:
            field = "id" if who.id else "user_id" if who.user_id else "email"
            message = f"Nobody here has the {field} “{getattr(who, field)}”. Create the contact first."
            self.refused[who] = (Fault("not_found", message, field), 404)

    def find_or_create(self, everyone: set[Who], known: dict[str, int]):
        """The same, but where the workspace allows it those who are unknown by user_id or email are made."""
        self._find(everyone, known)
        missing = {who for who in everyone if who not in self.found and who not in self.refused}
        unknown = {who for who in missing if who.id}
        if self.workspace.unknown_people == Workspace.UnknownPeople.REJECT:
            unknown = missing
        self._refuse_unknown(unknown)
        missing -= unknown
        for _ in range(TRIES):
            if not missing:
                return
            self._create(missing)
            # Another writer may have made one of them in a way that only a second look sees.
            missing = {who for who in missing if who not in self.found and who not in self.refused}
        for who in missing:
            self.refused[who] = (Fault("conflict", "This person is being changed just now. Send it again."), 409)

    def _find(self, people: set[Who], known: dict[str, int]):
        self.found |= {who: known[who.user_id] for who in people if not who.id and who.user_id in known}
        by_pk = {who: pk for who in people if who.id and (pk := self.workspace.contact_pk(who.id))}
        by_email = {who: fold(who.email) for who in people if not who.id and not who.user_id}
        if by_pk:
            self._find_by_pk(by_pk)
        if by_email:
            self._find_by_email(by_email)

    def _find_by_pk(self, by_pk: dict[Who, int]):
        """Whoever was merged is their heir; whose browsers are not heard is refused to these alone."""
        asked = ("blocked_at", "merged_into__blocked_at") if self.are_browsers else ()
        heirs, blocked = {}, set()
        rows = self.contacts.filter(pk__in=by_pk.values()).values_list("pk", "merged_into", *asked)
        for pk, heir, *since in rows:
            heirs[pk] = heir or pk
            if any(since[1:] if heir else since[:1]):
                blocked.add(pk)
        for who, pk in by_pk.items():
            if pk in blocked:
                self.refused[who] = (Fault("action_forbidden", "Events from here are not taken.", "id"), 403)
            elif pk in heirs:
                self.found[who] = heirs[pk]

    def _find_by_email(self, by_email: dict[Who, str]):
        """A user with that address comes before a lead; two of the same kind are a conflict."""
        rows = self.contacts.filter(email_folded__in=by_email.values(), merged_into=None)
        rows = rows.exclude(role=Contact.Role.VISITOR).values_list("email_folded", "role", "pk")
        holders: dict[str, dict[str, list[int]]] = {}
        for email, role, pk in rows:
            holders.setdefault(email, {}).setdefault(role, []).append(pk)
        for who, email in by_email.items():
            if email not in holders:
                continue
            same = holders[email].get(Contact.Role.USER) or holders[email][Contact.Role.LEAD]
            if len(same) == 1:
                self.found[who] = same[0]
            else:
                self.refused[who] = (shared(who.email, len(same)), 409)

    def _create(self, missing: set[Who]):
        emails = {fold(who.email) for who in missing if who.email}
        if emails and dialect().lock_emails(self.workspace.pk, emails):
            # Whoever made one of these people held the lock until just now.
            self._look_again(missing)
            missing = {who for who in missing if who not in self.found and who not in self.refused}
        # In an order of its own, so that of two spellings of one email it is never chance which is kept.
        ordered = sorted(missing, key=lambda who: (who.email or "", who.user_id or ""))
        with_user_id = {who.user_id: who for who in ordered if who.user_id}
        self._adopt(with_user_id)
        # An email that comes with a new user_id in the same list is that person's, not another's.
        taken = {fold(who.email) for who in with_user_id.values() if who.email}
        with_email = {fold(who.email): who for who in ordered if not who.user_id}
        with_email = {email: who for email, who in with_email.items() if email not in taken}
        new = [with_user_id[user_id] for user_id in sorted(with_user_id)] + [
            with_email[email] for email in sorted(with_email)
        ]
        # Those with a user_id already there (adopted, or made by another writer meanwhile) fall away here.
        made = set(dialect().insert_contacts(self.workspace.pk, new, now_in_seconds()))
        self._look_again(missing)
        self.created |= {who for who in missing if self.found.get(who) in made}

    def _look_again(self, missing: set[Who]):
        known, _ = dialect().known(self.workspace.pk, {who.user_id for who in missing if who.user_id}, ())
        self._find(missing, known)

    def _adopt(self, with_user_id: dict[str, Who]):
        """A user known by email alone becomes the one with the new user_id, instead of a double."""
        emails = {fold(who.email): user_id for user_id, who in with_user_id.items() if who.email}
        if not emails:
            return
        nameless = self.contacts.filter(email_folded__in=emails, external_id=None, role=Contact.Role.USER)
        for contact in nameless.filter(merged_into=None).order_by("pk").select_for_update(no_key=True):
            contact.external_id = emails[contact.email_folded]
            contact.external_id_folded = fold(contact.external_id)
            contact.updated_at = now_in_seconds()
            # Whoever gave the user_id to another contact meanwhile was first.
            with suppress(IntegrityError), transaction.atomic():
                contact.save(update_fields=["external_id", "external_id_folded", "updated_at"])


def look_up(workspace: Workspace, everyone: set[Who]) -> tuple[dict[Who, int], dict[Who, tuple[Fault, int]]]:
    """Return the contacts (ids) of those who are there, and for each of the others the fault with its HTTP status. As
    with events, whoever was merged is their heir."""
    people = _People(workspace)
    known, _ = _known(workspace, everyone, ())
    people.find(everyone, known)
    return people.found, people.refused


def set_totals(workspace: Workspace, who: Who, totals: Sequence[ImportedTotal]) -> Outcome:
    """Set what somebody did before we heard of them, event by event: a baseline beside what their events say.

    Setting the same twice changes nothing. Of several totals of one event the last counts.
    """
    with transaction.atomic():
        names = dict.fromkeys(total.name for total in totals)
        contacts, types = _known(workspace, {who}, names)
        if names.keys() - _allowed(workspace, names, types):
            return _one_name_too_many(workspace)
        people = _People(workspace)
        people.find_or_create({who}, contacts)
        if who in people.refused:
            return Outcome(*people.refused[who])
        types |= _make_types(workspace, names.keys() - types.keys())
        rows = {types[total.name][0]: (total.count, total.first, total.last) for total in totals}
        dialect().set_baselines([(type, people.of(who), *rows[type]) for type in sorted(rows)])
    return Outcome(person_created=who in people.created)


# What they did -------------------------------------------------------------------------------------------------------


def event_type(workspace: Workspace, name: str) -> EventType:
    """Return the type with this (normalised) name, made if no event of it came in yet."""
    try:
        return EventType.objects.get(workspace=workspace, name=name)
    except EventType.DoesNotExist:
        _make_types(workspace, {name})
        return EventType.objects.get(workspace=workspace, name=name)


def names_without_room(workspace: Workspace, names: Iterable[str]) -> set[str]:
    """Return those of these (normalised) names for which the workspace has no room: new ones beyond its limit."""
    names = dict.fromkeys(names)
    return names.keys() - _allowed(workspace, names, _known(workspace, set(), names)[1])


def _allowed(workspace, names: Iterable[str], types) -> set[str]:
    """Return the names that are there, and as many new ones as the workspace has room for, in the order sent.

    Two writers at once may find the same room; a name that is there is never refused.
    """
    new = [name for name in names if name not in types]
    if new and workspace.event_name_limit:
        active = EventType.objects.filter(workspace=workspace, archived_at=None).count()
        new = new[: max(workspace.event_name_limit - active, 0)]
    return {*types, *new}


def _one_name_too_many(workspace) -> Outcome:
    """As Intercom says it: that code is the text "422"."""
    message = f"Cannot have more than {workspace.event_name_limit} active event names"
    return Outcome(Fault("422", message, "event_name"), 422)


def _make_types(workspace, names: set[str]) -> dict[str, tuple[int, bool]]:
    if not names:
        return {}
    new = [EventType(workspace=workspace, name=name) for name in sorted(names)]
    EventType.objects.bulk_create(new, ignore_conflicts=True)
    return dialect().known(workspace.pk, (), names)[1]
