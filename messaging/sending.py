"""Sending what is queued: claim, check once more, send, note the end.

A claim is an UPDATE that must hit one row, and a lease: a worker that dies leaves it to run out. A repeat after that
carries the same Message-ID.
"""

import logging
import random
import signal
import smtplib
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.models import Contact, Heartbeat
from eventsapp.wakeups import wake
from messaging import email, text
from messaging.matching import lock_recipients
from messaging.models import AutoMessage, Delivery

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
PATIENCE = 30  # seconds that one message may take in all, well within its lease
AT_ONCE = 20  # deliveries looked up together
TURN = 20  # seconds after which a task makes room for others
GIVE_UP = timedelta(hours=24)

State, Reason = Delivery.State, Delivery.Reason


class TryAgainLater(Exception):
    """The mail server did not take the message this time."""


class RefusedForGood(Exception):
    """The mail server will never take this message."""


def send_due() -> int:
    """Send what is due, for some seconds; return how many were taken on."""
    began, taken = time.monotonic(), 0
    while due := list(Delivery.objects.due().order_by("due_at").values_list("pk", flat=True)[:AT_ONCE]):
        if len(due) == AT_ONCE or time.monotonic() - began > TURN:
            # More than one task's work: another worker may join, or go on when this one stops.
            wake("messaging.tasks.send_due")
        if time.monotonic() - began > TURN:
            break
        # Workers that look at the same moment see the same rows; each begins elsewhere.
        for pk in random.sample(due, len(due)):
            if time.monotonic() - began > TURN:
                break
            if claim := take(pk):
                deliver(claim)
                taken += 1
        Heartbeat.beat(WORK)
    return taken


def take(pk: int) -> Delivery | None:
    """Take a due delivery for the caller; None if another worker has it."""
    claim = uuid4()
    if Delivery.objects.due().filter(pk=pk).update(state=State.SENDING, claim=claim, due_at=timezone.now() + LEASE):
        related = ("message__workspace", "contact__workspace")
        return Delivery.objects.select_related(*related).filter(pk=pk, claim=claim).first()
    return None


@dataclass
class End:
    """How an attempt ended."""

    state: str
    reason: str = Reason.NONE
    detail: str = ""


def deliver(delivery: Delivery):
    """Send what is claimed, and note the end if it is still ours."""
    end = _reason_not_to(delivery) or _attempt(delivery)
    delivery.state, delivery.reason, delivery.detail = end.state, end.reason, end.detail
    delivery.attempts += 1
    if end.state == State.SENT:
        delivery.sent_at = timezone.now()
    elif end.state == State.QUEUED:
        delivery.due_at = timezone.now() + _pause(delivery.attempts)
    noted = ("state", "reason", "detail", "attempts", "sent_at", "due_at", "subject", "body")
    ours = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim, state=State.SENDING)
    ours.update(claim=None, **{field: getattr(delivery, field) for field in noted})


def _reason_not_to(delivery: Delivery) -> End | None:
    """What may have changed since the event was matched."""
    contact = delivery.contact
    if delivery.message.state != AutoMessage.State.LIVE:
        return End(State.HELD, Reason.NOT_LIVE)
    if contact.role == Contact.Role.VISITOR or contact.archived_at or contact.deleted_at or contact.merged_into_id:
        return End(State.SKIPPED, Reason.GONE)
    if not contact.email:
        return End(State.SKIPPED, Reason.NO_ADDRESS)
    if contact.unsubscribed_from_emails:
        return End(State.SKIPPED, Reason.UNSUBSCRIBED)
    return None


def _attempt(delivery: Delivery) -> End:
    try:
        fill_in(delivery)
        with _time_limit(PATIENCE):
            _hand_to_server(delivery)
    except text.TextError as error:
        return End(State.FAILED, Reason.TEMPLATE_ERROR, str(error))
    except RefusedForGood as error:
        return End(State.FAILED, Reason.REFUSED, str(error))
    except TryAgainLater as error:
        if timezone.now() - delivery.queued_at > GIVE_UP:
            return End(State.FAILED, Reason.GAVE_UP, str(error))
        return End(State.QUEUED, Reason.NONE, str(error))
    except Exception as error:  # noqa: BLE001  a fault of ours must not send it round and round, nor hold up the others
        logger.exception("Delivery %s could not be sent.", delivery.pk)
        return End(State.FAILED, Reason.BROKEN, f"{type(error).__name__}: {error}")
    return End(State.SENT)


def fill_in(delivery: Delivery):
    """Write the delivery's subject and body from its rule, its event and its person. Raises TextError."""
    rule = delivery.message
    values = text.context(delivery.event, delivery.contact, rule.workspace)
    delivery.subject, delivery.body = text.subject(rule.subject, values), text.body(rule.body, values)


def _hand_to_server(delivery: Delivery):
    """Translate what mail servers say, once. Raises RefusedForGood or TryAgainLater."""
    try:
        email.send(delivery)
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


def _pause(attempts: int) -> timedelta:
    """Half a minute, then twice as long each time up to an hour, with some chance so that a crowd does not return
    together."""
    return timedelta(seconds=min(30 * 2 ** (attempts - 1), 3600) * random.uniform(0.8, 1.2))


@contextmanager
def _time_limit(seconds: int):
    """Stop a server that keeps the line open by drops: time-outs of a socket see only the silence between them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def release(delivery: Delivery) -> bool:
    """Queue a held or failed delivery (again), under the frequency of its rule; False if that forbids it now."""
    rule = delivery.message
    with transaction.atomic():
        lock_recipients(rule, {delivery.contact_id})
        others = Delivery.objects.counting().filter(message=rule, contact=delivery.contact).exclude(pk=delivery.pk)
        if rule.frequency == AutoMessage.Frequency.ONCE and others.exists():
            return False
        waiting = Delivery.objects.filter(pk=delivery.pk, state__in=(State.HELD, State.FAILED))
        now = timezone.now()
        released = waiting.update(state=State.QUEUED, reason=Reason.NONE, detail="", due_at=now, queued_at=now)
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))
    return bool(released)
