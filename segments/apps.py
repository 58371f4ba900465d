from django.apps import AppConfig


class SegmentsConfig(AppConfig):
    name = "segments"

    def ready(self):
        from eventsapp.panels import type_users
        from segments.models import naming

        type_users.append(naming)
