"""What a value is: the kinds of metadata and custom attributes, how they are compared, how they read.

Kinds follow Intercom's "Metadata object types"; a boolean is not in that table, but their SDKs send it.
"""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from eventsapp.text import fold

LINK = re.compile(r"https?://\S+\Z", re.IGNORECASE)
STRIPE_KEYS = ("stripe_customer", "stripe_invoice", "stripe_charge")
MILLISECONDS = 10**11  # in seconds, this is the year 5138
FIRST_DAY = -62_135_510_400  # of our calendar, in whatever time zone
SAFE_INTEGER = 2**53  # beyond it a double no longer tells neighbours apart

# What filters ask with: which operators a value of each kind takes.
FILTER_KINDS = {
    "text": "text",
    "link": "text",
    "stripe": "text",
    "rich_link": "text",
    "number": "number",
    "money": "number",
    "date": "date",
    "boolean": "boolean",
}


def kind_of(key: str, value, *, date_suffix: str = "_date") -> str:
    """Return the kind of a stored value.

    One of text, link, stripe, number, boolean, date, rich_link, money, nested, nothing. A date is an integer (Unix
    seconds) under a key that ends in `date_suffix`: "_date" in metadata, "_at" in custom attributes.
    """
    match value:
        case bool():
            return "boolean"
        case int() if key.endswith(date_suffix) and FIRST_DAY <= value < MILLISECONDS:
            return "date"
        case int() | float():
            return "number"
        case str():
            if key in STRIPE_KEYS:
                return "stripe"
            return "link" if LINK.match(value) else "text"
        case None:
            return "nothing"
        case {"amount": int(amount), "currency": str()} if len(value) == 2 and not isinstance(amount, bool):
            return "money"
        case {"url": str(), "value": str() | int() | float()} if len(value) == 2:
            return "rich_link"
    return "nested"


def terms(values: dict) -> dict | None:
    """Return `values` as filters compare them, or None when that is `values` itself.

    Texts are folded, a rich link is its value, money's currency is in lower case, and what is nested is only known
    to be there: an empty object. Stored beside the values, so that SQLite and PostgreSQL compare the same thing.
    """
    compared = {key: _term(key, value) for key, value in values.items()}
    return None if compared == values else compared


def _term(key, value):
    match kind_of(key, value):
        case "text" | "link" | "stripe":
            return fold(value)
        case "rich_link":
            inner = value["value"]
            return fold(inner) if isinstance(inner, str) else inner
        case "money":
            return {"amount": value["amount"], "currency": value["currency"].lower()}
        case "nested":
            return {}
    return value


def shown(kind: str, value, zone: ZoneInfo) -> str:
    """Return a value as staff read it: money as 49.00 USD, a date as a day in `zone`, never raw Python."""
    match kind:
        case "money":
            return money_text(value)
        case "date":
            return f"{datetime.fromtimestamp(value, UTC).astimezone(zone):%-d %b %Y}"
        case "rich_link":
            return str(value["value"])
        case "boolean" | "nothing":
            return _plain_text(value)
        case "nested":
            return _nested_text(value)
        case "number":
            return f"{value:,}"
    return value


def _nested_text(value) -> str:
    """What is inside something nested, in words: “colour: red, sizes: (S, M)”."""
    match value:
        case dict():
            parts = [f"{key}: {_inner_text(inner)}" for key, inner in value.items()]
        case list():
            parts = [_inner_text(inner) for inner in value]
        case _:
            return _plain_text(value)
    return ", ".join(parts) or "nothing in it"


def _inner_text(value) -> str:
    return f"({_nested_text(value)})" if isinstance(value, dict | list) else _plain_text(value)


def _plain_text(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "–" if value is None else str(value)


def money_text(value: dict) -> str:
    """Return a monetary amount (cents and a currency) as 49.00 USD."""
    return f"{value['amount'] / 100:,.2f} {value['currency'].upper()}"
