"""The webhook channel: the message is a JSON body, posted to an address that the rule names and signed for it."""

import hashlib
import hmac
import json
import time

from messaging.channels.outcomes import RefusedForGood, TryAgainLater
from messaging.channels.outgoing import fault_in_url, post
from messaging.models import Policy

USER_AGENT = "Eventsapp-Webhook/1"
# What may be otherwise next time, beside everything that the server takes upon itself.
LATER = {408, 425, 429}


def reason_not_to(delivery):
    """Whoever is among the people can cause one."""
    return None


def write(delivery):
    """Fill in the JSON that is posted, and where to."""
    rule, contact, event = delivery.message, delivery.contact, delivery.event
    body = {
        "type": "event_message",
        "id": str(delivery.uuid),
        "workspace": rule.workspace.app_id,
        "rule": {"id": str(rule.pk), "name": rule.name},
        "event": {"id": str(delivery.event_id)} | event,
        "contact": {
            "id": contact.public_id,
            "user_id": contact.external_id,
            "email": contact.email,
            "name": contact.name,
            "custom_attributes": contact.custom_attributes,
        },
        "sent_at": int(time.time()),
    }
    delivery.subject, delivery.body = rule.url, json.dumps(body)


def send(delivery):
    """Post it, and translate the answer, once. Raises RefusedForGood or TryAgainLater."""
    if fault := fault_in_url(delivery.subject):
        raise RefusedForGood(fault)
    body, at = delivery.body.encode(), str(int(time.time()))
    secret = Policy.of(delivery.message.workspace).webhook_secret
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Idempotency-Key": str(delivery.uuid),
        "X-Eventsapp-Timestamp": at,
        "X-Eventsapp-Signature": signature(secret, at, body),
        "Connection": "close",
    }
    answer = post(delivery.subject, body, headers)
    if 200 <= answer.status < 300:
        return
    if answer.status in LATER or answer.status >= 500:
        raise TryAgainLater(str(answer))
    if 300 <= answer.status < 400:
        raise RefusedForGood(f"{answer}. Redirects are not followed: write the address that this one leads to.")
    raise RefusedForGood(str(answer))


def signature(secret: str, at: str, body: bytes) -> str:
    """By which the receiver knows that we posted this body, and when."""
    return "v1=" + hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
