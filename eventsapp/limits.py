"""How much an app, or a browser, may ask in ten seconds.

Counted in the cache: by process, or by all of them when they share one.
"""

import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

from django.core.cache import cache

logger = logging.getLogger(__name__)

WINDOW = 10  # seconds, as Intercom's
SLICES = 1000  # of a limit
MOST_PURSES = 10_000  # kept at a time, beyond which all are forgotten


@dataclass(frozen=True)
class Allowance:
    """What a token may still ask in this window, which ends at `reset` (Unix seconds)."""

    limit: int
    used: int
    reset: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.limit

    def headers(self) -> dict[str, str]:
        """The three that SDKs read, always together: Java's fails on a missing one."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.limit - self.used, 0)),
            "X-RateLimit-Reset": str(self.reset),
        }
        return headers | ({"Retry-After": str(max(self.reset - int(time.time()), 1))} if self.is_exceeded else {})


@dataclass
class _Purse:
    """What this process may spend of one window without asking; `taken` is what all processes took so far."""

    window: int
    taken: int = 0
    left: int = 0
    counts_alone: bool = False  # the cache did not answer in this window


class Purses:
    """Takes from the shared count a slice at a time, so that few requests ask the cache: of a limit of 100,000 one in a
    hundred, of a small one each."""

    def __init__(self):
        self._purses: dict[Hashable, _Purse] = {}
        self._lock = threading.Lock()

    def spend(self, who: Hashable, limit: int, items: int = 1) -> Allowance:
        """Count `items` against the window of `who`: a token's id, or what stands for the address of browsers.
        Return what is left. A cache that is away stops nobody."""
        window = int(time.time()) // WINDOW
        with self._lock:
            purse = self._purses.get(who)
            if purse is None or purse.window != window:
                if len(self._purses) >= MOST_PURSES:
                    # Whoever is forgotten is asked anew of the shared count.
                    self._purses = {}
                purse = self._purses[who] = _Purse(window)
            if purse.left < items:
                _take(purse, who, max(items - purse.left, limit // SLICES))
            purse.left -= items
            return Allowance(limit, purse.taken - purse.left, (window + 1) * WINDOW)

    def forget(self):
        self._purses.clear()


def _take(purse: _Purse, who: Hashable, items: int):
    key = f"spent:{who}:{purse.window}"
    if not purse.counts_alone:
        try:
            cache.add(key, 0, 2 * WINDOW)
            purse.taken = cache.incr(key, items) - items
        except Exception as error:  # noqa: BLE001  each cache has errors of its own; an event weighs more than its count
            logger.warning("Requests are counted by process alone: the cache is away (%s).", error)
            purse.counts_alone = True
    purse.taken += items
    purse.left += items


purses = Purses()
spend = purses.spend
