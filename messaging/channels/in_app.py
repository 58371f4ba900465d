"""The in-app channel: a message is kept for its person, whose browser asks for it."""

from eventsapp.models import Contact
from messaging import text
from messaging.models import Mailbox


def reason_not_to(delivery):
    """Whoever is among the people can get it."""
    return None


def write(delivery):
    """Fill in its heading and its text. Raises TextError.

    Whoever sent an event from a browser that proved nothing may be somebody else, and reads the message: then nothing
    of the person stands in it.
    """
    rule, contact = delivery.message, delivery.contact
    if delivery.is_unverified:
        contact = Contact(workspace=rule.workspace, pk=0)
    values = text.context(delivery.event, contact, rule.workspace) | {"unsubscribe_url": ""}
    delivery.subject, delivery.body = text.subject(rule.subject, values), text.body(rule.body, values)


def send(delivery):
    """There is nothing to hand over: from the moment that it is noted as sent it can be asked for."""
    Mailbox.changed(delivery.contact_id)
