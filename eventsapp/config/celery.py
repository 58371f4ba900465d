"""The Celery app. Its messages are wake-ups: what is to be done always stands in the database."""

import os
import sys

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

from eventsapp.config import filebroker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsapp.config.settings")

filebroker.install()
app = Celery("eventsapp")
# Without this the app is current in the importing thread alone, and a task called from another one looks for AMQP.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would open a connection for each task, and that costs more than most tasks do.
app.conf.CELERY_DB_REUSE_MAX = sys.maxsize
app.autodiscover_tasks()


@task_prerun.connect
def drop_broken_connections(**_):
    """Begin each task as Django begins each request: with a connection that works, or none."""
    close_old_connections()
