"""What the frame of every page shows."""

from django.urls import reverse

from eventsapp import health
from eventsapp.models import Membership

# (name of the URL, its words, its icon); a page belongs to the one whose address is the longest beginning of
# its own; to Home belongs Home alone.
SECTIONS = [
    ("dashboard", "Home", "home"),
    ("people", "People", "people"),
    ("segments", "Segments", "filter"),
    ("events", "Events", "bolt"),
    ("messages", "Auto messages", "mail"),
    ("deliveries", "Deliveries", "send"),
    ("settings", "Settings", "sliders"),
]


def shell(request) -> dict:
    """The side bar and the banner, on pages of a workspace alone."""
    membership = getattr(request, "membership", None)
    if membership is None:
        return {}
    app_id = membership.workspace.app_id
    sections = [(reverse(name, args=[app_id]), words, icon) for name, words, icon in SECTIONS]
    here = max((url for url, *_ in sections if request.path.startswith(url)), key=len, default="")
    if here == sections[0][0] != request.path:
        here = ""  # such as the search, or an address where nothing is
    return {
        "workspace": membership.workspace,
        "membership": membership,
        "may_edit": membership.may("editor"),
        "may_administer": membership.may("admin"),
        "sections": [{"url": url, "words": words, "icon": icon, "here": url == here} for url, words, icon in sections],
        "memberships": Membership.objects.filter(user=request.user).select_related("workspace").order_by("pk"),
        "standstill": health.standstill(),
    }
