"""Merging somebody into whom they turned out to be: all that the one did is the other's from then on.

What stays of the one is a tombstone that names its heir, so that whoever knows its ids still reaches the person.
"""

from contextlib import contextmanager, nullcontext

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q

from eventsapp import erasing, signals, volumes
from eventsapp.errors import Fault, NotFound, Refused
from eventsapp.models import Contact, Event, EventSummary, HandOver, Tag, Tagging, now_in_seconds
from eventsapp.sql import dialect

TRIES = 10
# Well below the second after which PostgreSQL ends one of two transactions that wait for each other: whoever stores an
# event is not the one that has to begin anew.
PATIENCE = "200ms"

LATELY = erasing.LATELY

# In the order in which whoever stores events takes them, and with those that the heir has not yet: a summary that is
# held can't be made by another.
HOLD_SUMMARIES = """
    INSERT INTO eventsapp_eventsummary AS old (type_id, contact_id, count, imported_count)
    SELECT done.type_id, person.id, 0, 0
    FROM (
        SELECT type_id FROM eventsapp_eventsummary WHERE contact_id = %(source)s
        UNION SELECT type_id FROM eventsapp_handover WHERE contact_id = %(source)s
    ) AS done CROSS JOIN (SELECT %(source)s AS id UNION ALL SELECT %(into)s) AS person
    WHERE true ORDER BY 1, 2
    ON CONFLICT (type_id, contact_id) DO UPDATE SET count = old.count
    RETURNING type_id
"""
# That the heir has the same event, so that the one in `{table}` falls away.
IS_DOUBLE = """EXISTS (
    SELECT 1 FROM eventsapp_event AS same WHERE same.contact_id = %(into)s AND same.created_at = {table}.created_at
    AND same.type_id = {table}.type_id AND same.fingerprint = {table}.fingerprint)"""
DROP_HAND_OVERS = f"""
    DELETE FROM eventsapp_handover
    WHERE contact_id = %(source)s AND type_id IN ({{types}}) AND {IS_DOUBLE.format(table="eventsapp_handover")}
"""
ADD_UP = f"""
    UPDATE eventsapp_eventsummary SET
        count = eventsapp_eventsummary.count + came.count,
        first_at = {{least}}(coalesce(first_at, came.first), coalesce(came.first, first_at)),
        last_at = {{greatest}}(coalesce(last_at, came.last), coalesce(came.last, last_at)),
        imported_count = eventsapp_eventsummary.imported_count + came.imported,
        imported_first_at = {{least}}(
            coalesce(imported_first_at, came.imported_first), coalesce(came.imported_first, imported_first_at)),
        imported_last_at = {{greatest}}(
            coalesce(imported_last_at, came.imported_last), coalesce(came.imported_last, imported_last_at))
    FROM (
        SELECT done.type_id AS type, coalesce(moving.count, 0) AS count, moving.first, moving.last,
            done.imported_count AS imported, done.imported_first_at AS imported_first,
            done.imported_last_at AS imported_last
        FROM eventsapp_eventsummary AS done LEFT JOIN (
            SELECT type_id, count(*) AS count, min(created_at) AS first, max(created_at) AS last
            FROM eventsapp_event AS event WHERE contact_id = %(source)s AND NOT {IS_DOUBLE.format(table="event")}
            GROUP BY type_id
        ) AS moving ON moving.type_id = done.type_id
        WHERE done.contact_id = %(source)s
    ) AS came
    WHERE contact_id = %(into)s AND type_id = came.type AND type_id IN ({{types}})
"""
MOVE_EVENTS = f"""
    UPDATE eventsapp_event SET contact_id = %(into)s
    WHERE contact_id = %(source)s AND type_id IN ({{types}}) AND NOT {IS_DOUBLE.format(table="eventsapp_event")}
"""
# As if the heir had done it just now: a rule for somebody's nth of these events asks for the heir's nth.
MOVE_HAND_OVERS = """
    UPDATE eventsapp_handover SET contact_id = %(into)s, occurrence = moving.occurrence FROM (
        SELECT waiting.id, total.count + 1 - row_number() OVER (
            PARTITION BY waiting.type_id ORDER BY waiting.created_at DESC, waiting.fingerprint DESC
        ) AS occurrence
        FROM eventsapp_handover AS waiting JOIN eventsapp_eventsummary AS total
            ON total.type_id = waiting.type_id AND total.contact_id = %(into)s
        WHERE waiting.contact_id = %(source)s AND waiting.type_id IN ({types})
    ) AS moving WHERE eventsapp_handover.id = moving.id
"""


