"""Filling in a message's text: Liquid under limits, because staff write it and everybody's metadata stands in it."""

import functools
import re
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from itertools import chain
from zoneinfo import ZoneInfo

import css_inline
import nh3
from django.utils.html import linebreaks, strip_tags
from liquid import BoundTemplate, Environment, RenderContext, Undefined
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LiquidError

from eventsapp.metadata import kind_of, money_text
from eventsapp.models import Contact
from messaging import unsubscribing

LONGEST = 20_000  # characters of a text, of what it becomes, and of what any filter returns
MOST_ITEMS = 1_000  # of a list or a range that a filter is given
LONGEST_RANGE = 5_000  # numbers of a range such as (1..100), and turns of a loop
MOST_SECONDS = 2  # of computing that filling in may take
MOST_BITS = 128  # of a whole number: what `times` returns can be multiplied again, and doubles in length each time
FILTERS = """
    append at_least at_most capitalize ceil compact default divided_by downcase escape first floor join last
    lstrip minus modulo newline_to_br plus prepend remove remove_first replace replace_first round rstrip size
    slice split strip strip_html strip_newlines times truncate truncatewords upcase url_encode
""".split()
TAGS = """
    # assign break capture case comment content continue cycle echo for if illegal output unless
""".split()
DATE_FORMAT = re.compile(r"(?:[^%]|%-?[A-Za-z%])*\Z")
TAG = re.compile(r"<[a-zA-Z!/]")
WRITTEN = re.compile(r"[\w-]+(?:\s*\.\s*[\w-]+|\[[^]]*])*")
PLAIN_NAME = re.compile(r"[A-Za-z_][\w-]*\Z")

STYLES = re.compile(r"(?is)<style\b.*?</style")
MOST_STYLED = 5_000_000  # characters of styles times elements that they may be put on
# Mail programs know no others, or these would put text where it does not belong.
PROPERTIES = set(
    """
    background background-color border border-bottom border-collapse border-color border-left border-radius border-right
    border-spacing border-style border-top border-width color display font font-family font-size font-style font-weight
    height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right margin-top max-width
    min-width padding padding-bottom padding-left padding-right padding-top text-align text-decoration text-transform
    vertical-align white-space width
    """.split()
)
ATTRIBUTES = {tag: set(own) for tag, own in nh3.ALLOWED_ATTRIBUTES.items()} | {"*": {"style"}}
# Nothing is fetched for a text, neither from the net nor from our disk.
inliner = css_inline.CSSInliner(load_remote_stylesheets=False)


class TextError(Exception):
    """The text cannot be filled in. Says why, in words for whoever wrote it."""


class Shown(dict):
    """A structured value of metadata that reads as people would write it: `{{ event.metadata.total }}` is 49.00 USD."""

    def __init__(self, values, shown: str):
        super().__init__(values)
        self.shown = shown

    def __str__(self):
        return self.shown


class Moment(int):
    """Unix seconds that read as a day in the workspace's time zone."""

    zone: ZoneInfo

    def __new__(cls, seconds: int, zone: ZoneInfo):
        moment = super().__new__(cls, seconds)
        moment.zone = zone
        return moment

    def __str__(self):
        return _date(self, "%-d %B %Y")


def money(value) -> str:
    """Return a monetary amount (cents and currency) as `49.00 USD`. Nothing stays nothing, for a fallback to follow."""
    if not value or isinstance(value, Undefined):
        return ""
    if isinstance(value, Mapping) and kind_of("", dict(value)) == "money":
        return money_text(value)
    raise TextError("The filter “money” needs an amount with a currency, such as event.metadata.total.")


def fallback(value, otherwise="") -> object:
    """Return `value`, or `otherwise` when it is missing, empty or blank."""
    missing = value is None or isinstance(value, Undefined) or isinstance(value, str) and not value.strip()
    return otherwise if missing else value


def _date(value, form="%-d %B %Y") -> str:
    if not value or isinstance(value, Undefined):
        return ""
    if not isinstance(form, str) or len(form) > 60 or not DATE_FORMAT.match(form):
        raise TextError('The filter “date” needs a format such as "%d %B %Y".')
    try:
        return datetime.fromtimestamp(int(value), getattr(value, "zone", UTC)).strftime(str(form))
    except (ValueError, TypeError, OverflowError, OSError):
        raise TextError("The filter “date” needs Unix seconds, such as event.created_at.") from None


