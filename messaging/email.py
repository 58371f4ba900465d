"""The email channel: how a delivery leaves the house."""

from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from messaging import text
from messaging.models import DOMAIN
from messaging.tracking import tracked


def new_id() -> str:
    """A Message-ID for a mail that is no delivery."""
    return f"<{uuid4()}@{DOMAIN}>"


def send(delivery):
    """Send one delivery. Raises what Django's email backend raises."""
    html = tracked(delivery.body, delivery)
    message(delivery.subject, delivery.body, delivery.contact.email, delivery.mail_id, html=html).send()


def message(subject: str, body: str, to: str, message_id: str, *, html: str = "") -> EmailMultiAlternatives:
    """Return a mail with `body` as text and as HTML, or `html` for that."""
    mail = EmailMultiAlternatives(
        subject,
        text.plain(body),
        settings.DEFAULT_FROM_EMAIL,
        [to],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(html or body, "text/html")
    return mail