class CameAcross(Exception):
    """Somebody was merged into the source at the very moment it was to be merged itself."""


def merge(source: Contact, into: Contact, *, inherits: bool = True) -> Contact:
    """Let `into` be the heir of `source`, who is a tombstone from then on; return the heir as it is now. Twice is
    harmless. Raises NotFound when one of them was deleted, or merged into somebody else, and Refused (400) for one and
    the same contact or two workspaces. Which roles may be merged is the caller's to decide.

    The heir gets what it lacks of the other's fields, unless it does not inherit: then only what the other did.

    Where both have the same event, the heir's stays. Both imported totals are added up. An event without a uuid of its
    own has another id from then on: that is computed from whose it is.

    What is stored for `source` at this very moment may stay behind, for `finish`. Not to be called in a transaction
    that has stored events: that takes its locks in another order, and the two could wait for each other.
    """
    if source.workspace_id != into.workspace_id:
        raise Refused(Fault("invalid_merge", "People of two workspaces cannot be merged."))
    if source.pk == into.pk:
        raise Refused(Fault("invalid_merge", "Nobody can be merged into themselves."))
    return _patiently(_merge, source, into, inherits)


def lately_merged():
    """The queryset of tombstones for whom something may still have been stored after their merging."""
    return Contact.objects.filter(merged_into__isnull=False, updated_at__gte=now_in_seconds() - LATELY)


def finish():
    """Move what was being stored for somebody at the very moment of their merging. Asked by the sweep."""
    lately = lately_merged().order_by("pk")
    # Whose heir was being deleted at that moment goes with them.
    for contact in list(lately.filter(merged_into__deleted_at__isnull=False)):
        erasing.erase(contact)
    theirs = [Exists(model.objects.filter(contact=OuterRef("pk"))) for model in (EventSummary, HandOver, Tagging)]
    for contact in list(lately.filter(theirs[0] | theirs[1] | theirs[2])):
        _patiently(_finish, contact)


def _patiently(act, *arguments):
    """Do it in a transaction, and anew when somebody else's came across."""
    for chance in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                return act(*arguments)
        except (OperationalError, IntegrityError, CameAcross):
            if not chance or connection.vendor != "postgresql":
                raise


def _merge(source: Contact, into: Contact, inherits: bool) -> Contact:
    # Before the contacts, as whoever makes people by their emails.
    emails = Contact.objects.filter(pk=source.pk).exclude(email_folded=None).values_list("email_folded", flat=True)
    dialect().lock_emails(source.workspace_id, list(emails))
    earlier = Contact.objects.filter(merged_into=source.pk)
    locked = _locked(Q(pk__in=(source.pk, into.pk)) | Q(merged_into=source.pk))
    if earlier.exclude(pk__in=locked).exists():
        raise CameAcross
    source, into = locked.get(source.pk), locked.get(into.pk)
    if _is_gone(into):
        raise NotFound("The contact to merge into was deleted, or merged into another", "into")
    if source and source.merged_into_id == into.pk:
        return into
    if _is_gone(source):
        raise NotFound("The contact to merge was deleted, or merged into another", "from")
    if inherits:
        _inherit(source, into)
    _bury(source, into)
    # One step leads to the heir, however many were merged into one another.
    earlier.update(merged_into=into)
    _move(source, into)
    return into


def _finish(contact: Contact):
    locked = _locked(Q(pk__in=(contact.pk, contact.merged_into_id)))
    source, into = locked.get(contact.pk), locked.get(contact.merged_into_id)
    # Whatever became of them meanwhile, the next sweep sees it.
    if source and source.merged_into_id == contact.merged_into_id and not _is_gone(into):
        _move(source, into)


def _locked(who: Q) -> dict[int, Contact]:
    """Nobody else changes, merges or deletes them now; whoever stores an event of theirs goes on."""
    contacts = Contact.objects.filter(who).select_related("workspace").order_by("pk")
    return {contact.pk: contact for contact in contacts.select_for_update(of=("self",), no_key=True)}