def _within_limits(function):
    """Liquid's own limits don't see into filters: `(1..3000000) | join` would run for seconds."""

    @functools.wraps(function)
    def checked(*args, **kwargs):
        for value in args:
            if isinstance(value, range | list | tuple) and len(value) > MOST_ITEMS:
                raise TextError(f"A filter was given more than {MOST_ITEMS:,} items.")
        result = function(*args, **kwargs)
        if isinstance(result, str | list) and len(result) > LONGEST:
            raise TextError(f"A filter returned more than {LONGEST:,} characters.")
        if isinstance(result, int) and result.bit_length() > MOST_BITS:
            raise TextError("A filter returned a number that is too large.")
        return result

    return checked


def _bounded(make_range):
    """Liquid walks through a range of any length for `contains`, and up to where a loop with an `offset` begins."""

    @functools.wraps(make_range)
    def bounded(self, start, stop) -> range:
        numbers = make_range(self, start, stop)
        if numbers.stop - numbers.start > LONGEST_RANGE:
            raise TextError(f"A range has more than {LONGEST_RANGE:,} numbers.")
        return numbers

    return bounded


# The library has no limit for it, and its parser knows no other class of ranges.
RangeLiteral._make_range = _bounded(RangeLiteral._make_range)


class _Context(RenderContext):
    """Ends a text that takes too long. Whatever is done within the limits can still be done again in every turn of a
    loop, so each filter and each part of the text looks at the clock; of this thread, since others may hold it up."""

    def __init__(self, *args, **kwargs):
        self.until = time.thread_time() + MOST_SECONDS
        super().__init__(*args, **kwargs)

    def _check(self):
        if time.thread_time() > self.until:
            raise TextError(f"The text takes more than {MOST_SECONDS} seconds to fill in.")

    def filter(self, name, token):
        self._check()
        return super().filter(name, token)

    @property
    def disabled_tags(self) -> list[str]:
        """None are; but every part of a text asks for them before it is filled in."""
        self._check()
        return []

    @disabled_tags.setter
    def disabled_tags(self, _):
        pass


class _Template(BoundTemplate):
    context_class = _Context


class _Liquid(Environment):
    template_class = _Template
    loop_iteration_limit = LONGEST_RANGE
    output_stream_limit = LONGEST * 4  # bytes
    local_namespace_limit = LONGEST * 4
    context_depth_limit = 10
    block_nesting_limit = 20

    def setup_tags_and_filters(self, **kwargs):
        super().setup_tags_and_filters(**kwargs)
        own = {"money": money, "fallback": fallback, "date": _date}
        self.filters = {name: _within_limits(self.filters[name]) for name in FILTERS} | own
        self.tags = {name: self.tags[name] for name in TAGS}


HTML, PLAIN = _Liquid(autoescape=True), _Liquid(autoescape=False)


def context(event: dict, contact, workspace) -> dict:
    """Return what a text may use. `event` has event_name, created_at (Unix seconds) and metadata."""
    zone = workspace.zone
    metadata = {key: _shown(key, value, zone, "_date") for key, value in event["metadata"].items()}
    attributes = {key: _shown(key, value, zone, "_at") for key, value in contact.custom_attributes.items()}
    times = {
        field: None if (at := getattr(contact, field)) is None else Moment(at, zone)
        for field in ("created_at", "signed_up_at", "last_seen_at")
    }
    return {
        "event": {
            "name": event["event_name"],
            "event_name": event["event_name"],
            "created_at": Moment(event["created_at"], zone),
            "metadata": metadata,
        },
        "contact": {
            "id": contact.public_id,
            "user_id": contact.external_id,
            "email": contact.email,
            "name": contact.name,
            "phone": contact.phone,
            "custom_attributes": attributes,
        }
        | times,
        "workspace": {"name": workspace.name},
        "unsubscribe_url": unsubscribing.example(),
    }


def somebody(workspace) -> Contact:
    """A person for previews, where there is no real one yet."""
    return Contact(pk=0, workspace=workspace, name="Ada Example", email="ada@example.org", external_id="25")


def _shown(key, value, zone, date_suffix):
    match kind_of(key, value, date_suffix=date_suffix):
        case "money":
            return Shown(value, money(value))
        case "rich_link":
            return Shown(value, str(value["value"]))
        case "date":
            return Moment(value, zone)
    return value


