"""How a line of the log looks: it names nobody, so that nothing is left in it of somebody who is deleted.

What a request says, in its path as in its query and body, may name a person, and so may an exception, which may quote a
request or a row. A line has the request's id and the route's pattern, and of an exception its kind and where it came
from; its words as well where they are of the system: a database, a broker or a file that is away.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from copy import copy

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError

OF_THE_SYSTEM = (
    OperationalError, InterfaceError, BrokerError, ConnectionError, TimeoutError, FileNotFoundError,
    PermissionError, MemoryError, ImportError, ImproperlyConfigured,
)  # fmt: skip
UNKNOWN = "an unknown path"
CAPTURED = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)|<(?:\w+:)?(\w+)>")


def route_of(request) -> str:
    """Return the pattern of a Django request's route, such as /contacts/{contact_id}."""
    match = getattr(request, "resolver_match", None)
    if match is None:
        return UNKNOWN
    shown = CAPTURED.sub(lambda name: f"{{{name[1] or name[2]}}}", match.route)
    return "/" + re.sub(r"/\?\$$|[\^$?]|\\(?=\.)", "", shown)


def told(error: BaseException) -> str:
    """Return what may be said of an exception: its kind, and what it says where that names nobody."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, OF_THE_SYSTEM) else kind


class Line(logging.Formatter):
    """Formats a record so that it names nobody: ours, Django's and Celery's."""

    def __init__(self):
        super().__init__("{asctime} {levelname} {name}: {message}", style="{")

    def format(self, record):
        record = copy(record)
        # Another handler may have formatted it in its own way.
        record.exc_text = None
        if isinstance(record.args, Mapping):
            # Celery's of a task that failed; in `exc` and `traceback` stands what the exception says.
            error = record.exc_info[1] if record.exc_info else None
            hidden = {name: told(error) if error else "…" for name in ("exc", "traceback") if name in record.args}
            record.args = {**record.args, **hidden}
        elif record.args:
            request = getattr(record, "request", None)
            record.args = tuple(_argument(one, request) for one in record.args)
        return super().format(record)

    def formatException(self, exc_info):
        return "".join(_lines(exc_info[1])).rstrip()


def _argument(one, request):
    if isinstance(one, BaseException):
        return told(one)
    if request is None:
        return one
    # Django escapes what it logs.
    paths = (request.path, request.path.encode("unicode_escape").decode("ascii"))
    return route_of(request) if one in paths else one


def _lines(error: BaseException):
    """Yield what Python would print of an exception and what led to it, but for the words."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _lines(before)
        yield "\nwhich led to\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{told(error)}\n"
