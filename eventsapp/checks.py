"""System checks: a setting that cannot work says so before anybody meets it."""

from django.core.checks import Error, Tags, Warning, register
from django.db import DatabaseError

HALF_OF_ALL_IDS = 2**30


@register(Tags.database)
def contact_ids_are_plenty(app_configs, databases, **kwargs):
    """Sets of people are bitmaps of 32-bit ids, so ids must stay below 2³¹."""
    from eventsapp.models import Contact

    if not databases:
        return []
    try:
        last = Contact.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    except DatabaseError:
        return []  # not migrated yet
    if last < HALF_OF_ALL_IDS:
        return []
    return [
        Warning(
            f"Contact ids have reached {last:,} of {2**31:,}.",
            hint="Plan a new workspace database; inserts will fail at the end.",
            id="eventsapp.W001",
        )
    ]


@register(Tags.security)
def default_hosts_are_for_trials(app_configs, **kwargs):
    from django.conf import settings

    if settings.EMBEDDED or settings.ALLOWED_HOSTS != ["*"]:
        return []
    return [
        Error(
            "ALLOWED_HOSTS is '*' on a server.",
            hint="Set ALLOWED_HOSTS to the names under which people reach it, separated by commas.",
            id="eventsapp.E001",
        )
    ]
