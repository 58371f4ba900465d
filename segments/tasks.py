"""Celery's shells around plain functions. Each finds its work in the database; a lost message loses nothing."""

from celery import shared_task

from segments import sizes, tagging


@shared_task
def tag_people():
    tagging.work()


@shared_task
def measure_sizes():
    """Every minute, and when a segment was saved."""
    sizes.measure_due()
