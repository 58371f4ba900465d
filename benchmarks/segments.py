"""How fast staff learn who matches, on PostgreSQL and on SQLite, with ClickHouse counting after us."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psycopg

from benchmarks.goals import Report, Void
from tests.live import ROOT, Installation, Postgres

PEOPLE, EVENTS = 1_000_000, 10_000_000
PEOPLE_EMBEDDED, EVENTS_EMBEDDED = 20_000, 300_000
RUNS = 5
POSTS, PREVIEWS = 200, 5  # at least
FILL = """
from benchmarks.data import fill
from eventsapp.models import Workspace
fill(Workspace.objects.get(), people={}, events={})
"""
DAY = 24 * 3600


# The questions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A question: its conditions, and after WHERE what ClickHouse is asked about people for the same answer."""

    what: str
    conditions: list[dict]
    same: str
    match: str = "all"

    @property
    def definition(self) -> dict:
        return {"version": 1, "match": self.match, "conditions": self.conditions}

    @property
    def has_metadata(self) -> bool:
        return '"where"' in json.dumps(self.conditions)


def did(type, **parts):
    return {"kind": "event", "event": type, "did": True} | parts


def never(type):
    return {"kind": "event", "event": type, "did": False}


def times(op, value):
    return {"op": op, "value": value}


def at(occurrence, type, op, days):
    return {"kind": "event_time", "event": type, "occurrence": occurrence, "op": f"{op}_than_days_ago", "value": days}


def attribute(key, op, value):
    return {"kind": "attribute", "field": f"custom_attributes.{key}", "op": op, "value": value}


def where(**tests):
    return [{"key": key, "op": op, "value": value} for key, (op, value) in tests.items()]


def who_did(type, having="", *, since="", where=""):
    """The same for ClickHouse: the contacts with such events. `since` is a number of days, up to now."""
    parts = [f"type = '{type}'"]
    if since:
        parts.append(f"created_at BETWEEN {{now}} - {since * DAY} AND {{now}}")
    if where:
        parts.append(where)
    grouped = f" GROUP BY contact_id HAVING {having}" if having else ""
    return f"(SELECT contact_id FROM bench.events WHERE {' AND '.join(parts)}{grouped})"


ONE = [
    Case("did the busiest", [did("type-0")], f"id IN {who_did('type-0')}"),
    Case(
        "did the busiest at least 3 times",
        [did("type-0", count=times("gte", 3))],
        f"id IN {who_did('type-0', 'count() >= 3')}",
    ),
    Case("never did the busiest", [never("type-0")], f"id NOT IN {who_did('type-0')}"),
    Case(
        "first did the busiest less than 30 days ago",
        [at("first", "type-0", "less", 30)],
        f"id IN {who_did('type-0', f'min(created_at) > {{now}} - {30 * DAY}')}",
    ),
    Case(
        "last did the busiest more than 60 days ago",
        [at("last", "type-0", "more", 60)],
        f"id IN {who_did('type-0', f'max(created_at) < {{now}} - {60 * DAY}')}",
    ),
    Case(
        "did the fifth at most 2 times",
        [did("type-4", count=times("lte", 2))],
        f"id IN {who_did('type-4', 'count() <= 2')}",
    ),
]
SEVERAL = [
    Case(
        "A ≥ 3 and plan is pro and never B",
        [did("type-0", count=times("gte", 3)), attribute("plan", "is", "pro"), never("type-1")],
        f"id IN {who_did('type-0', 'count() >= 3')} AND plan = 'pro' AND id NOT IN {who_did('type-1')}",
    ),
    Case(
        "A ≥ 2 and last B > 60 days ago, or never C",
        [
            {
                "match": "all",
                "conditions": [did("type-0", count=times("gte", 2)), at("last", "type-1", "more", 60)],
            },
            never("type-2"),
        ],
        f"(id IN {who_did('type-0', 'count() >= 2')}"
        f" AND id IN {who_did('type-1', f'max(created_at) < {{now}} - {60 * DAY}')})"
        f" OR id NOT IN {who_did('type-2')}",
        match="any",
    ),
    Case(
        "A ≥ 2, never D, first B < 90 days ago or seats > 10",
        [
            did("type-0", count=times("gte", 2)),
            never("type-3"),
            {"match": "any", "conditions": [at("first", "type-1", "less", 90), attribute("seats", "gt", 10)]},
        ],
        f"id IN {who_did('type-0', 'count() >= 2')} AND id NOT IN {who_did('type-3')}"
        f" AND (id IN {who_did('type-1', f'min(created_at) > {{now}} - {90 * DAY}')} OR seats > 10)",
    ),
    Case(
        "plan not free, renewal < 30 days ago, last A < 14, never E",
        [
            attribute("plan", "is_not", "free"),
            attribute("renewal_at", "less_than_days_ago", 30),
            at("last", "type-0", "less", 14),
            never("type-4"),
        ],
        f"plan != 'free' AND renewal_at > {{now}} - {30 * DAY}"
        f" AND id IN {who_did('type-0', f'max(created_at) > {{now}} - {14 * DAY}')} AND id NOT IN {who_did('type-4')}",
    ),
]


