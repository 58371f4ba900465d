"""The webhook channel."""

import json

from messaging.channels.outcomes import TryAgainLater


def reason_not_to(delivery):
    """Whoever is among the people can cause one."""
    return None


def write(delivery):
    """Fill in the JSON that is posted."""
    contact = delivery.contact
    delivery.subject = delivery.message.url
    delivery.body = json.dumps(
        {"id": str(delivery.uuid), "event": delivery.event, "contact": {"id": contact.public_id}}
    )


def send(delivery):
    raise TryAgainLater("webhooks cannot be sent yet")
