"""What the search finds of people and events, and the pages themselves."""

from django.urls import reverse
from django.utils.http import urlencode

from eventsapp import panels
from eventsapp.incoming import normal_name
from eventsapp.models import Contact, EventType, Workspace
from eventsapp.panels import Link
from eventsapp.text import holds

FEW = 5  # of each kind

# (name of the URL, its words, what is there); those of upper apps by their names alone, as in the side bar.
PAGES = [
    ("dashboard", "Home", "what happened, what needs attention"),
    ("people", "People", "filter people by what they did"),
    ("segments", "Segments", "saved filters"),
    ("events", "Events", "what apps have sent"),
    ("live", "Live", "events as they arrive, API requests, their errors"),
    ("messages", "Auto messages", "sent when somebody does something"),
    ("deliveries", "Deliveries", "what became of each message"),
    ("settings", "Settings", "tokens, colleagues, time zone, password, keys"),
]


def people(workspace: Workspace, words: str) -> list[Link]:
    if not words:
        return []
    found = Contact.objects.filter(workspace=workspace).people().found_by(words).order_by("-pk")[: FEW + 1]
    links = []
    for contact in found:
        contact.workspace = workspace
        known = (contact.email, contact.external_id)
        note = " · ".join(text for text in known if text and text != str(contact))
        links.append(Link(str(contact), contact.get_absolute_url(), note))
    if len(links) > FEW:
        everybody = f"{reverse('people', args=[workspace.app_id])}?{urlencode({'search': words})}"
        links[FEW:] = [Link("More people", everybody, f"all that “{words}” finds")]
    return links


def events(workspace: Workspace, words: str) -> list[Link]:
    if not words:
        return []
    types = EventType.objects.filter(workspace=workspace, archived_at=None, name__contains=normal_name(words))
    return [
        Link(type.name, reverse("event_type", args=[workspace.app_id, type.pk]), type.description)
        for type in types.order_by("name")[:FEW]
    ]


def pages(workspace: Workspace, words: str) -> list[Link]:
    """Those of which a word begins so: all for no words, as a way to go anywhere."""
    links = [Link(title, reverse(name, args=[workspace.app_id]), there) for name, title, there in PAGES]
    links.append(Link("API reference", reverse("api_reference"), "what apps may send"))
    return [link for link in links if holds(f" {link.words} {link.note}", f" {words}")]


# The last one comes first; pages come after what upper apps find.
panels.finders.insert(0, ("Pages", pages))
panels.finders += [("Events", events), ("People", people)]
