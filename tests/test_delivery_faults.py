"""A bad day: workers are killed, the broker and the database go away, mail servers refuse, hang and drop the line. Each
person gets one message, or one more where an answer or a note was lost, always under the same Message-ID; nothing is
lost, and every end has its reason."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import psycopg
import pytest
from aiosmtpd.controller import Controller

from tests.live import Installation, Postgres, Redis, database, free_port, silent_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.apart]
PEOPLE = 1_000


class Moody:
    """A mail server that treats a person by their number: most mails it takes, some it refuses, and at first some it
    defers, leaves waiting, or takes without a word."""

    def __init__(self):
        self.taken: dict[str, list[str]] = defaultdict(list)  # Message-IDs by address
        self.seen = Counter()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's word
        [address] = envelope.rcpt_tos
        number, first = int(address.partition("@")[0].partition("-")[2]), not self.seen[address]
        self.seen[address] += 1
        if number % 100 == 1:
            return "554 never"
        if first and number % 100 == 2:
            return "451 not now"
        if first and number % 400 == 3:
            await asyncio.sleep(12)  # longer than anybody waits
            return "451 too late"
        self.taken[address].append(message_from_bytes(envelope.content)["Message-ID"])
        if first and number % 100 == 4:
            server.transport.abort()
        return "250 OK"


class Rabbit:
    """A RabbitMQ of one's own, which can be stopped and started on the same port."""

    def __init__(self):
        self.port, self.folder = free_port(), Path(tempfile.mkdtemp(prefix="eventsapp-rabbit-"))
        self.name = f"eventsapp{self.port}@localhost"
        self.environment = os.environ | {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
        }
        self.process = None

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self):
        server = next(Path("/usr/lib/rabbitmq").glob("**/sbin/rabbitmq-server"), None) or shutil.which(
            "rabbitmq-server"
        )
        self.process = subprocess.Popen(
            [server],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )
        wait_for(self._answers, 60, "RabbitMQ to start")
        return self

    def _answers(self) -> bool:
        from kombu import Connection

        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
                return True
        except OSError:
            return False

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    __enter__ = start

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def mail():
    moody = Moody()
    server = Controller(moody, hostname="127.0.0.1", port=free_port())
    server.start()
    moody.port = server.port
    yield moody
    server.stop()


