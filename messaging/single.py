"""A message to one person, now: no rule and no event stand behind it, but it is delivered as those of rules are."""

import re
from uuid import UUID, uuid4, uuid5

from django.db import IntegrityError, transaction
from django.utils.text import Truncator

from eventsapp.errors import Fault, Refused, invalid
from eventsapp.models import Contact, Membership, Workspace, now_in_seconds
from eventsapp.sql import dialect
from eventsapp.wakeups import wake
from messaging import text
from messaging.channels import CHANNELS
from messaging.models import AutoMessage, Delivery, Sender

KEYS = UUID("6c5c1d0e-9a53-4d39-8f52-6f0f6d1f7a10")  # the space of the ids that come of keys
MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
MOST_NAMED = 100  # characters by which a list calls a message


def send_now(
    workspace: Workspace,
    contact: Contact,
    *,
    channel: str,
    subject: str,
    body: str,
    owner: Membership | None = None,
    key: str | None = None,
) -> Delivery:
    """Queue a message to one person, and return its delivery. The same `key` again sends nothing new, and returns the
    first.

    Subject and body are filled in as those of rules are, without an event. Raises Refused: (400) for a text that cannot
    be read, (422) for somebody who could not get it.
    """
    id = uuid5(KEYS, f"{workspace.key}:{key}") if key else uuid4()
    if key and (known := _known(workspace, id)):
        return known
    _check(subject, body)
    message = AutoMessage(
        workspace=workspace,
        name=_name(subject or text.plain(body)),
        state=AutoMessage.State.LIVE,
        frequency=AutoMessage.Frequency.EVERY_TIME,
        channel=channel,
        subject=subject,
        body=body,
        sender=_sender(workspace, owner),
        owner=owner and owner.user,
    )
    event = {"id": str(id), "event_name": "", "created_at": now_in_seconds(), "metadata": {}}
    delivery = Delivery(uuid=id, message=message, contact=contact, event_id=id, event=event)
    _check_reader(delivery)
    try:
        with transaction.atomic():
            if message.sender_id and not dialect().hold(Sender, [message.sender_id]):
                message.sender = None
            message.save()
            delivery.save()
            transaction.on_commit(lambda: wake("messaging.tasks.send_due"))
    except IntegrityError:
        # The same key came twice at once.
        if known := _known(workspace, id):
            return known
        raise
    return delivery


def _name(written: str) -> str:
    """What lists call it: how it begins, before it is filled in."""
    return Truncator(MARKUP.sub("…", written).strip()).chars(MOST_NAMED) or "A message"


def _known(workspace: Workspace, id: UUID) -> Delivery | None:
    found = Delivery.objects.select_related("message__owner", "contact__workspace", "version")
    return found.filter(message__workspace=workspace, uuid=id).first()


def _check(subject: str, body: str):
    for name, source in (("subject", subject), ("body", body)):
        if fault := text.fault_in(source):
            raise Refused(invalid(name, f"The {name}: {fault}"))


def _check_reader(delivery: Delivery):
    """Somebody who could not get it is told of at once: whoever asks is there to hear it."""
    contact = delivery.contact
    reason = CHANNELS[delivery.message.channel].reason_not_to(delivery)
    if contact.role == Contact.Role.VISITOR or contact.archived_at:
        reason = Delivery.Reason.GONE
    if reason:
        message = f"They cannot get it: {Delivery.Reason(reason).label.lower()}."
        raise Refused(Fault("parameter_invalid", message, "to"), status=422)


def _sender(workspace: Workspace, owner: Membership | None):
    """The colleague's own address, where it is one that mails may come from."""
    return workspace.senders.filter(email__iexact=owner.user.email).first() if owner else None
