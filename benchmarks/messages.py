"""How soon a message leaves after its event, and how many events are matched with two hundred rules a second."""

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median, quantiles

import psycopg

from benchmarks.goals import Report, Void
from tests.live import Installation, Redis, database, wait_for

IDLE, BURST, THREADS = 60, 1_000, 8
RULES, MATCHED = 200, 10_000
# By the database's clock, in milliseconds.
TOOK = """
    SELECT 1000 * extract(epoch FROM delivery.sent_at - event.received_at)
    FROM messaging_delivery AS delivery
    JOIN eventsapp_event AS event ON event.uuid = delivery.event_id AND event.contact_id = delivery.contact_id
    WHERE delivery.state = 'sent' AND event.metadata ->> 'run' = %s
"""
MATCH = """
import json, time
from django.conf import settings
from eventsapp.incoming import read_event
from eventsapp.ingest import ingest
from eventsapp.models import HandOver, Workspace
from messaging import matching
workspace, now = Workspace.objects.get(), int(time.time())
for start in range(0, {events}, 5000):
    sent = [{{"event_name": "placed-order", "created_at": now, "user_id": f"p-{{n % 5000}}", "metadata": {{"n": n}}}}
            for n in range(start, start + 5000)]
    ingest(workspace, [read_event(event) for event in sent])
began = time.perf_counter()
matched = matching.match_waiting()
print(json.dumps([matched, time.perf_counter() - began]))
"""
RULE = """
from eventsapp.ingest import event_type
from eventsapp.models import Workspace
from messaging.models import AutoMessage
from messaging.rules import go_live
workspace = Workspace.objects.get()
for number in range({rules}):
    rule = AutoMessage.objects.create(workspace=workspace, name=f"Rule {{number}}", subject="Hi", body="Hi",
        trigger=event_type(workspace, "placed-order"), frequency="every_time", delay_seconds=3600,
        where=[{{"key": "n", "op": "eq", "value": number}}])
    go_live(rule)
"""


def measure(report: Report):
    """Measure on PostgreSQL with Redis, then with files as the broker. Raises Void when a message is missing."""
    if not shutil.which("redis-server"):
        raise Void("redis-server is missing: apt-get install redis-server")
    with ExitStack() as stack:
        url = stack.enter_context(database())
        redis = stack.enter_context(Redis())
        for broker, environment in (("Redis", {"BROKER_URL": redis.url}), ("files", {})):
            _handed_over(report, broker, url, environment)
    _matching(report)


def _handed_over(report, broker, url, environment):
    with Installation(DATABASE_URL=url, **environment) as installation:
        if not _is_set_up(url):
            installation.set_up()
            installation.make_rule(body="<p>{{ event.metadata.code }}</p>")
        installation.token = installation.manage("create_token", "--name", broker, "--scope", "admin")
        installation.start_web()
        installation.start_worker()
        _post(installation, f"{broker} first", 0)
        wait_for(lambda: _took(url, f"{broker} first"), 30, "the first message")
        for number in range(IDLE):
            _post(installation, f"{broker} idle", number)
            time.sleep(0.35)
        _report(report, url, f"{broker} idle", IDLE, f"event → handed over, {broker}, idle: p99", 1_000)
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda number: _post(installation, f"{broker} burst", number), range(BURST)))
        _report(report, url, f"{broker} burst", BURST, f"event → handed over, {broker}, burst of 1,000: p99", 5_000)


def _is_set_up(url) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT to_regclass('messaging_delivery')").fetchone()[0] is not None


def _post(installation, run, number):
    uuid = f"{os.urandom(4).hex()}-0000-4000-8000-{number:012x}"
    status = installation.post_event(f"person-{number}", uuid=uuid, metadata={"run": run, "code": str(number)})
    if status != 202:
        raise Void(f"an event was answered with {status}")


def _took(url, run) -> list[float]:
    with psycopg.connect(url) as connection:
        return [float(took) for (took,) in connection.execute(TOOK, [run]).fetchall()]


def _report(report, url, run, expected, what, limit):
    try:
        wait_for(lambda: len(_took(url, run)) >= expected, 60, "all messages", every=0.5)
    except AssertionError as error:
        raise Void(f"{run}: {len(_took(url, run))} messages of {expected} events") from error
    took = _took(url, run)
    report.goal(what, quantiles(took, n=100)[-1], "ms", beside=f"p50 {median(took):,.0f} ms", at_most=limit)


def _matching(report):
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        installation.python(RULE.format(rules=RULES))
        matched, seconds = json.loads(installation.python(MATCH.format(events=MATCHED)))
        if matched != MATCHED:
            raise Void(f"{matched} events of {MATCHED} were matched")
        what = f"events matched with {RULES} live rules of their type"
        report.goal(what, matched / seconds, "/s", at_least=500)
