"""Many people at once, from files and bulk jobs: what becomes of each row, some hundred rows in one transaction.

It is what `POST /users` does with each of them, one after the other: change the person with this id, else this user_id,
else the user (or lead, where the row says so) with this email; make one when nobody is found. Fires no message and
makes no event; running it again changes nothing.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from django.db import IntegrityError, transaction

from eventsapp import attributes, people
from eventsapp.attributes import CUSTOM
from eventsapp.cells import BOM, Line, bare, rows_in, safe
from eventsapp.errors import Fault, Merged, NotFound, Refused, shared
from eventsapp.importing import ahead
from eventsapp.incoming import EMAIL
from eventsapp.ingest import TRIES
from eventsapp.models import Contact, Tag, Tagging, Workspace, now_in_seconds
from eventsapp.people_columns import MOST_COLUMNS, Columns, Row
from eventsapp.sql import dialect, let_others_write
from eventsapp.text import fold

AT_ONCE = 500  # rows in one transaction
MOST_CELLS = 1_000  # of one row
SAMPLE = 20  # rows by which to guess what a column is for
FIRST = 20  # refused rows that are told at once


class Became(StrEnum):
    MADE = "made"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row, and why it was refused."""

    what: Became
    faults: tuple[Fault, ...] = ()

    @property
    def sentence(self) -> str:
        """The faults in words; those of an attribute begin with its column."""
        return "; ".join(
            f"{fault.field}: {fault.message}" if (fault.field or "").startswith(CUSTOM) else fault.message
            for fault in self.faults
        )


# Files ---------------------------------------------------------------------------------------------------------------


def open_rows(raw: Iterable[bytes]) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV file and its rows with their line numbers; rows of empty cells are none. Raises
    ValueError, while they are read too, that says what is wrong with the file."""
    rows = _told(raw)
    _, header = next(rows, (0, []))
    header = [bare(name) for name in header]
    if not any(header):
        raise ValueError("The file is empty. Its first line must name the columns.")
    if len(header) > MOST_COLUMNS:
        raise ValueError(f"The file has {len(header)} columns. Leave some out: at most {MOST_COLUMNS} are read.")
    if any("\0" in name for name in header):
        raise ValueError("The first line holds a NUL character. Is this a CSV file?")
    if any(map(EMAIL.match, header)):
        raise ValueError("The first line must name the columns, and here it holds an email address.")
    return header, ((line, cells) for line, cells in rows if any(map(str.strip, cells)))


def _told(raw) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        for line, cells in rows_in(raw):
            if len(cells) > MOST_CELLS:
                raise ValueError(f"Line {line:,} has {len(cells):,} cells. Is this a CSV file, and a quote left out?")
            yield line, cells
    except UnicodeDecodeError as error:
        message = "The file is not UTF-8. Save it once more, in Excel as “CSV UTF-8”."
        raise ValueError(message) from error
    except csv.Error as error:
        raise ValueError(f"The file breaks off after line {line:,}: {error}. Is a quote left open?") from error


def refused_csv(header: Sequence[str], refused: Iterable[tuple[int, str, Sequence[str]]]) -> Iterator[str]:
    """Yield the lines of a CSV file of refused rows (line number, sentence, cells): the columns they had, `line` and
    `error`. Mended, it can be imported as it is."""

    writer, long = csv.writer(Line()), len(header)
    yield BOM + writer.writerow(map(safe, [*header, "line", "error"]))
    for line, sentence, cells in refused:
        # What was too much stays too much.
        row = [*cells[:long], *[""] * (long - len(cells)), line, sentence, *cells[long:]]
        yield writer.writerow(map(safe, row))


@dataclass
class Report:
    """What became of a file's rows; `first_refused` are (line number, sentence) of the first ones."""

    became: Counter
    first_refused: list[tuple[int, str]]


def import_file(
    workspace: Workspace,
    path: Path,
    columns: Columns,
    *,
    rejected: Path,
    progress: Callable[[int], None] = lambda position: None,
) -> Report:
    """Make and change the people in a .csv file; return what became of its rows.

    Rows that are refused are written to `rejected`, as `refused_csv` has them. `progress` hears the position in the
    file, in bytes. Raises ValueError when the file cannot be read, up to its end.
    """
    report = Report(Counter(), [])
    with path.open("rb") as raw, rejected.open("w", newline="") as bad:
        header, rows = open_rows(raw)

        def refused() -> Iterator[tuple[int, str, list[str]]]:
            for batch, position in ahead(lambda: (read_batch(columns, rows), raw.tell())):
                for row, outcome in zip(batch, store(workspace, batch), strict=True):
                    report.became[outcome.what] += 1
                    if outcome.what == Became.REFUSED:
                        yield row.line, outcome.sentence, row.cells
                progress(position)
                let_others_write()

        for line in refused_csv(header, _noted(refused(), report)):
            bad.write(line)
    if not report.became[Became.REFUSED]:
        rejected.unlink()
    return report