def _with_metadata(days, *, price, plan):
    """The same questions about the metadata of the busiest type, in a month or a year."""
    within = {"within": {"last_days": days}}
    both = f"{{price}} <= {price} AND {{event_plan}} = {plan!r}"
    return [
        Case(
            f"price > {price}",
            [did("type-0", where=where(price=("gt", price)), **within)],
            f"id IN {who_did('type-0', since=days, where=f'{{price}} > {price}')}",
        ),
        Case(
            f"plan is {plan}",
            [did("type-0", where=where(plan=("is", plan)), **within)],
            f"id IN {who_did('type-0', since=days, where=f'{{event_plan}} = {plan!r}')}",
        ),
        Case(
            f"price ≤ {price} and plan is {plan}, at least twice",
            [did("type-0", count=times("gte", 2), where=where(price=("lte", price), plan=("is", plan)), **within)],
            f"id IN {who_did('type-0', 'count() >= 2', since=days, where=both)}",
        ),
    ]


LINES = [
    ("one count, first or last", 250, ONE),
    ("three or four, with not and or", 600, SEVERAL),
    ("30 days of the busiest, by metadata", 250, _with_metadata(30, price=400, plan="pro")),
    ("a year of the busiest, by metadata", 1500, _with_metadata(365, price=400, plan="pro")),
]
EMBEDDED_WITHOUT, EMBEDDED_WITH = 300, 1000  # ms: without metadata and with it


# Measuring -----------------------------------------------------------------------------------------------------------


def measure(report: Report):
    """Measure questions on PostgreSQL, then on SQLite. Raises Void when ClickHouse counts something else."""
    with Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            # Only the filling takes notice: its log would be written twice otherwise.
            connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        server.restart()
        with Installation(DATABASE_URL=server.url) as installation:
            now = _fill(report, installation, PEOPLE, EVENTS)
            report.fact("Cold: PostgreSQL started anew before each run, a new connection, no kept set of people.")
            report.fact("The operating system keeps the files in memory.")
            _questions(report, installation, server.url, now, before_each=server.restart)
            _edits(report, installation, now)
            _posts_beside_previews(report, installation)
    with Installation() as installation:
        now = _fill(report, installation, PEOPLE_EMBEDDED, EVENTS_EMBEDDED)
        report.fact("Cold: a new connection, which has nothing in memory, and no kept set of people.")
        _questions(report, installation, str(installation.var / "eventsapp.sqlite3"), now)
        _edits(report, installation, now)
        _posts_beside_previews(report, installation)


