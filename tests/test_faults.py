"""What is promised when something breaks: nothing is lost, and nobody waits for what is broken."""

import json
import signal
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email import message_from_string

import pytest
from aiosmtpd.controller import Controller

from tests.live import Installation, Redis, database, free_port, silent_port, wait_for
from tests.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.apart]


@pytest.fixture
def embedded():
    with Installation() as installation:
        yield installation.set_up()


@pytest.fixture
def redis():
    with Redis() as service:
        yield service


def test_events_wait_for_a_stopped_worker_and_standing_still_is_visible(embedded):
    embedded.make_rule()
    embedded.start_web()
    assert embedded.post_event("early") == 202
    time.sleep(10)
    assert embedded.outbox() == []
    assert embedded.health()["oldest_waiting_hand_over_age"] > 8
    worker = embedded.start_worker()
    wait_for(lambda: len(embedded.outbox()) == 1, 20, "the message")
    assert embedded.health()["worker_heartbeat_age"] < 10
    embedded.kill(worker)


def test_two_hundred_events_while_the_worker_is_killed_three_times(embedded):
    embedded.make_rule()
    embedded.start_web()
    worker = embedded.start_worker()
    for number in range(200):
        assert embedded.post_event(f"person-{number}") == 202
        if number in (50, 100, 150):
            embedded.kill(worker, signal.SIGKILL)
            worker = embedded.start_worker()
    # A claim of a killed worker runs out after a minute.
    wait_for(lambda: len(embedded.outbox()) >= 200, 100, "200 messages", every=0.5)
    wait_for(lambda: embedded.deliveries() == {"sent": 200}, 80, "200 notes of it", every=2)
    mails = [message_from_string(mail) for mail in embedded.outbox()]
    assert {mail["To"] for mail in mails} == {f"person-{number}@example.org" for number in range(200)}
    # A repeat would carry the same Message-ID, and so be the same file.
    assert Counter(mail["To"] for mail in mails).most_common(1)[0][1] == 1


def test_other_systems_are_told_of_all_though_the_worker_is_killed_twice():
    with Receiver() as receiver, Installation(WEBHOOK_ALLOW_PRIVATE="true") as installation:
        installation.set_up().start_web()
        worker = installation.start_worker()
        sent = {"url": receiver.url, "topics": ["event.created"], "metadata": {"event_names": ["placed-order"]}}
        assert installation.request("POST", "/subscriptions", sent)[0] == 200
        receiver.answers = [lambda handler: time.sleep(6)] * 3
        for number in range(150):
            assert installation.post_event(f"person-{number}") == 202
            if number in (50, 100):
                installation.kill(worker, signal.SIGKILL)
                worker = installation.start_worker()

        def told() -> dict[str, set[str]]:
            ids = {}
            for body in [json.loads(sent) for *_, sent in receiver.posted]:
                ids.setdefault(body["data"]["item"].get("user_id"), set()).add(body["id"])
            return ids

        # A claim of a killed worker runs out after a minute, and so does the wait for a second attempt: it is over now.
        late = "from messaging.models import Notification as N; N.objects.exclude(state='sent').update(due_at='2026-01-01T00Z')"
        time.sleep(8)
        installation.python(late)
        states = "from messaging.models import Notification as N; print(sorted(set(N.objects.values_list('state'))))"
        wait_for(lambda: len(told()) == 151, 100, "150 people and a ping", every=0.5)
        wait_for(lambda: installation.python(states) == "[('sent',)]", 100, "notes of all", every=3)
        assert {len(ids) for ids in told().values()} == {1}


@pytest.mark.redis
def test_a_stopped_and_a_silent_redis_cost_nobody_an_answer_and_no_message(redis):
    with Installation(BROKER_URL=redis.url) as installation:
        installation.set_up().make_rule()
        installation.start_web()
        installation.start_worker()
        assert installation.post_event("before") == 202
        wait_for(lambda: len(installation.outbox()) == 1, 20, "the message with Redis there")
        redis.stop()
        times = [_timed_post(installation, f"stopped-{number}") for number in range(250)]
        with silent_port(redis.port):
            times += [_timed_post(installation, f"silent-{number}") for number in range(250)]
        redis.start()
        back = time.monotonic()
        wait_for(lambda: len(installation.outbox()) == 501, 60, "all 501 messages", every=0.5)
        assert time.monotonic() - back < 60
    assert statistics.quantiles(times, n=100)[98] < 0.3


