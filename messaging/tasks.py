"""Celery's shells around plain functions. Each finds its work in the database; a lost message loses nothing."""

from celery import shared_task

from eventsapp import deleting, erasing, merging, uploads
from eventsapp.health import WORKER
from eventsapp.models import Heartbeat
from messaging import matching, notifying, rules, sending
from segments import tagging


@shared_task
def match_events():
    matching.match_waiting()


@shared_task
def send_due():
    sending.send_due()


@shared_task
def post_notifications():
    """When there are some, and every five seconds."""
    notifying.post_due()


@shared_task
def forget_notifications():
    """Every hour: those that ended some days ago."""
    notifying.forget_ended()


@shared_task
def sweep():
    """Every five seconds: pick up whatever a lost wake-up, a dead broker or a killed worker left behind."""
    Heartbeat.beat(WORKER)
    rules.catch_up()
    notifying.catch_up()
    deleting.delete_what_was_asked()
    merging.finish()
    erasing.finish()
    matching.match_waiting()
    tagging.work()
    uploads.work()


@shared_task
def sweep_sending():
    """The same for what is to be sent: a queue of its own, because mail servers may hang."""
    sending.send_due()
