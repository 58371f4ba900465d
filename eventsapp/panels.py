"""What upper apps add to the pages of this one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from django.template.loader import render_to_string

from eventsapp.models import Workspace


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere, with a few more about what is there."""

    words: str
    url: str
    note: str = ""


# Each gets (request, contact) and returns the name of a template with its context.
person_facts: list[Callable] = []  # shown beside a person's timeline
person_panels: list[Callable] = []  # shown below it


def drawn(panels: list[Callable], request, contact) -> list[str]:
    """Return the HTML of panels of a person's page."""
    return [render_to_string(*panel(request, contact), request=request) for panel in panels]


@dataclass(frozen=True)
class Note:
    """What stands among the events of a person's timeline, at a time (Unix seconds). `state` names its pill, `words`
    stand in it."""

    at: int
    name: str
    href: str
    state: str
    words: str


# Each gets (contact, since, until) and returns the Notes with since ≤ at < until (Unix seconds); None is an open side.
timeline_notes: list[Callable] = []


def notes_of(contact, since: int | None, until: int | None) -> list[Note]:
    """Return what upper apps put into this part of a person's timeline."""
    return [note for notes in timeline_notes for note in notes(contact, since, until)]


# Each gets (request, workspace, given) and returns the name of a template with its context; shown among the settings.
# `given` has, by their names, the forms that were filled in wrongly.
settings_panels: list[Callable] = []


def shown_in_settings(request, workspace, given) -> list[str]:
    """Return the HTML of the panels of the settings."""
    return [render_to_string(*panel(request, workspace, given), request=request) for panel in settings_panels]


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


# Each gets a request of Home and returns the name of a template with its context.
dashboard_panels: list[Callable] = []


def on_dashboard(request) -> list[str]:
    """Return the HTML of the panels of Home."""
    return [render_to_string(*panel(request), request=request) for panel in _lowest_first(dashboard_panels)]


# Each gets a workspace and returns what its staff should look at, as sentences that lead there.
attention: list[Callable[[Workspace], list[Link]]] = []


def needing_attention(workspace: Workspace) -> list[Link]:
    """Return all that staff should look at."""
    return [link for sentences in _lowest_first(attention) for link in sentences(workspace)]


# What is found, and who finds the first few of it by some words, which may be none.
finders: list[tuple[str, Callable[[Workspace, str], list[Link]]]] = []


def found(workspace: Workspace, words: str) -> list[tuple[str, list[Link]]]:
    """Return what is found by `words`, kind by kind: [(what it is, links), …]."""
    kinds = [(kind, find(workspace, words)) for kind, find in _lowest_first(finders)]
    return [(kind, links) for kind, links in kinds if links]


def _lowest_first(added: list) -> list:
    """What the lowest app added comes first: it is ready last."""
    return added[::-1]
