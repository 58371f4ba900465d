"""Links into the builder. Loaded into every template."""

from django import template
from django.urls import reverse

from segments.urlstate import encode

register = template.Library()


@register.simple_tag(takes_context=True)
def did_event_url(context, event: str, where: dict | None = None) -> str:
    """The people page, filtered by who did `event`, with one test of its metadata if given."""
    condition = {"kind": "event", "event": event, "did": True} | ({"where": [where]} if where else {})
    definition = {"version": 1, "match": "all", "conditions": [condition]}
    return f"{reverse('people', args=[context['workspace'].app_id])}?q={encode(definition)}"
