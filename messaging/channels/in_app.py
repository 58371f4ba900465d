"""The in-app channel: a message is kept for its person, whose browser asks for it."""

from messaging import text


def reason_not_to(delivery):
    """Whoever is among the people can get it."""
    return None


def write(delivery):
    """Fill in its heading and its text. Raises TextError."""
    rule = delivery.message
    values = text.context(delivery.event, delivery.contact, rule.workspace) | {"unsubscribe_url": ""}
    delivery.subject, delivery.body = text.subject(rule.subject, values), text.body(rule.body, values)


def send(delivery):
    """There is nothing to hand over: from the moment that it is noted as sent it can be asked for."""
