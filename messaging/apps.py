from django.apps import AppConfig
from django.conf import settings


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self):
        from messaging import gauges, home, receivers  # noqa: F401  adding and connecting are their imports' work
        from messaging.conditions import GotMessage
        from segments.definition import KINDS

        KINDS[GotMessage.kind] = GotMessage
        if settings.ANYMAIL_WEBHOOK_SECRET:
            from messaging import bounces  # noqa: F401