@pytest.mark.postgres
@pytest.mark.redis
def test_receivers_that_hang_hold_up_no_mail(redis):
    environment = {"BROKER_URL": redis.url, "WEBHOOK_ALLOW_PRIVATE": "true"}
    with Receiver() as receiver, database() as url, Installation(DATABASE_URL=url, **environment) as installation:
        receiver.answers = [lambda handler: time.sleep(30)] * 1_000
        installation.set_up().start_web()
        installation.make_rule()
        installation.make_rule(channel="webhook", url=receiver.url)
        told = {"url": receiver.url, "topics": ["event.created"], "metadata": {"event_names": ["placed-order"]}}
        assert installation.request("POST", "/subscriptions", told)[0] == 200
        for number in range(100):
            assert installation.post_event(f"person-{number}") == 202
        installation.start_workers()
        # One after the other, those of the rule alone would take a quarter of an hour.
        wait_for(lambda: len(installation.outbox()) == 100, 60, "the mails", every=0.5)
        kinds = {json.loads(body)["type"] for *_, body in receiver.posted}
        assert kinds == {"event_message", "notification_event"}


def _timed_post(installation, user_id) -> float:
    began = time.monotonic()
    assert installation.post_event(user_id) == 202
    return time.monotonic() - began


@pytest.mark.postgres
def test_twenty_events_of_one_person_over_eight_connections_make_one_message_once():
    with database() as url, Installation(DATABASE_URL=url) as installation:
        _twenty_at_once(installation)


def test_twenty_events_of_one_person_make_one_message_once_on_sqlite(embedded):
    _twenty_at_once(embedded)


def _twenty_at_once(installation):
    if not installation.token:
        installation.set_up()
    installation.make_rule(frequency="once")
    installation.start_web()
    workers = [installation.start_worker() for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: installation.post_event("one"), range(20)))
    assert statuses == [202] * 20
    wait_for(lambda: sum(installation.deliveries().values()) == 20, 30, "20 deliveries", every=1)
    wait_for(lambda: installation.deliveries() == {"sent": 1, "skipped frequency": 19}, 20, "one to be sent", every=1)
    assert len(installation.outbox()) == 1
    for worker in workers:
        installation.kill(worker)


def test_a_thousand_old_events_send_nothing_and_say_why(embedded):
    embedded.make_rule()
    embedded.start_web()
    embedded.start_worker()
    month_ago = int(time.time()) - 30 * 86400
    with ThreadPoolExecutor(8) as threads:
        statuses = list(
            threads.map(lambda n: embedded.post_event(f"old-{n % 50}", created_at=month_ago + n), range(1000))
        )
    assert Counter(statuses) == {202: 1000}
    wait_for(lambda: embedded.deliveries() == {"held too_old": 1000}, 60, "1,000 held deliveries", every=1)
    assert embedded.outbox() == []


@pytest.mark.postgres
def test_healthz_says_503_when_the_database_is_away():
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up().start_web()
        assert installation.request("GET", "/healthz")[0] == 200
        away = url.replace(url.rpartition("/")[2], "nowhere")
        installation.environment["DATABASE_URL"] = away
        installation.kill(installation.processes[-1])
        installation.port = free_port()
        installation.url = f"http://127.0.0.1:{installation.port}"
        from eventsapp.supervisor import web

        installation.start(web("127.0.0.1", installation.port), "web.log")
        status, body = wait_for(lambda: _answer(installation), 40, "an answer")
        assert status == 503
        assert json.loads(body)["status"] == "database away"


def _answer(installation):
    try:
        return installation.request("GET", "/healthz")
    except OSError:
        return None


class Mailbox:
    """A mail server's memory; `answers` are given to the first mails instead of 250."""

    def __init__(self, *answers):
        self.answers, self.mails = list(answers), []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's word
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return self.answers.pop(0) if self.answers else "250 OK"


def test_mail_goes_out_over_smtp_and_a_temporary_refusal_is_tried_again():
    mailbox = Mailbox("451 not now", "554 never")
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        with Installation(EMAIL_URL=f"smtp://127.0.0.1:{server.port}") as installation:
            installation.set_up().make_rule()
            installation.start_web()
            installation.start_worker()
            for number, user_id in enumerate(("first", "second", "third"), start=1):
                assert installation.post_event(user_id) == 202
                wait_for(lambda n=number: len(mailbox.mails) == n, 20, user_id)
            wait_for(lambda: installation.deliveries().get("sent") == 1, 20, "the third to be noted")
            assert installation.deliveries() == {"queued": 1, "failed refused": 1, "sent": 1}
            wait_for(lambda: installation.deliveries().get("sent") == 2, 60, "the second attempt", every=1)
    finally:
        server.stop()
    ids = [message_from_string(content)["Message-ID"] for _, content in mailbox.mails]
    assert ids[3] == ids[0]
    assert len(set(ids)) == 3
