"""Telling staff at once what cannot wait until somebody looks."""

import logging

from django.conf import settings
from django.core.mail import send_mail

from eventsapp.models import Role

logger = logging.getLogger(__name__)


def tell_staff(message, because: str):
    """Mail to a workspace's admins and editors that one of its rules paused itself. The page and the log say it too, so
    a mail server that does not take it is no reason to fail."""
    members = message.workspace.memberships.filter(role__in=(Role.ADMIN, Role.EDITOR), user__is_active=True)
    colleagues = [email for email in members.values_list("user__email", flat=True) if email]
    logger.error("The rule %s of %s paused itself. %s", message.pk, message.workspace.app_id, because)
    address = f"{settings.BASE_URL}{message.get_absolute_url()}"
    text = f"The auto-message “{message.name}” has paused itself.\n\n{because}\n\n{address}"
    for colleague in colleagues:
        try:
            send_mail(f"“{message.name}” has paused itself", text, None, [colleague])
        except OSError as error:  # SMTP errors are OSErrors too
            logger.warning("Could not tell a colleague of it: %s", error)