def _noted(refused, report):
    for line, sentence, cells in refused:
        if len(report.first_refused) < FIRST:
            report.first_refused.append((line, sentence))
        yield line, sentence, cells


def read_batch(columns: Columns, rows: Iterable[tuple[int, list[str]]]) -> list[Row]:
    return [columns.row(line, cells) for line, cells in islice(rows, AT_ONCE)]


# Rows ----------------------------------------------------------------------------------------------------------------


@transaction.atomic
def store(workspace: Workspace, rows: Sequence[Row]) -> list[Outcome]:
    """Do what the rows ask for, each as if the ones before were done already; answer one Outcome for each. It is one
    transaction, or part of the caller's."""
    for _ in range(TRIES):
        # Somebody else may make one of these people, or delete a tag, at this very moment.
        with suppress(IntegrityError), transaction.atomic():
            return _store(workspace, rows)
    if len(rows) == 1:
        return [_refused(people.is_taken())]
    # Such as two people who change their user_ids: no one statement does that.
    return [outcome for row in rows for outcome in store(workspace, [row])]


def _refused(refused: Refused) -> Outcome:
    return Outcome(Became.REFUSED, refused.faults)


def _store(workspace, rows) -> list[Outcome]:
    good = [row for row in rows if not row.fault]
    # People first, as everybody who changes one of them takes them before their attributes.
    crowd, outcomes = _Crowd(workspace, good), []
    for row in rows:
        if row.fault:
            outcomes.append(Outcome(Became.REFUSED, (Fault("parameter_invalid", row.fault),)))
            continue
        try:
            outcomes.append(Outcome(crowd.do(row)))
        except Refused as refused:
            outcomes.append(_refused(refused))
    crowd.write()
    return outcomes


class _Crowd:
    """Whomever some rows can be about, as they are after each row: looked up once, written once.

    Nobody else changes them meanwhile, nor makes a person with one of their emails alone; if somebody makes one with
    a user_id of theirs, or gives it to another, `write` fails.
    """

    def __init__(self, workspace: Workspace, rows: Sequence[Row]):
        self.workspace = workspace
        pks = {pk for row in rows if row.public_id and (pk := workspace.contact_pk(row.public_id))}
        user_ids = {row.fields["external_id"] for row in rows if row.fields.get("external_id")}
        emails = {fold(row.fields["email"]) for row in rows if row.fields.get("email")}
        if emails:
            dialect().lock_emails(workspace.pk, emails)
        contacts = Contact.objects.filter(workspace=workspace, deleted_at=None)
        # Each by its own index; asked for any of the three at once, PostgreSQL may read everybody.
        for theirs in ({"external_id__in": user_ids}, {"email_folded__in": emails}):
            pks.update(contacts.filter(**theirs).values_list("pk", flat=True))
        known = list(contacts.filter(pk__in=pks).order_by("pk").select_for_update(no_key=True))
        self.by_pk = {contact.pk: contact for contact in known}
        self.by_user_id: dict[str, Contact] = {}
        self.by_email: dict[str, list[Contact]] = {}
        self.made: list[Contact] = []
        self.changed: dict[int, Contact] = {}
        for contact in known:
            contact.workspace = workspace
            self._enter(contact)
        self.tags = _Tags(workspace, rows, self.by_pk)
        self.types = attributes.Types(workspace, [row.fields.get("custom_attributes", {}) for row in rows])
        self.written: list[dict] = []  # the attributes that rows changed

    def _enter(self, contact: Contact):
        if contact.external_id:
            self.by_user_id[contact.external_id] = contact
        if contact.email_folded:
            self.by_email.setdefault(contact.email_folded, []).append(contact)

    def _leave(self, contact: Contact):
        self.by_user_id.pop(contact.external_id, None)
        if contact.email_folded:
            self.by_email[contact.email_folded].remove(contact)

    def do(self, row: Row) -> Became:
        """Do what a row asks for, if no attribute that it changes is of another type than its own. Raises Refused, and
        then nothing is done, nor learned."""
        contact = self._named(row)
        is_new = contact is None
        changed = people.changed_attributes({} if is_new else contact.custom_attributes, row.fields)
        self.types.check(changed)
        if is_new:
            contact = self._make(row.fields)
        is_changed = not is_new and self._change(contact, row.fields)
        self.types.learn(changed)
        self.written.append(changed)
        is_tagged = self.tags.put(contact, row.tags)
        return Became.MADE if is_new else Became.CHANGED if is_changed or is_tagged else Became.UNCHANGED

    def _named(self, row: Row) -> Contact | None:
        """As `people.change_or_create_user` finds them, but for leads."""
        if row.public_id:
            contact = self.by_pk.get(self.workspace.contact_pk(row.public_id))
            if contact is None:
                raise NotFound("User Not Found", "id")
            if contact.merged_into_id:
                raise Merged(self.workspace.contact_id(contact.merged_into_id))
            return contact
        user_id, email = row.fields.get("external_id"), row.fields.get("email")
        holders = self.by_email.get(fold(email), ()) if email else ()
        if user_id:
            holder = self.by_user_id.get(user_id)
            if holder and not holder.merged_into_id:
                return holder
            # Who is known by the email alone becomes the one with the new user_id.
            return next(filter(_is_nameless, holders), None)
        holders = [contact for contact in holders if contact.role == row.fields.get("role", Contact.Role.USER)]
        if len(holders) > 1:
            raise Refused(shared(email, len(holders)), status=409)
        return holders[0] if holders else None

    def _make(self, fields: dict) -> Contact:
        contact = Contact(workspace=self.workspace, **fields)
        contact.custom_attributes = people.without_nulls(contact.custom_attributes)
        if contact.external_id in self.by_user_id:
            raise people.was_merged(contact.external_id)
        contact.fold_texts()
        self._enter(contact)
        self.made.append(contact)
        return contact

    def _change(self, contact: Contact, fields: dict) -> bool:
        """Return whether that changes anything."""
        theirs = contact.custom_attributes | fields.get("custom_attributes", {})
        wanted = fields | {"custom_attributes": people.without_nulls(theirs)}
        changes = {name: value for name, value in wanted.items() if not _same(getattr(contact, name), value)}
        if not changes:
            return False
        before = {name: getattr(contact, name) for name in changes}
        self._leave(contact)
        _set(contact, changes)
        if double := self._double_of(contact):
            _set(contact, before)
            self._enter(contact)
            raise people.doubles(double) if double.pk and not double.merged_into_id else people.is_taken()
        contact.updated_at = now_in_seconds()
        self._enter(contact)
        if contact.pk:
            self.changed[contact.pk] = contact
        return True

    def _double_of(self, contact: Contact) -> Contact | None:
        """Whom the constraints of the table would name."""
        if contact.external_id:
            return self.by_user_id.get(contact.external_id)
        same = self.by_email.get(contact.email_folded, ()) if _is_nameless(contact) else ()
        return next(filter(_is_nameless, same), None)

    def write(self):
        """Raises IntegrityError when somebody else was faster."""
        # Before anybody is made, as everybody does who makes them.
        self.types.write()
        if any(map(self.types.misfits, self.written)):
            raise IntegrityError("Somebody else gave an attribute another type at this very moment.")
        if self.changed:
            dialect().change_contacts([self.changed[pk] for pk in sorted(self.changed)])
        # In the order of everybody who makes people.
        self.made.sort(key=lambda contact: (not contact.external_id, contact.external_id or contact.email_folded))
        Contact.objects.bulk_create(self.made)
        self.tags.write()


