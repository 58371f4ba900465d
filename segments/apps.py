from django.apps import AppConfig


class SegmentsConfig(AppConfig):
    name = "segments"

    def ready(self):
        from eventsapp import attributes, panels, tags
        from segments import home, tagging  # noqa: F401  adding and connecting are their imports' work
        from segments.membership import their_segments
        from segments.models import asking_for, comparing, naming

        panels.person_facts.append(their_segments)
        panels.type_users.append(naming)
        tags.used_by.append(asking_for)
        attributes.used_by.append(comparing)
