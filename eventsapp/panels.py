"""What upper apps add to the pages of this one."""

from collections.abc import Callable
from typing import NamedTuple

from django.template.loader import render_to_string

# Each gets (request, contact) and returns the name of a template with its context; shown below a person's timeline.
person_panels: list[Callable] = []


def shown(request, contact) -> list[str]:
    """Return the HTML of the panels of a person's page."""
    return [render_to_string(*panel(request, contact), request=request) for panel in person_panels]


class Dependent(NamedTuple):
    """What would miss something that went away: what it is, what it is called, and where it is."""

    kind: str
    name: str
    address: str

    def __str__(self):
        return f"the {self.kind.lower()} “{self.name}”"


def listed(dependents: list[Dependent]) -> str:
    """Dependents in a sentence."""
    return ", ".join(map(str, dependents))


# Each returns what would miss an event type.
type_users: list[Callable[..., list[Dependent]]] = []


def users_of(event_type) -> list[Dependent]:
    """Return what uses an event type."""
    return [user for users in type_users for user in users(event_type)]