def _is_nameless(contact: Contact) -> bool:
    return contact.role == Contact.Role.USER and not contact.external_id


def _set(contact: Contact, values: dict):
    for name, value in values.items():
        setattr(contact, name, value)
    contact.fold_texts()


def _same(one, other) -> bool:
    """Whether two values are the same to JSON, to which true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


class _Tags:
    """The tags that rows put on people: looked up once, written once. Made if they are new."""

    def __init__(self, workspace: Workspace, rows: Iterable[Row], known: dict[int, Contact]):
        self.workspace = workspace
        self.names: dict[str, str] = {}
        for name in (name for row in rows for name in row.tags):
            self.names.setdefault(fold(name), name)
        on_them = Tagging.objects.filter(tag__name_folded__in=self.names, contact__in=known)
        on_them = on_them.values_list("contact_id", "tag__name_folded") if self.names else ()
        # A new person has no key yet to be known by.
        self.there = {(id(known[pk]), folded) for pk, folded in on_them}
        self.new: list[tuple[Contact, str]] = []

    def put(self, contact: Contact, names: Iterable[str]) -> bool:
        """Return whether one of them was not on this person."""
        new = [folded for folded in map(fold, names) if (id(contact), folded) not in self.there]
        self.there.update((id(contact), folded) for folded in new)
        self.new += [(contact, folded) for folded in new]
        return bool(new)

    def write(self):
        if not self.new:
            return
        used = sorted({folded for _, folded in self.new})
        tags = [Tag(workspace=self.workspace, name=self.names[folded], name_folded=folded) for folded in used]
        Tag.objects.bulk_create(tags, ignore_conflicts=True)
        # Nobody deletes them until they are on everybody.
        there = self.workspace.tags.filter(name_folded__in=used).order_by("pk").select_for_update(no_key=True)
        keys = dict(there.values_list("name_folded", "pk"))
        if len(keys) < len(used):
            raise IntegrityError("A tag was deleted at this very moment.")
        pairs = sorted((keys[folded], contact.pk) for contact, folded in self.new)
        Tagging.objects.bulk_create([Tagging(tag_id=tag, contact_id=pk) for tag, pk in pairs], ignore_conflicts=True)
