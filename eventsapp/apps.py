from django.apps import AppConfig


class EventsappConfig(AppConfig):
    name = "eventsapp"
    verbose_name = "People and events"

    def ready(self):
        from eventsapp import attention, checks, finding, lookups  # noqa: F401  registering is their import's work
