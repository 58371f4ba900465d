"""What is to be reached, and the table that says HIT or MISS."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """A figure and its limit: `at_least` or `at_most`, in `unit`; and what stands `beside` it."""

    what: str
    measured: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""

    @property
    def is_hit(self) -> bool:
        return (self.at_least is None or self.measured >= self.at_least) and (
            self.at_most is None or self.measured <= self.at_most
        )

    def __str__(self):
        limit = f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"
        verdict = "HIT " if self.is_hit else "MISS"
        beside = f"  ({self.beside})" if self.beside else ""
        return f"{verdict}  {self.what:<58} {self.measured:>12,.2f} {self.unit:<8} goal {limit}{beside}"


@dataclass
class Report:
    """The goals measured so far, and the facts they are to be read with."""

    goals: list[Goal] = field(default_factory=list)

    def fact(self, text: str):
        print(f"      {text}", flush=True)

    def goal(self, what: str, measured: float, unit: str = "", *, beside: str = "", **limit: float):
        self.goals.append(Goal(what, measured, unit, beside=beside, **limit))
        print(self.goals[-1], flush=True)

    @property
    def missed(self) -> list[Goal]:
        return [goal for goal in self.goals if not goal.is_hit]


class Void(Exception):
    """The run measured something else than it claims; its figures mean nothing."""
