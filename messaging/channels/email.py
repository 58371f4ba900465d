"""The email channel."""

import re
import smtplib
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.utils.html import escape

from eventsapp.models import Contact
from eventsapp.text import fold
from messaging import outbox, text, unsubscribing
from messaging.channels.outcomes import RefusedForGood, TryAgainLater, words
from messaging.models import DOMAIN, Delivery, Sender, Suppression
from messaging.tracking import tracked

try:
    from anymail.exceptions import AnymailRecipientsRefused as RecipientsRefused
except ImportError:  # an extra

    class RecipientsRefused(Exception):
        """No address of a mail is one that the provider sends to."""


Reason = Delivery.Reason
# RFC 3463 and RFC 7505: no such mailbox, one that moved and left no address, a domain that takes no mail. What else a
# server refuses, it may take another time.
NOBODY_THERE = re.compile(r"55\d 5\.1\.(1|6|10)\b")


def reason_not_to(delivery):
    """Who has no address, or one that takes no mail, or wants none."""
    contact = delivery.contact
    if not contact.email:
        return Reason.NO_ADDRESS
    if Suppression.of(contact.workspace_id, fold(contact.email)).exists():
        return Reason.SUPPRESSED
    if contact.unsubscribed_from_emails and not delivery.message.is_transactional:
        return Reason.UNSUBSCRIBED
    return None


def write(delivery):
    """Fill in subject and body from its rule, its event and its person. Raises TextError."""
    rule = delivery.message
    values = text.context(delivery.event, delivery.contact, rule.workspace)
    delivery.subject, delivery.body = (
        text.subject(rule.subject, values),
        with_way_out(text.body(rule.body, values), rule),
    )


def with_way_out(body: str, rule) -> str:
    """Return the HTML of a mail with a link to unsubscribe, if it needs one and has none of its own."""
    if rule.is_transactional or unsubscribing.example() in body:
        return body
    name, link = escape(rule.workspace.name), unsubscribing.example()
    return f'{body}\n<hr><p><small>No more emails from {name}? <a href="{link}">Unsubscribe</a></small></p>'


def send(delivery):
    """Hand it to the mail server, and translate what that says, once. Raises RefusedForGood or TryAgainLater."""
    try:
        _mail(delivery).send()
    except smtplib.SMTPRecipientsRefused as error:
        [(code, said), *_] = error.recipients.values()
        refusal = _refusal(code, said)
        if NOBODY_THERE.match(str(refusal)):
            _suppress(delivery.contact, f"mail server: {refusal}")
        raise refusal from error
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused, smtplib.SMTPConnectError) as error:
        # Credentials, sender and connection are the operator's to mend, not the message's end.
        raise TryAgainLater(f"{error.smtp_code} {words(error.smtp_error)}") from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error) from error
    except RecipientsRefused as error:
        raise RefusedForGood(words(str(error))) from error
    except (smtplib.SMTPException, OSError) as error:
        # What a provider's API has against the message itself; all else is the operator's to mend, or will pass.
        if getattr(error, "status_code", None) in (400, 413, 422):
            raise RefusedForGood(words(str(error))) from error
        raise TryAgainLater(words(f"{type(error).__name__}: {error}")) from error
    except ValueError as error:
        # An address or a header that no mail can carry.
        raise RefusedForGood(str(error)) from error


@transaction.atomic
def _suppress(contact: Contact, note: str):
    """Unless they were deleted while the mail server was asked: then nobody is to know their address."""
    if Contact.objects.filter(pk=contact.pk, deleted_at=None).select_for_update(no_key=True).first():
        Suppression.make(contact.workspace, contact.email, Suppression.Reason.BOUNCE, note)


def _refusal(code: int, said) -> Exception:
    kind = RefusedForGood if 500 <= code < 600 else TryAgainLater
    return kind(f"{code} {words(said)}")


def trial_id(contact: Contact) -> str:
    """A Message-ID for a trial of a text that is filled in with this person, if they are one: by it the outbox finds
    what to forget with them."""
    return f"<{outbox.trial_of(contact)}{uuid4()}@{DOMAIN}>"


def _mail(delivery) -> EmailMultiAlternatives:
    rule, contact = delivery.message, delivery.contact
    link = unsubscribing.link_for(contact)
    body = delivery.body.replace(unsubscribing.example(), link)
    html = tracked(delivery.body, delivery).replace(unsubscribing.example(), link)
    way_out = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    mail = message(
        delivery.subject,
        body,
        contact.email,
        delivery.mail_id,
        html=html,
        sender=rule.sender,
        headers={} if rule.is_transactional else way_out,
    )
    # Comes back with what a provider tells of it.
    mail.metadata = {"delivery": str(delivery.uuid)}
    return mail


def message(
    subject: str, body: str, to: str, message_id: str, *, html: str = "", sender: Sender | None = None, headers=None
) -> EmailMultiAlternatives:
    """Return a mail with `body` as text and as HTML, or `html` for that."""
    mail = EmailMultiAlternatives(
        subject,
        text.plain(body),
        str(sender or settings.DEFAULT_FROM_EMAIL),
        [to],
        headers={"Message-ID": message_id, "Auto-Submitted": "auto-generated"} | (headers or {}),
    )
    mail.attach_alternative(html or body, "text/html")
    return mail
