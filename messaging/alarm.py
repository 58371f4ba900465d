"""Telling staff at once what cannot wait until somebody looks."""

import logging

from django.conf import settings
from django.core.mail import send_mail

from eventsapp.models import Role

logger = logging.getLogger(__name__)


def tell_staff(what, happened: str, because: str, *, roles: tuple[str, ...] = (Role.ADMIN, Role.EDITOR)):
    """Mail to a workspace's admins and editors, or those of other `roles`, that one of its rules or webhooks (`what`)
    stopped by itself; `happened` says so. Its page and the log say it too, so a mail server that does not take it is no
    reason to fail."""
    members = what.workspace.memberships.filter(role__in=roles, user__is_active=True)
    colleagues = [email for email in members.values_list("user__email", flat=True) if email]
    kind = what._meta.verbose_name
    logger.error("The %s %s of %s has stopped by itself. %s", kind, what.pk, what.workspace.app_id, because)
    text = f"{happened}.\n\n{because}\n\n{settings.BASE_URL}{what.get_absolute_url()}"
    for colleague in colleagues:
        try:
            send_mail(happened, text, None, [colleague])
        except OSError as error:  # SMTP errors are OSErrors too
            logger.warning("Could not tell a colleague of it: %s", error)
