"""To which saved segments somebody belongs."""

from eventsapp.models import Contact
from segments.definition import Invalid, parse
from segments.engine import TooSlow, answer, one_moment
from segments.models import Segment

PATIENCE = 2  # seconds that the question about one segment may take


def segments_of(contact: Contact) -> list[Segment]:
    """Return the active segments to which a person belongs now, without those that cannot be asked, or not fast."""
    active = contact.workspace.segments.active().select_related("workspace")
    return [segment for segment in active if _belongs(contact, segment)]


def _belongs(contact: Contact, segment: Segment) -> bool:
    try:
        # A moment for each: one that is stopped must not take the others with it.
        with one_moment(PATIENCE) as now:
            return contact.pk in answer(parse(segment.workspace, segment.definition), now, among=[contact.pk]).ids
    except (Invalid, TooSlow):
        return False


def their_segments(request, contact: Contact):
    """The panel on a person's page: it asks for its content when it is there."""
    return "segments/_theirs.html", {"contact": contact}
