"""Everybody who matches, as CSV: written while it is read, so that a million people need no more memory than some."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime

from eventsapp.cells import BOM, Line, safe
from eventsapp.learned import attribute_keys
from eventsapp.models import Contact, EventSummary, Tagging
from eventsapp.pool import lend
from segments.definition import Definition
from segments.engine import Answer

AT_ONCE = 2_000
FIELDS = ("name", "email", "user_id", "phone", "role")
TIMES = ("signed_up_at", "created_at", "last_seen_at")


def csv_of(definition: Definition, result: Answer) -> Iterator[str]:
    """Yield the lines of a CSV file about those who match, the newest first: what is known of them, their tags, each
    custom attribute, and count, first and last of each event that is asked about; their id is last, because Excel
    takes one without letters for a number. Times are in UTC, as spreadsheets read them."""
    writer = csv.writer(Line())
    keys = attribute_keys(definition.workspace)
    names = {name.name: name.type for leaf in definition.root.leaves() for name in leaf.names()}
    about_events = [f"{name} {word}" for name in names for word in ("count", "first", "last")]
    heads = [*FIELDS, *TIMES, "unsubscribed_from_emails", "tags", *keys, *about_events, "id"]
    yield BOM + writer.writerow(map(safe, heads))
    before = None
    while ids := result.page(before=before, size=AT_ONCE):
        rows = list(_rows(definition.workspace, ids, keys, list(names.values())))
        # A reader may be slow.
        lend()
        for row in rows:
            yield writer.writerow(map(safe, row))
        before = ids[-1]


def _rows(workspace, ids, keys, types) -> Iterator[list]:
    contacts = Contact.objects.in_bulk(ids)
    tags: dict[int, list[str]] = {}
    for contact, tag in (
        Tagging.objects.filter(contact__in=ids).order_by("tag__name_folded").values_list("contact_id", "tag__name")
    ):
        tags.setdefault(contact, []).append(tag)
    summaries = EventSummary.objects.filter(contact__in=ids, type__in=[type for type in types if type]).with_totals()
    done = {(row.contact_id, row.type_id): row for row in summaries}
    for contact in (contacts[pk] for pk in ids if pk in contacts):
        contact.workspace = workspace
        row = [contact.name, contact.email, contact.external_id, contact.phone, contact.role]
        row += [_time(getattr(contact, field)) for field in TIMES]
        row += [contact.unsubscribed_from_emails, ", ".join(tags.get(contact.pk, ()))]
        row += [contact.custom_attributes.get(key) for key in keys]
        for type in types:
            summary = done.get((contact.pk, type))
            row += [summary.total, _time(summary.first), _time(summary.last)] if summary else [0, None, None]
        yield [*row, contact.public_id]


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