@pytest.mark.postgres
@pytest.mark.redis
def test_on_a_bad_day_each_person_gets_one_message(mail):
    with (
        Postgres() as postgres,
        Redis() as redis,
        Installation(
            DATABASE_URL=postgres.url, BROKER_URL=redis.url, EMAIL_URL=f"smtp://127.0.0.1:{mail.port}"
        ) as installation,
    ):
        installation.set_up().make_rule(frequency="once")
        installation.start_web()
        workers = [installation.start_worker(), installation.start_worker()]

        def post(number):
            user, now = f"person-{number}", int(time.time())
            # The same event again: when the database dies in a commit, nobody knows whether it was stored.
            while (status := installation.post_event(user, created_at=now, metadata={})) in (503, 500):
                time.sleep(0.5)
            return status

        with ThreadPoolExecutor(8) as threads:
            statuses = [threads.submit(post, number) for number in range(PEOPLE)]
            for trouble in (0, 1, 2):
                wait_for(lambda part=trouble: sum(s.done() for s in statuses) > (part + 1) * PEOPLE // 4, 120, "events")
                installation.kill(workers.pop(0))
                if trouble == 0:
                    redis.stop()
                    time.sleep(1)
                    with silent_port(redis.port):
                        time.sleep(2)
                    redis.start()
                if trouble == 1:
                    postgres.kill()
                    time.sleep(1)
                    postgres.start()
                workers.append(installation.start_worker())
            assert {status.result() for status in statuses} == {202}
        everybody = PEOPLE // 100
        wait_for(
            lambda: installation.deliveries() == {"sent": PEOPLE - everybody, "failed refused": everybody},
            240, "an end of each", every=3,
        )  # fmt: skip
    refused = {f"person-{number}@example.org" for number in range(PEOPLE) if number % 100 == 1}
    assert mail.taken.keys() == {f"person-{number}@example.org" for number in range(PEOPLE)} - refused
    # A repeat is the same mail, wherever it is one.
    assert {address for address, ids in mail.taken.items() if len(set(ids)) > 1} == set()
    lost_answers = {f"person-{number}@example.org" for number in range(4, PEOPLE, 100)}
    repeated = {address: len(ids) for address, ids in mail.taken.items() if len(ids) > 1}
    assert set(repeated.values()) <= {2}
    # One more for each lost answer, and for what the killed processes and the database had no time to note.
    assert len(repeated.keys() - lost_answers) <= 3 * 2 + 4


UNANSWERED = """
    SELECT count(*) FILTER (WHERE event.received_at >= rule.live_since AND delivery.id IS NULL),
        count(*) FILTER (WHERE event.received_at < rule.live_since AND delivery.id IS NOT NULL),
        count(delivery.id), count(*)
    FROM eventsapp_event AS event CROSS JOIN messaging_automessage AS rule
    LEFT JOIN messaging_delivery AS delivery
        ON delivery.contact_id = event.contact_id AND delivery.event_id = event.uuid AND delivery.message_id = rule.id
"""
DRAFT = {
    "name": "Later", "state": "draft", "trigger": {"event": "placed-order"}, "frequency": {"mode": "every_time"},
    "channel": "in_app", "content": {"body": "Hi"},
}  # fmt: skip


@pytest.mark.postgres
def test_a_rule_that_goes_live_amid_posts_answers_each_event_since_then_and_none_before():
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        installation.start_web()
        other = free_port()
        installation.start_web(other)
        installation.start_worker()
        rule = json.loads(installation.request("POST", "/auto_messages", DRAFT)[1])["id"]
        ends = time.monotonic() + 6

        def post(place):
            statuses = Counter()
            while time.monotonic() < ends:
                user = f"person-{place}-{statuses.total()}"
                event = {"event_name": "placed-order", "created_at": int(time.time()), "user_id": user}
                event["uuid"] = str(uuid.uuid4())
                port = installation.port if place % 2 else other
                statuses[installation.request("POST", "/events", event, port=port)[0]] += 1
            return statuses

        with ThreadPoolExecutor(8) as threads:
            posting = [threads.submit(post, place) for place in range(8)]
            time.sleep(3)
            assert installation.request("PUT", f"/auto_messages/{rule}", {"state": "live"})[0] == 200
        assert sum((done.result() for done in posting), Counter()).keys() == {202}

        def unanswered():
            with psycopg.connect(url) as connection:
                return connection.execute(UNANSWERED).fetchone()

        # Those who had not heard of it yet are found once every such transaction has ended.
        wait_for(lambda: unanswered()[0] == 0, 40, "each event to be answered", every=1)
        missed, too_early, answered, stored = unanswered()
        assert (missed, too_early) == (0, 0)
        assert 100 < answered < stored


@pytest.mark.rabbit
def test_over_rabbitmq_messages_go_out_and_its_absence_costs_nobody_an_answer():
    with Rabbit() as rabbit, Installation(BROKER_URL=rabbit.url) as installation:
        installation.set_up().make_rule()
        installation.start_web()
        installation.start_worker()
        assert installation.post_event("before") == 202
        wait_for(lambda: len(installation.outbox()) == 1, 30, "the message with RabbitMQ there")
        rabbit.stop()
        took = []
        for number in range(60):
            began = time.monotonic()
            assert installation.post_event(f"stopped-{number}") == 202
            took.append(time.monotonic() - began)
        with silent_port(rabbit.port):
            for number in range(40):
                began = time.monotonic()
                assert installation.post_event(f"silent-{number}") == 202
                took.append(time.monotonic() - began)
        assert sorted(took)[-2] < 0.5
        rabbit.start()
        wait_for(lambda: len(installation.outbox()) == 101, 90, "all messages", every=0.5)
