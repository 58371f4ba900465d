"""The email channel."""

import smtplib
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from messaging import text
from messaging.channels.outcomes import RefusedForGood, TryAgainLater
from messaging.models import DOMAIN, Delivery
from messaging.tracking import tracked

Reason = Delivery.Reason


def reason_not_to(delivery):
    """Who has no address, or wants no mail."""
    contact = delivery.contact
    if not contact.email:
        return Reason.NO_ADDRESS
    if contact.unsubscribed_from_emails and not delivery.message.is_transactional:
        return Reason.UNSUBSCRIBED
    return None


def write(delivery):
    """Fill in subject and body from its rule, its event and its person. Raises TextError."""
    rule = delivery.message
    values = text.context(delivery.event, delivery.contact, rule.workspace)
    delivery.subject, delivery.body = text.subject(rule.subject, values), text.body(rule.body, values)


def send(delivery):
    """Hand it to the mail server, and translate what that says, once. Raises RefusedForGood or TryAgainLater."""
    try:
        _mail(delivery).send()
    except smtplib.SMTPRecipientsRefused as error:
        [(code, words), *_] = error.recipients.values()
        raise _refusal(code, words) from error
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused, smtplib.SMTPConnectError) as error:
        # Credentials, sender and connection are the operator's to mend, not the message's end.
        raise TryAgainLater(f"{error.smtp_code} {_words(error.smtp_error)}") from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise TryAgainLater(f"{type(error).__name__}: {error}") from error
    except ValueError as error:
        # An address or a header that no mail can carry.
        raise RefusedForGood(str(error)) from error


def _refusal(code: int, words) -> Exception:
    kind = RefusedForGood if 500 <= code < 600 else TryAgainLater
    return kind(f"{code} {_words(words)}")


def _words(said) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def new_id() -> str:
    """A Message-ID for a mail that is no delivery."""
    return f"<{uuid4()}@{DOMAIN}>"


def _mail(delivery) -> EmailMultiAlternatives:
    html = tracked(delivery.body, delivery)
    return message(delivery.subject, delivery.body, delivery.contact.email, delivery.mail_id, html=html)


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