def _fill(report, installation, people, events) -> int:
    """Make the data; return the instant for which all questions are asked, so that all count the same."""
    began = time.monotonic()
    installation.set_up()
    installation.python(FILL.format(people, events))
    kind = "PostgreSQL" if "DATABASE_URL" in installation.environment else "SQLite"
    report.fact(f"{people:,} people and {events:,} events in {kind}, filled in {time.monotonic() - began:.0f} s")
    return int(time.time())


def _questions(report, installation, url, now, before_each=lambda: None):
    # Imported here, because nothing else of the measuring needs it.
    from benchmarks.clickhouse import AS_JSON, ClickHouse

    embedded = not url.startswith("postgres")
    with tempfile.TemporaryDirectory(prefix="eventsapp-bench-") as folder, ClickHouse(url, Path(folder)) as clickhouse:
        for line, limit, cases in LINES:
            report.fact(f"{line}:")
            for case in cases:
                with _asker(installation) as ask:
                    runs = []
                    for _ in range(RUNS):
                        before_each()
                        runs.append(ask(case.definition, now))
                [count] = {run["count"] for run in runs}
                its_count, its_time = clickhouse.count(case.same, now=now)
                if count != its_count:
                    raise Void(f"{runs[0]['words']}: {count:,}, but {its_count:,} by ClickHouse")
                beside = f"{count:,} people; ClickHouse {its_time:.0f} ms"
                if case.has_metadata:
                    beside += f", from JSON {clickhouse.count(case.same, now=now, keys=AS_JSON)[1]:.0f} ms"
                if embedded:
                    limit = EMBEDDED_WITH if case.has_metadata else EMBEDDED_WITHOUT
                report.goal(case.what, median(run["milliseconds"] for run in runs), "ms", beside=beside, at_most=limit)


def _edits(report, installation, now):
    """On the page, one row of several changes: the others are known, so the wait is for this one."""
    before = SEVERAL[0].definition
    first, *others = before["conditions"]
    with _asker(installation) as ask:
        for least in (4, 4 + RUNS):  # the first round fills the buffers; no row is asked twice, its set would be kept
            runs = [
                ask(
                    before,
                    now,
                    edited=before | {"conditions": [first | {"count": times("gte", least + place)}, *others]},
                )
                for place in range(RUNS)
            ]
    own = median(run["own"] for run in runs)
    beyond = median(run["milliseconds"] - run["own"] for run in runs)
    report.goal("one row edited, beyond its own time", beyond, "ms", beside=f"its own {own:.0f} ms", at_most=10)


@contextmanager
def _asker(installation):
    """A process with the product's engine; yields a function that asks it."""
    command = [sys.executable, "-m", "benchmarks.asking"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=installation.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(definition, now, **edited) -> dict:
        process.stdin.write(json.dumps({"definition": definition, "now": now} | edited) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(30)


def _posts_beside_previews(report, installation):
    """Somebody previews the heaviest question again and again; meanwhile an app posts one event after another."""
    web = installation.start_web()
    heaviest = {"definition": LINES[-1][-1][-1].definition}
    previews, stopped = [], threading.Event()

    def preview():
        while not stopped.is_set():
            previews.append(installation.request("POST", "/segments/preview", heaviest)[0])

    thread = threading.Thread(target=preview)
    thread.start()
    answers, took = [], []
    try:
        while len(took) < POSTS or len(previews) < PREVIEWS:
            began = time.perf_counter()
            answers.append(installation.post_event(f"person-{len(took)}", event_name="type-0"))
            took.append(1000 * (time.perf_counter() - began))
    finally:
        stopped.set()
        thread.join()
    if set(previews) != {200}:
        raise Void(f"previews were answered with {set(previews)}")
    installation.kill(web)
    accepted = 100 * answers.count(202) / len(answers)
    p99 = f"p50 {median(took):.0f} ms, p99 {quantiles(took, n=100)[-1]:.0f} ms; {len(previews)} previews meanwhile"
    report.goal("posts answered with 202 while somebody previews", accepted, "%", beside=p99, at_least=100)
