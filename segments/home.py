"""What segments add to Home."""

from eventsapp import panels
from eventsapp.models import Workspace
from eventsapp.panels import Link
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


panels.dashboard_panels.append(latest_segments)
panels.attention.append(broken_segments)
