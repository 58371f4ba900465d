"""The Celery app. Its messages are wake-ups: what is to be done always stands in the database."""

import os

from celery import Celery

from eventsapp.config import filebroker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsapp.config.settings")

filebroker.install()
app = Celery("eventsapp")
# Without this the app is current in the importing thread alone, and a task called from another one looks for AMQP.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
