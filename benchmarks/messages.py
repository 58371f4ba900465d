"""How soon a message leaves after its event, how many events are matched with two hundred rules a second, and how fast
webhooks of events are posted."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median, quantiles

import psycopg

from benchmarks.goals import Report, Void
from tests.live import Installation, Redis, database, wait_for

IDLE, BURST, THREADS = 60, 1_000, 8
RULES, MATCHED = 200, 10_000
POSTED = 3_000
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
# Where each webhook is answered at once. Ends with its input.
RECEIVER = """
import sys
from tests.receiver import Receiver
with Receiver() as receiver:
    print(receiver.url, flush=True)
    sys.stdin.read()
"""
TELL = """
import json, time
from concurrent.futures import ThreadPoolExecutor
from eventsapp.incoming import read_event
from eventsapp.ingest import ingest
from eventsapp.models import Workspace
from messaging import matching, notifying, subscriptions
from messaging.channels import outgoing
from messaging.models import Notification, Subscription
workspace, now = Workspace.objects.get(), int(time.time())
subscriptions.keep(Subscription(workspace=workspace, url={url!r}), event_names=["placed-order"])
notifying.post_due()
sent = [{{"event_name": "placed-order", "created_at": now, "user_id": f"p-{{n}}", "metadata": {{"n": n}}}}
        for n in range({events})]
ingest(workspace, [read_event(event) for event in sent])
matching.match_waiting()
began = time.perf_counter()
while Notification.objects.due().exists():
    notifying.post_due()
took = time.perf_counter() - began
sent = Notification.objects.filter(state="sent").count()
body = b"x" * 600
began = time.perf_counter()
with ThreadPoolExecutor(notifying.AT_ONCE) as lines:
    list(lines.map(lambda _: outgoing.post({url!r}, body, {{"Connection": "close"}}), range({events})))
print(json.dumps([sent, took, time.perf_counter() - began]))
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
    _posting(report)


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


def _posting(report):
    command = [sys.executable, "-c", RECEIVER]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver,
        database() as url,
        Installation(DATABASE_URL=url, WEBHOOK_ALLOW_PRIVATE="true") as installation,
    ):
        address = receiver.stdout.readline().strip()
        installation.set_up()
        sent, took, bare = json.loads(installation.python(TELL.format(url=address, events=POSTED)))
        receiver.stdin.close()
    if sent != POSTED + 1:
        raise Void(f"{sent} webhooks of {POSTED} events and a ping were taken")
    report.fact(f"posting alone, to a receiver in Python, 20 at a time: {POSTED / bare:,.0f}/s")
    report.goal(
        "webhooks of events posted, × posting alone", bare / took, "×", beside=f"{POSTED / took:,.0f}/s", at_least=0.3
    )
