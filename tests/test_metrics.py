"""Numbers for Prometheus: what they say, and who may read them."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from eventsapp.ingest import event_type
from eventsapp.models import HandOver, Heartbeat
from messaging import matching, rules
from messaging.models import AutoMessage, Delivery

pytestmark = pytest.mark.django_db


def read(client, **headers) -> dict[str, float]:
    """The numbers by their names with labels."""
    cache.clear()
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = response.content.decode().splitlines()
    assert all(
        re.fullmatch(r"# (HELP|TYPE) .+|\w+(\{\w+=\"\w*\"(,\w+=\"\w*\")*\})? [0-9.e+-]+", line) for line in lines
    )
    return {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_what_comes_in_and_what_waits_is_told(client, shop, buyer, does):
    rule = AutoMessage.objects.create(
        workspace=shop,
        name="R",
        trigger=event_type(shop, "placed-order"),
        subject="S",
        body="B",
        frequency="every_time",
    )
    rules.go_live(rule)
    does(buyer, "placed-order", times=3)
    does(buyer, "placed-order", days_ago=3)
    numbers = read(client)
    assert numbers["eventsapp_events_received_last_minute"] == 4
    assert numbers["eventsapp_hand_overs_waiting"] == 4
    assert numbers['eventsapp_rules{state="live"}'] == 1
    HandOver.objects.update(due_at=timezone.now() - timedelta(seconds=90))
    assert 89 < read(client)["eventsapp_hand_over_oldest_seconds"] < 120

    matching.match_waiting()
    Heartbeat.beat("worker")
    Delivery.objects.filter(state="queued").update(due_at=timezone.now() - timedelta(seconds=30))
    numbers = read(client)
    assert numbers["eventsapp_hand_overs_waiting"] == 0
    assert numbers['eventsapp_deliveries{state="queued",reason="none"}'] == 3
    assert numbers['eventsapp_deliveries{state="held",reason="too_old"}'] == 1
    assert numbers['eventsapp_deliveries_due{channel="email"}'] == 3
    assert 29 < numbers['eventsapp_delivery_oldest_due_seconds{channel="email"}'] < 60
    assert numbers["eventsapp_worker_heartbeat_age_seconds"] < 10


def test_nothing_of_anybody_is_told(client, shop, buyer, does):
    does(buyer, "placed-order", metadata={"code": "secret"})
    text = client.get("/metrics").content.decode()
    assert not any(word in text for word in ("buyer", "secret", "placed-order", shop.app_id))


@pytest.mark.parametrize(
    ("token", "request_", "status"),
    [
        ("", {}, 200),
        ("", {"REMOTE_ADDR": "::1"}, 200),
        ("", {"REMOTE_ADDR": "192.0.2.7"}, 403),
        ("", {"REMOTE_ADDR": ""}, 403),
        ("", {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 403),
        ("", {"HTTP_X_FORWARDED_PROTO": "https"}, 403),
        ("", {"HTTP_X_REAL_IP": "192.0.2.7"}, 403),
        ("", {"HTTP_VIA": "1.1 proxy"}, 403),
        ("s3cret", {}, 403),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer s3cret", "REMOTE_ADDR": "192.0.2.7"}, 200),
    ],
)
def test_it_is_read_from_this_machine_or_with_the_token(client, settings, token, request_, status):
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", **request_).status_code == status
