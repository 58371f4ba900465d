"""Celery's shells around plain functions. Each finds its work in the database; a lost message loses nothing."""

from celery import shared_task

from eventsapp import deleting, uploads, volumes


@shared_task
def delete_events():
    deleting.delete_what_was_asked()


@shared_task
def import_people():
    uploads.work()


@shared_task
def roll_up():
    """Every minute: what came in goes into the volumes that the plots read, and what is old goes."""
    volumes.roll_up()
    uploads.forget_old()
