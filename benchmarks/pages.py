"""What open pages cost: single posts with and without five hundred browsers that ask for their messages."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

import psycopg

from benchmarks.goals import Report, Void
from benchmarks.ingest import CONNECTIONS, EVENTS, FILL, HERE, PEOPLE, SLICE, wrk
from tests.live import ROOT, Installation, database

PAGES, EVERY = 500, 2  # seconds between two polls of a page, as of the library while somebody is there to read
RUNS_ALONE = 3
SETTLING = 15  # rounds, at most, until no message is under way
THREADS = 8
# One in fifty events of those who have a page open makes an in-app message.
SHOWN = {
    "event": "type-5",
    "channel": "in_app",
    "where": [{"key": "price", "op": "gt", "value": 300}],
    "conditions": {
        "version": 1,
        "match": "all",
        "conditions": [{"kind": "attribute", "field": "custom_attributes.page", "op": "is", "value": "open"}],
    },
}
HASHES = """
import json
from eventsapp.identity import user_hash
from eventsapp.models import Workspace
secret = Workspace.objects.get().identity_secrets.create().secret
print(json.dumps([user_hash(secret, f"person-{{number}}") for number in range({pages})]))
"""


def measure(report: Report, *, rounds: int = 8, events: int = EVENTS):
    """Measure posts without and with open pages in turns, then polls alone. Raises Void when a post or a poll failed,
    when pages polled less often than they would, or when no message came to any."""
    if not shutil.which("wrk"):
        raise Void("wrk is missing: apt-get install wrk")
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        installation.python(FILL.format(PEOPLE, events))
        # The rule that single posts are measured with, and one whose messages the pages show.
        installation.make_rule(event="type-3", where=[{"key": "price", "op": "gt", "value": 495}])
        rule = installation.make_rule(**SHOWN)
        installation.start_web()
        installation.start_worker()
        pages = _booted(installation)
        _posts_beside_pages(report, installation, url, rule, pages, rounds)
        _polls_alone(report, installation, url, rule, pages)


def _booted(installation) -> list[list[str]]:
    """Boot browsers of proven users; return what each page polls, and the ETag of its last answer: none yet."""
    hashes = json.loads(installation.python(HASHES.format(pages=PAGES)))
    address = f"/widget/{installation.app_id}"

    def page(number) -> list[str]:
        who = {"user_id": f"person-{number}", "user_hash": hashes[number], "page": "open"}
        said = {"device_secret": uuid.uuid4().hex, "visit_secret": uuid.uuid4().hex, "settings": who}
        request = urllib.request.Request(f"{installation.url}{address}/boot", json.dumps(said).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = json.load(answer)
        if told["kind"] != "verified":
            raise Void(f"a browser was booted as {told}")
        return [f"{address}/messages?mailbox_token={told['mailbox_token']}", ""]

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(page, range(PAGES)))


def _posts_beside_pages(report, installation, url, rule, pages, rounds):
    """Machines have moods, so both take turns, and one with pages is compared with those before and after it."""

    def post() -> dict:
        return wrk(installation.url, installation.token, SLICE)

    post()
    _, polled = _while_open(installation, pages, post)
    _checked([polled], within=0.1)
    alone, beside, polls, shown = [post()], [], [], 0
    for _ in range(rounds):
        shown -= _sent(url, rule)
        posted, polled = _while_open(installation, pages, post)
        shown += _sent(url, rule)
        beside.append(posted)
        polls.append(polled)
        alone.append(post())
    if any(one["refused"] or one["broken"] for one in alone + beside):
        raise Void(f"posts were refused: {alone + beside}")
    statuses, seconds = _checked(polls, within=0.02)
    if not shown or not statuses["200"]:
        raise Void(f"{shown} in-app messages came to be, {statuses['200']} polls found news")
    report.fact(f"{PAGES} pages, {statuses.total() / seconds:.1f} polls/s on connections that are kept")
    report.fact(f"{shown:,} in-app messages for them meanwhile; {statuses['200']:,} polls found news")
    report.fact(f"the process that polls spent {100 * sum(one['cpu'] for one in polls) / seconds:.1f} % of a core")
    percentiles = quantiles((one for polled in polls for one in polled["milliseconds"]), n=100)
    report.fact(f"a poll beside posts: p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms")
    without, with_pages = [one["rate"] for one in alone], [one["rate"] for one in beside]
    shares = [
        2 * rate / (before + after) for before, rate, after in zip(without, with_pages, without[1:], strict=False)
    ]
    report.fact(f"share of the speed without pages in each round: {', '.join(f'{share:.2f}' for share in shares)}")
    what = f"what {PAGES} open pages cost single posts, the median of the rounds"
    figures = f"{median(without):,.0f}/s without, {median(with_pages):,.0f}/s with"
    report.goal(what, 100 * (1 - median(shares)), "%", beside=figures, at_most=10)


def _checked(polls: list[dict], *, within: float) -> tuple[Counter, float]:
    """Return how often which status was answered, and in how many seconds. Raises Void when a poll failed, or when they
    were fewer or more than open pages ask by more than this share."""
    statuses = sum((Counter(one["statuses"]) for one in polls), Counter())
    seconds = sum(one["seconds"] for one in polls)
    rate, expected = statuses.total() / seconds, PAGES / EVERY
    if statuses.keys() - {"200", "304"} or abs(rate / expected - 1) > within:
        told = f"{PAGES} pages ask {expected:.0f} times a second, and {rate:.0f} were answered: {dict(statuses)}"
        raise Void(f"{told}. Does the server keep so many connections?")
    return statuses, seconds


def _while_open(installation, pages, act: Callable):
    """Do something while pages are open. Return what came of it, and what came of their polls meanwhile: statuses,
    seconds, milliseconds of each, seconds of CPU that asking took."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.polling"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        print(json.dumps({"port": installation.port, "every": EVERY, "pages": pages}), file=process.stdin, flush=True)
        if process.stdout.readline() != "ready\n":
            raise Void("not every page could be opened")
        done = act()
        print(file=process.stdin, flush=True)
        told = json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
    for page, etag in zip(pages, told.pop("etags"), strict=True):
        page[1] = etag
    return done, told


def _sent(url, rule) -> int:
    with psycopg.connect(url) as connection:
        asked = "SELECT count(*) FROM messaging_delivery WHERE message_id = %s AND state = 'sent'"
        return connection.execute(asked, [rule]).fetchone()[0]


def _polls_alone(report, installation, url, rule, pages):
    """How often one process can say that there is nothing new."""
    sent = None
    for _ in range(SETTLING):
        _while_open(installation, pages, lambda: time.sleep(EVERY))
        if sent == (sent := _sent(url, rule)):
            break
    before = [list(page) for page in pages]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{path} {etag}\n" for path, etag in pages)
        file.flush()
        rates = [_wrk_polls(installation.url, file.name) for _ in range(RUNS_ALONE)]
    _while_open(installation, pages, lambda: time.sleep(EVERY))
    if pages != before:
        raise Void("mailboxes changed while polls alone were measured")
    carried = median(rates) * EVERY
    report.fact(
        f"polls alone, all answered with 304: {median(rates):,.0f}/s; one process carries {carried:,.0f} open pages"
    )


def _wrk_polls(url, pages: str) -> float:
    """Poll from as many connections as posts come from; return how often a second that was answered."""
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SLICE}s", "--timeout", "30s", "-s", str(HERE / "polls.lua"), url]
    done = subprocess.run(command, env=os.environ | {"PAGES": pages}, check=True, capture_output=True, text=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise Void(f"polls were refused: {done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
