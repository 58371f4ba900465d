"""Sets of people that a builder's page asked for a moment ago, so that the edit of one row asks for that row alone.

For the page of the builder, which says as of when it answers; whoever else asks, asks afresh.
"""

import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

from pyroaring import BitMap

from eventsapp.models import Workspace

FRESH = 5  # seconds
MOST = 500  # sets in all, of at most 128 KB for each million people


class Kept(NamedTuple):
    """A set, the moment whose answer it is (Unix seconds), and until when it may serve (monotonic seconds)."""

    ids: BitMap
    now: int
    until: float


_kept: dict[tuple, Kept] = {}


def forget():
    _kept.clear()


def _make_room():
    for key, kept in list(_kept.items()):
        if time.monotonic() > kept.until:
            _kept.pop(key, None)
    if len(_kept) >= MOST:
        forget()


class Recent:
    """The sets of one workspace, for one answer at `now` (Unix seconds). `as_of` is the oldest moment it is made of.

    Whoever only fills it has an answer of one moment.
    """

    def __init__(self, workspace: Workspace, now: int, *, only_fill: bool):
        self.key, self.now, self.only_fill = (workspace.pk, workspace.time_zone), now, only_fill
        self.as_of = now

    def knows(self, condition: Hashable) -> bool:
        """Whether the set of a condition need not be asked for."""
        kept = None if self.only_fill else _kept.get((*self.key, condition))
        return kept is not None and time.monotonic() <= kept.until

    def get(self, condition: Hashable, ask: Callable[[], BitMap]) -> BitMap:
        """Return the set of a condition, from memory or by asking."""
        key = (*self.key, condition)
        kept = _kept.get(key) if self.knows(condition) else None
        if kept is None:
            until = time.monotonic() + FRESH
            kept = Kept(ask(), self.now, until)
            _make_room()
            _kept[key] = kept
        self.as_of = min(self.as_of, kept.now)
        return kept.ids
