"""Links into the builder. Loaded into every template."""

from django import template
from django.urls import reverse

from segments.definition import all_of
from segments.urlstate import encode

register = template.Library()


@register.simple_tag(takes_context=True)
def did_event_url(context, event: str, where: dict | None = None) -> str:
    """The people page, filtered by who did `event`, with one test of its metadata if given."""
    condition = {"kind": "event", "event": event, "did": True} | ({"where": [where]} if where else {})
    return _people_who(context, condition)


@register.simple_tag(takes_context=True)
def new_people_url(context, days: int) -> str:
    """The people page, filtered by who was first heard of in the last `days` days."""
    return _people_who(context, {"kind": "attribute", "field": "created_at", "op": "less_than_days_ago", "value": days})


@register.simple_tag(takes_context=True)
def tagged_url(context, tag: int) -> str:
    """The people page, filtered by who has the tag with this id."""
    return _people_who(context, {"kind": "tag", "tag": tag, "op": "has"})


def _people_who(context, condition: dict) -> str:
    return f"{reverse('people', args=[context['workspace'].app_id])}?q={encode(all_of(condition))}"
