from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self):
        from messaging import gauges, home, receivers  # noqa: F401  adding and connecting are their imports' work
        from messaging.conditions import GotMessage
        from segments.definition import KINDS

        KINDS[GotMessage.kind] = GotMessage