def _is_gone(contact: Contact | None) -> bool:
    return contact is None or contact.deleted_at is not None or contact.merged_into_id is not None


# Who they are --------------------------------------------------------------------------------------------------------


def _inherit(source: Contact, into: Contact):
    """Give the heir what it lacks."""
    for field in ("name", "phone"):
        setattr(into, field, getattr(into, field) or getattr(source, field))
    if not into.email and source.email and _may_have(into, source.email_folded, source):
        into.email = source.email
    into.custom_attributes = source.custom_attributes | into.custom_attributes
    into.created_at = min(into.created_at, source.created_at)
    into.signed_up_at = _of_both(min, into.signed_up_at, source.signed_up_at)
    into.last_seen_at = _of_both(max, into.last_seen_at, source.last_seen_at)
    into.unsubscribed_from_emails |= source.unsubscribed_from_emails


def _bury(source: Contact, into: Contact):
    """Make a tombstone of the one, and keep the other as it is now."""
    into.updated_at = now_in_seconds()
    into.fold_texts()
    source.merged_into, source.updated_at = into, into.updated_at
    # Its email is found by nobody and bars nobody, and stays to be forgotten with the person. Its user_id still leads
    # to the heir.
    source.email_folded = source.name = source.name_folded = source.phone = source.terms = None
    source.custom_attributes, source.signed_up_at, source.last_seen_at = {}, None, None
    # The tombstone first: two users never have one email, not even for a moment.
    source.save()
    into.save()


def _of_both(choose, one: int | None, other: int | None) -> int | None:
    return choose((time for time in (one, other) if time is not None), default=None)


def _may_have(contact: Contact, email_folded: str, source: Contact) -> bool:
    """Whether no other user bars the email, as when somebody is made."""
    if contact.role != Contact.Role.USER:
        return True
    users = Contact.objects.filter(workspace=contact.workspace_id, role=Contact.Role.USER, email_folded=email_folded)
    if contact.external_id:
        # The same address under another user_id is another person.
        users = users.filter(external_id=None)
    return not users.present().exclude(pk__in=(contact.pk, source.pk)).exists()


# What they did -------------------------------------------------------------------------------------------------------


def _move(source: Contact, into: Contact):
    """Must run in a transaction that holds both.

    The order is that of all who write: whoever stores an event, deletes a type's or a person's holds, or waits for, its
    summary; whoever matches holds hand-overs and then decides who gets a message; the types come last, as when a rule
    goes live.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLD_SUMMARIES, {"source": source.pk, "into": into.pk})
        # What is of another type since then is not waited for.
        types = sorted({type for (type,) in cursor.fetchall()})
        if types:
            _move_events(cursor, source, into, types)
    _move_tags(source, into)
    signals.contact_merging.send(sender=Contact, source=source, into=into)
    # What is left of these types is doubles.
    if Event.objects.filter(contact=source.pk, type__in=types).exists():
        volumes.take_out([source.pk])
    for model in (Event, EventSummary):
        model.objects.filter(contact=source.pk, type__in=types).delete()


def _move_events(cursor, source: Contact, into: Contact, types: list[int]):
    waiting = HandOver.objects.filter(contact__in=(source.pk, into.pk), type__in=types).order_by("pk")
    list(waiting.select_for_update(no_key=True).values_list("pk"))
    words = {"types": ", ".join(map(str, types)), "least": dialect().least, "greatest": dialect().greatest}
    for statement in (DROP_HAND_OVERS, ADD_UP, MOVE_EVENTS, MOVE_HAND_OVERS):
        with _impatience(cursor) if statement is MOVE_EVENTS else nullcontext():
            cursor.execute(statement.format(**words), {"source": source.pk, "into": into.pk})


@contextmanager
def _impatience(cursor):
    """Whoever stores the same for the heir just now, and is waited for, waits for the summary that is held here."""
    if connection.vendor == "postgresql":
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    yield
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


def _move_tags(source: Contact, into: Contact):
    # The tags first, as whoever deletes one.
    tags = dialect().hold(Tag, list(Tagging.objects.filter(contact=source).values_list("tag_id", flat=True)))
    Tagging.objects.bulk_create([Tagging(tag_id=tag, contact=into) for tag in tags], ignore_conflicts=True)
    Tagging.objects.filter(contact=source, tag__in=tags).delete()
