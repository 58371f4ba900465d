"""How values read on a page. Loaded into every template."""

from datetime import UTC, date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.timesince import timesince

register = template.Library()

# 24 × 24, one stroke: our own few.
ICONS = {
    "home": '<path d="M3 11.5 12 4l9 7.5"/><path d="M5.5 9.5V20h13V9.5M10 20v-6h4v6"/>',
    "people": '<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c0-4 3-6 6.5-6s6.5 2 6.5 6"/>'
    '<path d="M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.4c2.2.7 3.5 2.6 3.5 5.6"/>',
    "filter": '<path d="M3 5h18l-7 8.5V20l-4-2v-4.5z"/>',
    "bolt": '<path d="M13 2 4 14h7l-1 8 9-12h-7z"/>',
    "mail": '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="m3.5 7 8.5 6 8.5-6"/>',
    "send": '<path d="M21 3 10 14M21 3l-7 18-4-7-7-4z"/>',
    "sliders": '<path d="M4 7h9M19 7h1M4 17h1M11 17h9"/>'
    '<circle cx="16" cy="7" r="2.5"/><circle cx="8" cy="17" r="2.5"/>',
    "pulse": '<path d="M2 12h5l3-8 4 16 3-8h5"/>',
    "contrast": '<circle cx="12" cy="12" r="8"/><path d="M12 4v16a8 8 0 0 0 0-16z" fill="currentColor"/>',
    "search": '<circle cx="11" cy="11" r="7"/><path d="m20 20-4-4"/>',
}


@register.simple_tag
def icon(name: str) -> str:
    """A decorative icon: words stand beside it."""
    return mark_safe(  # noqa: S308  ours, from the table above
        f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{ICONS[name]}</svg>'
    )


def _moment(value, zone):
    """A datetime in `zone` from Unix seconds or a datetime."""
    if isinstance(value, datetime):
        return value.astimezone(zone)
    return datetime.fromtimestamp(value, UTC).astimezone(zone)


def _zone(context):
    workspace = context.get("workspace")
    return workspace.zone if workspace else UTC


@register.simple_tag(takes_context=True)
def when(context, value) -> str:
    """Unix seconds or a datetime as “3 hours ago”, with the exact time in its title; a dash for none."""
    if value is None or value == "":
        return mark_safe('<span class="none">–</span>')  # noqa: S308
    moment = _moment(value, _zone(context))
    ago = timezone.now() - moment
    if ago < timedelta(0):
        words = f"{moment:%-d %b %Y, %H:%M}"
    elif ago < timedelta(minutes=1):
        words = "just now"
    elif ago < timedelta(days=30):
        words = f"{timesince(moment, depth=1)} ago"
    else:
        words = f"{moment:%-d %b %Y}"
    return _time(moment, words)


@register.simple_tag(takes_context=True)
def clock_time(context, value) -> str:
    """Unix seconds as the time of their day."""
    moment = _moment(value, _zone(context))
    return _time(moment, f"{moment:%H:%M}")


@register.simple_tag(takes_context=True)
def exact_time(context, value) -> str:
    """A datetime to the second, with its day unless that is today."""
    moment = _moment(value, _zone(context))
    words = (
        f"{moment:%H:%M:%S}"
        if moment.date() == timezone.now().astimezone(moment.tzinfo).date()
        else f"{moment:%-d %b, %H:%M}"
    )
    return _time(moment, words)


def _time(moment: datetime, words: str) -> str:
    """These words, over which the pointer finds the exact moment."""
    title = f"{moment:%-d %B %Y, %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), title, words)


@register.filter
def day_name(day: date) -> str:
    """A day as people say it."""
    return f"{day:%A, %-d %B %Y}"


@register.filter
def percent_of(part: int, whole: int) -> str:
    """How much of `whole` is `part`, with one decimal below ten."""
    if not whole:
        return "0%"
    share = 100 * part / whole
    return f"{share:.0f}%" if share >= 10 or share == 0 else f"{share:.1f}%"


@register.simple_tag
def initials(user) -> str:
    """Two letters for the round badge."""
    words = (user.get_full_name() or user.email or user.username).replace("@", " ").replace(".", " ").split()
    return "".join(word[0] for word in words[:2]).upper()
