from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"

    def ready(self):
        from messaging import receivers  # noqa: F401  connecting is its import's work
        from messaging.conditions import GotMessage
        from segments.definition import KINDS

        KINDS[GotMessage.kind] = GotMessage
