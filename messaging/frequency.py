"""How often one person gets a rule's message: decided under a lock, so that two events can't both be the first."""

from datetime import datetime, timedelta

from django.db.models.functions import Coalesce

from messaging.models import AutoMessage, Delivery, Recipient


def is_limited(rule: AutoMessage) -> bool:
    """Whether some of somebody's events may be one too many."""
    return rule.frequency != AutoMessage.Frequency.EVERY_TIME or rule.most_times is not None


def lock_recipients(rule: AutoMessage, people: set[int]):
    """Take the lock under which it is decided whether these people get the rule's message. Held until commit."""
    rows = [Recipient(message=rule, contact_id=contact) for contact in sorted(people)]
    Recipient.objects.bulk_create(rows, ignore_conflicts=True)
    list(Recipient.objects.filter(message=rule, contact__in=people).order_by("contact_id").select_for_update())


def counted(
    rule: AutoMessage, people: set[int], *, without: int | None = None
) -> dict[tuple[int, bool], list[datetime]]:
    """When each of these people got the rule's message, or is to get it, the delivery `without` left out.

    By person and whether it is unverified: whoever only claims to be somebody neither learns what the person got, nor
    uses it up.
    """
    found = {(contact, is_unverified): [] for contact in people for is_unverified in (False, True)}
    deliveries = Delivery.objects.counting().filter(message=rule, contact__in=people).exclude(pk=without)
    for contact, is_unverified, time in deliveries.values_list(
        "contact_id", "is_unverified", Coalesce("sent_at", "due_at")
    ):
        found[contact, is_unverified].append(time)
    return found


def allows(rule: AutoMessage, times: list[datetime], due: datetime) -> bool:
    """Whether whoever has the message at these times may have it at `due` as well."""
    most = 1 if rule.frequency == AutoMessage.Frequency.ONCE else rule.most_times
    if most is not None and len(times) >= most:
        return False
    if rule.frequency == AutoMessage.Frequency.ONCE_PER:
        apart = timedelta(seconds=rule.per_seconds)
        return all(abs(due - time) >= apart for time in times)
    return True
