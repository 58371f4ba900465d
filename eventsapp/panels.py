"""What upper apps add to the pages of this one."""

from collections.abc import Callable

from django.template.loader import render_to_string

# Each gets (request, contact) and returns the name of a template with its context; shown below a person's timeline.
person_panels: list[Callable] = []


def shown(request, contact) -> list[str]:
    """Return the HTML of the panels of a person's page."""
    return [render_to_string(*panel(request, contact), request=request) for panel in person_panels]


# Each returns what would miss an event type: (what it is, its name, its address).
type_users: list[Callable] = []


def users_of(event_type) -> list[tuple[str, str, str]]:
    """Return what uses an event type."""
    return [user for users in type_users for user in users(event_type)]
