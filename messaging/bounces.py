"""What a provider tells of mails: addresses that don't exist, and people who call a mail spam."""

import re
from contextlib import suppress

from anymail.signals import EventType, RejectReason, tracking
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.dispatch import receiver

from eventsapp.models import Contact, Workspace
from eventsapp.text import fold
from messaging.channels.outcomes import words
from messaging.models import Delivery, Suppression

# Full mailboxes and the like, for which some providers have the same kind of event as for addresses that don't exist.
PASSING = re.compile(r"soft|block", re.IGNORECASE)
UNREACHABLE = (RejectReason.BOUNCED, RejectReason.INVALID)


@receiver(tracking)
def note(sender, event, esp_name, **kwargs):
    """Write no more to an address that bounced for good, or whose owner complained."""
    reason = _reason(event)
    if reason is None or not event.recipient:
        return
    email = event.recipient.strip()
    said = words(" ".join(filter(None, (event.description, event.mta_response))))
    for workspace in _workspaces(event, fold(email)):
        Suppression.make(workspace, email, reason, f"{esp_name}: {said}" if said else esp_name)


def _reason(event) -> str | None:
    match event.event_type:
        case EventType.COMPLAINED:
            return Suppression.Reason.COMPLAINT
        case EventType.BOUNCED if event.reject_reason in (None, *UNREACHABLE) and not _will_pass(event):
            return Suppression.Reason.BOUNCE
        case EventType.REJECTED if event.reject_reason in UNREACHABLE:
            # The provider knows of a bounce: one before our time, or one that was lifted here alone.
            return Suppression.Reason.BOUNCE
    return None


def _will_pass(event) -> bool:
    told = event.esp_event or {}
    kinds = (str(told.get(key, "")) for key in ("Type", "type", "event"))
    # In the words of SES, of Mailjet, and of the others.
    is_transient = (event.description or "").startswith("Transient")
    return is_transient or told.get("hard_bounce") is False or any(map(PASSING.search, kinds))


def _workspaces(event, email: str) -> QuerySet[Workspace]:
    """Whose mail it was; if that is not known, all that have somebody with this address."""
    owners = Contact.objects.filter(email_folded=email).values("workspace")
    with suppress(ValidationError):  # a uuid of somebody else's, who has the same provider
        mailed = Delivery.objects.filter(uuid=str((event.metadata or {}).get("delivery")))
        if mailed.exists():
            owners = mailed.values("contact__workspace")
    return Workspace.objects.filter(pk__in=owners)
