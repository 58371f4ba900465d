"""How fast events come in, on PostgreSQL, over HTTP, beside a baseline that stores nothing."""

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.goals import Report, Void
from eventsapp.supervisor import web
from tests.live import Installation, database, free_port

HERE = Path(__file__).parent
CONNECTIONS = 32
PEOPLE, EVENTS = 10_000, 1_000_000
SLICE = 4  # seconds
BATCH, BATCHES, IMPORTED = 5_000, 20, 200_000
FILL = """
from benchmarks.data import fill
from eventsapp.models import Workspace
fill(Workspace.objects.get(), people={}, events={})
"""


def measure(report: Report, *, rounds: int = 8, events: int = EVENTS):
    """Measure single posts, batches and an import. Raises Void when what was told and what is stored disagree."""
    if not shutil.which("wrk"):
        raise Void("wrk is missing: apt-get install wrk")
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        installation.python(FILL.format(PEOPLE, events))
        # Its events are handed over and matched, one in twenty; few of them make a message.
        installation.make_rule(event="type-3", where=[{"key": "price", "op": "gt", "value": 495}])
        report.fact(_durability(url))
        _singles(report, installation, url, rounds)
        _bulk(report, installation, url)


def _durability(url) -> str:
    with psycopg.connect(url) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in ("fsync", "synchronous_commit")}
        version = connection.execute("SHOW server_version").fetchone()[0]
    return f"PostgreSQL {version}, " + ", ".join(f"{name} {value}" for name, value in shown.items())


def _singles(report, installation, url, rounds):
    """Machines have moods, so the baseline and what is measured take turns."""
    bare, server = _start_bare(installation), installation.start_web()
    installation.start_worker()
    for warm in (bare, installation.url):
        wrk(warm, installation.token, SLICE)
    before, spent = _settled(url), 0
    baseline, measured = [], []
    for _ in range(rounds):
        baseline.append(wrk(bare, installation.token, SLICE))
        spent -= _cpu_seconds(server.pid)
        measured.append(wrk(installation.url, installation.token, SLICE))
        spent += _cpu_seconds(server.pid)
    stored, requests = _settled(url) - before, sum(one["requests"] for one in measured)
    # What was on its way when the client stopped is stored, and its answer was not counted.
    if not 0 <= stored - requests <= CONNECTIONS * rounds or any(one["refused"] or one["broken"] for one in measured):
        raise Void(f"{measured} but {stored} stored")
    report.fact(installation.manage("check_summaries"))
    report.fact(f"{stored:,} stored, {requests:,} answered with 202, the rest under way at the end of a round")
    report.fact(f"the web process spent {spent / requests * 1e3:.2f} ms of CPU a request")
    installation.kill(server)
    shares = [ours["rate"] / its["rate"] for ours, its in zip(measured, baseline, strict=True)]
    rates = [one["rate"] for one in baseline]
    report.fact(f"baseline, an empty view on the same server: {median(rates):,.0f}/s")
    report.fact(f"share of it in each round: {', '.join(f'{share:.2f}' for share in shares)}")
    report.goal("single POST /events, 32 connections", median(one["rate"] for one in measured), "/s", at_least=1000)
    report.goal("… as a share of the baseline, the median of the rounds", median(shares), "×", at_least=0.3)
    report.goal("… p99 of the slowest round", max(one["p99"] for one in measured), "ms", at_most=100)


def _start_bare(installation) -> str:
    """Start the baseline: the product's own server line, another application."""
    port = free_port()
    command = web("127.0.0.1", port)
    command[-1] = "benchmarks.bare:application"
    installation.start(command, "bare.log")
    url = f"http://127.0.0.1:{port}"
    subprocess.run(["curl", "-s", "--retry", "40", "--retry-delay", "1", "--retry-connrefused", url], check=True)
    return url


def wrk(url, token, seconds) -> dict:
    """Post for so long; return requests, refused, broken, rate (per second), p50 and p99 (ms)."""
    command = [
        "wrk",
        "-t2",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(HERE / "events.lua"),
        url,
    ]
    done = subprocess.run(command, env=os.environ | {"TOKEN": token}, check=True, capture_output=True, text=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    result = json.loads(line.removeprefix("RESULT "))
    return result | {"rate": result["requests"] / result["seconds"]}


def _bulk(report, installation, url):
    installation.start_web()
    batches = [[_event(f"batch-{batch}-{number}") for number in range(BATCH)] for batch in range(BATCHES)]
    before, began = _stored(url), time.monotonic()
    for batch in batches:
        status, body = installation.request("POST", "/events/batch", batch)
        if status != 200 or json.loads(body)["stored"] != BATCH:
            raise Void(f"a batch was answered with {status} {body[:200]}")
    batch_rate = BATCH * BATCHES / (time.monotonic() - began)

    file = installation.var / "history.jsonl"
    file.write_text("".join(json.dumps(_event(f"import-{number}")) + "\n" for number in range(IMPORTED)))
    began = time.monotonic()
    installation.manage("import_events", str(file))
    import_rate = IMPORTED / (time.monotonic() - began)
    if _stored(url) - before != BATCH * BATCHES + IMPORTED:
        raise Void(f"{_stored(url) - before} events were stored by batches and import")
    report.fact(installation.manage("check_summaries"))

    copy_rate = _copy_rate(url)
    report.fact(f"raw COPY into the same table: {copy_rate:,.0f}/s")
    for name, rate in (("POST /events/batch", batch_rate), ("import_events", import_rate)):
        report.goal(f"{name}, {BATCH:,} events at once", rate, "/s", at_least=10_000)
        report.goal("… as a share of raw COPY", rate / copy_rate, "×", at_least=0.2)


def _event(order) -> dict:
    return {
        "event_name": f"type-{random.randrange(20)}",
        "created_at": int(time.time()) - random.randrange(86400 * 365),
        "user_id": f"person-{random.randrange(PEOPLE)}",
        "metadata": {"order": order, "price": random.randrange(500), "plan": random.choice(["free", "pro"])},
    }


def _copy_rate(url, rows: int = 100_000) -> float:
    """How many events a second PostgreSQL takes when nobody asks it anything."""
    columns = "contact_id, created_at, type_id, fingerprint, metadata, source, received_at"
    with psycopg.connect(url) as connection:
        sample = connection.execute(
            f"SELECT contact_id, created_at, type_id, -fingerprint, metadata, source, received_at"
            f" FROM eventsapp_event ORDER BY fingerprint DESC LIMIT {rows}"
        ).fetchall()
        random.shuffle(sample)
        began = time.monotonic()
        with connection.cursor() as cursor, cursor.copy(f"COPY eventsapp_event ({columns}) FROM STDIN") as copy:
            for *start, metadata, source, received_at in sample:
                copy.write_row((*start, json.dumps(metadata), source, received_at))
        connection.commit()
        return rows / (time.monotonic() - began)


def _settled(url) -> int:
    """How many events are stored, once nothing is under way any more."""
    seen = [_stored(url)]
    while len(seen) < 3 or seen[-1] != seen[-2]:
        time.sleep(0.5)
        seen.append(_stored(url))
    return seen[-1]


def _stored(url) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM eventsapp_event").fetchone()[0]


def _cpu_seconds(pid) -> float:
    """What the processes of this group have spent, user and system."""
    spent = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == pid:  # the process group
            spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")
