"""Who may get a rule's messages."""

from eventsapp.models import Contact, now_in_seconds
from messaging.models import AutoMessage
from segments.definition import parse
from segments.engine import answer, everyone


def audience_of(rule: AutoMessage, people: set[int]):
    """Those of `people` (ids) who belong to the rule's audience now, events counted that were stored until now."""
    definition = rule.audience.definition if rule.audience else rule.conditions
    if definition is None:
        return everyone(rule.workspace, people)
    return answer(parse(rule.workspace, definition), now_in_seconds(), among=people).ids


def is_in_audience(rule: AutoMessage, contact: Contact) -> bool:
    return contact.pk in audience_of(rule, {contact.pk})