def fault_in(source: str) -> str | None:
    """Return what is wrong with a text as it is written, or None."""
    try:
        _parse(PLAIN, source)
    except TextError as error:
        return str(error)


# What is always there; None: whatever else is read of it.
KNOWN: dict = {
    "event": {"name": None, "event_name": None, "created_at": None, "metadata": {}},
    "contact": dict.fromkeys(("id", "user_id", "email", "name", "phone", "created_at", "signed_up_at", "last_seen_at"))
    | {"custom_attributes": {}},
    "workspace": {"name": None},
}


def variable(*path: str) -> str:
    """Return how a text names what stands at a path, such as `event.metadata.code`."""
    steps = [f".{step}" if PLAIN_NAME.match(step) else f'["{step}"]' for step in path]
    return "".join(steps).removeprefix(".")


def unknown_in(source: str, *, keys: Collection[str] = (), attributes: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the variables of a text that will be empty as far as can be told, each with the ways in which it is
    written there: none of ours, no custom attribute that anybody has, and, once some are known, none of the event's
    `keys`. What cannot be read has none."""
    try:
        variables = _parse(PLAIN, source).analyze().globals.values()
    except TextError:
        return {}
    metadata = dict.fromkeys(keys) if keys else None
    known = KNOWN | {
        "event": KNOWN["event"] | {"metadata": metadata},
        "contact": KNOWN["contact"] | {"custom_attributes": dict.fromkeys(attributes)},
    }
    unknown = defaultdict(set)
    for one in chain.from_iterable(variables):
        if not _is_known(one.segments, known):
            name = variable(*(step for step in one.segments if isinstance(step, str)))
            written = WRITTEN.match(source, one.span.index)
            unknown[name].update([written[0]] if written else [])
    return {name: sorted(unknown[name]) for name in sorted(unknown)}


def _is_known(path: list, known: dict | None) -> bool:
    for step in path:
        # A key that the text itself reckons out may be any.
        if known is None or not isinstance(step, str):
            return True
        if step not in known:
            return False
        known = known[step]
    return True


def subject(source: str, values: dict) -> str:
    """Fill in one plain line. Raises TextError."""
    return " ".join(_render(PLAIN, source, values).split())[:500]


def body(source: str, values: dict) -> str:
    """Fill in a text and return clean HTML, its styles on its elements; a text without tags keeps its lines. Raises
    TextError."""
    filled = _render(HTML, source, values)
    if not TAG.search(source):
        filled = linebreaks(filled)
    return nh3.clean(
        _inlined(filled),
        url_schemes={"http", "https", "mailto", "tel"},
        attributes=ATTRIBUTES,
        filter_style_properties=PROPERTIES,
    )


def _inlined(html: str) -> str:
    """Put what stands in <style> on the elements themselves, where every mail program looks."""
    if not (styles := STYLES.findall(html)):
        return html
    if sum(map(len, styles)) * html.count("<") > MOST_STYLED:
        raise TextError("The text has too many styles for its many elements.")
    try:
        return inliner.inline(html)
    except (css_inline.InlineError, ValueError) as error:
        raise TextError(f"The styles cannot be read: {error}") from error


def plain(html: str) -> str:
    """Return what is left of a message's HTML for those who read text alone."""
    lines = re.sub(r"(?i)<br\s*/?>|</(p|div|h[1-6]|li|tr)>", "\n", html)
    lines = re.sub(r'(?is)<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', r"\2 (\1)", lines)
    text = nh3.clean(strip_tags(lines), tags=set())
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in text.splitlines())).strip()


@functools.lru_cache(maxsize=256)
def _parse(environment, source):
    if len(source) > LONGEST:
        raise TextError(f"The text has {len(source):,} characters. Write at most {LONGEST:,}.")
    try:
        return environment.from_string(source)
    except LiquidError as error:
        raise TextError(f"The text cannot be read: {error}") from error
    except RecursionError as error:
        raise TextError("The text is nested too deeply.") from error


def _render(environment, source, values):
    template = _parse(environment, source)
    try:
        return template.render(**values)
    except TextError:
        raise
    except Exception as error:  # a text is hostile input: whatever it makes the library raise is the text's fault
        raise TextError(f"The text cannot be filled in: {error}") from error
