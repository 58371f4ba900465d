"""What segments add to Home and to the search."""

from eventsapp import panels
from eventsapp.models import Workspace
from eventsapp.panels import Link
from eventsapp.text import holds
from segments.definition import unaskable

FEW = 5


def latest_segments(request):
    """Those that were changed last; how many belong to each is asked for by the page."""
    return "segments/_home.html", {"segments": request.workspace.segments.active().order_by("-updated_at")[:FEW]}


def broken_segments(workspace: Workspace) -> list[Link]:
    return [
        Link(
            f"The segment “{segment}” cannot be asked any more. {reason.faults[0].message}", segment.get_absolute_url()
        )
        for segment, reason in unaskable(workspace)
    ]


def find_segments(workspace: Workspace, words: str) -> list[Link]:
    if not words:
        return []
    named = [one for one in workspace.segments.active().defer("definition") if holds(one.name, words)]
    return [Link(one.name, one.get_absolute_url(), one.description) for one in named[:FEW]]


panels.dashboard_panels.append(latest_segments)
panels.attention.append(broken_segments)
panels.finders.append(("Segments", find_segments))
