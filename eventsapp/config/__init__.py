"""Glue: settings, URLs, Celery, WSGI. Knows every app.

Only `celery` is loaded with it, so that tasks find their app.
"""

from eventsapp.config.celery import app as celery_app

__all__ = ["celery_app"]
