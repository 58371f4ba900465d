"""What readers do with a mail: opened, clicked, and what segments make of it."""

import re

import pytest
from django.utils import timezone

from eventsapp.ingest import event_type
from eventsapp.models import Contact
from messaging import rules
from messaging.models import AutoMessage, Delivery
from segments.definition import parse
from segments.engine import answer, explain, one_moment

pytestmark = pytest.mark.django_db
STATES = ("sent", "opened", "clicked", "never_sent")


@pytest.fixture
def rule(shop, settings):
    settings.EMAIL_TRACKING = True
    body = '<p>Your <a href="https://shop.example/o?a=1&amp;b=2">order</a>, or <a href="mailto:a@b.c">write</a></p>'
    message = AutoMessage.objects.create(
        workspace=shop, name="Thanks", subject="Thanks", body=body, trigger=event_type(shop, "placed-order"),
        is_transactional=True,  # without a link to unsubscribe, which leads through nobody
    )  # fmt: skip
    rules.go_live(message)
    return message


@pytest.fixture
def mail(rule, buyer, does, worker, mailoutbox):
    does(buyer, "placed-order")
    worker()
    return mailoutbox[0]


def html_of(mail) -> str:
    return mail.alternatives[0].content


def links_in(html) -> list[str]:
    return [
        url.replace("&amp;", "&").removeprefix("http://127.0.0.1:8000") for url in re.findall(r'="(http[^"]+)"', html)
    ]


def members(rule, state) -> set[str]:
    definition = parse(rule.workspace, {"conditions": [{"kind": "message", "message": rule.pk, "state": state}]})
    with one_moment() as now:
        ids = answer(definition, now).ids
        everybody = Contact.objects.filter(workspace=rule.workspace)
        assert {contact.pk for contact in everybody if explain(definition, contact, now).holds} == set(ids)
    return set(Contact.objects.filter(pk__in=list(ids)).values_list("external_id", flat=True))


def test_links_lead_through_us_to_where_they_led(client, mail):
    link, dot = links_in(html_of(mail))
    assert 'href="mailto:a@b.c"' in html_of(mail)
    assert "https://shop.example/o?a=1&b=2" in mail.body  # the text for those who read text alone
    assert Delivery.objects.get().clicked_at is None
    followed = client.get(link)
    assert (followed.status_code, followed["Location"]) == (302, "https://shop.example/o?a=1&b=2")
    delivery = Delivery.objects.get()
    assert delivery.clicked_at
    assert delivery.opened_at
    assert "127.0.0.1" not in delivery.body


def test_the_dot_tells_of_the_first_opening(client, mail):
    dot = links_in(html_of(mail))[1]
    assert client.head(dot).status_code == 200
    assert Delivery.objects.get().opened_at is None
    shown = client.get(dot)
    assert (shown.status_code, shown["Content-Type"], shown["Cache-Control"][:9]) == (200, "image/gif", "max-age=0")
    first = Delivery.objects.get().opened_at
    client.get(dot)
    assert Delivery.objects.get().opened_at == first
    assert Delivery.objects.get().clicked_at is None


def test_an_address_that_we_did_not_write_leads_nowhere(client, mail):
    link, dot = links_in(html_of(mail))
    for address in (link[:-1] + ("a" if link[-1] != "a" else "b"), dot.replace(".gif", "x.gif"), "/c/x", "/o/x.gif"):
        assert client.get(address).status_code == 404
    assert Delivery.objects.get().opened_at is None


def test_without_an_address_of_our_own_mails_stay_as_written(settings, rule, buyer, does, worker, mailoutbox):
    settings.EMAIL_TRACKING = False
    does(buyer, "placed-order")
    worker()
    assert links_in(html_of(mailoutbox[0])) == ["https://shop.example/o?a=1&b=2"]


def test_segments_ask_who_got_opened_and_clicked(client, rule, mail, person):
    person("other", email="other@example.org")
    Delivery.objects.create(
        message=rule, contact=Contact.objects.get(external_id="other"), event={}, event_id="0" * 32, state="skipped"
    )
    link, dot = links_in(html_of(mail))
    assert [members(rule, state) for state in STATES] == [{"buyer"}, set(), set(), {"other"}]
    client.get(dot)
    assert [members(rule, state) for state in STATES] == [{"buyer"}, {"buyer"}, set(), {"other"}]
    client.get(link)
    assert [members(rule, state) for state in STATES] == [{"buyer"}, {"buyer"}, {"buyer"}, {"other"}]


def test_an_explanation_counts_the_messages(rule, buyer, mail):
    Delivery.objects.create(
        message=rule, contact=buyer, event={}, event_id="0" * 32, state="sent", sent_at=timezone.now()
    )
    for state, facts in (
        ("sent", "“Thanks” sent 2 times, on .*, less than a day ago"),
        ("clicked", "“Thanks” never clicked"),
    ):
        definition = parse(rule.workspace, {"conditions": [{"kind": "message", "message": rule.pk, "state": state}]})
        with one_moment() as now:
            [verdict] = explain(definition, buyer, now).inner
        assert re.fullmatch(facts, verdict.facts)


def test_only_messages_of_the_workspace_can_be_asked_for(api_with, rule, other_shop):
    definition = {"conditions": [{"kind": "message", "message": rule.pk, "state": "sent"}]}
    assert api_with("read").post("/segments/preview", {"definition": definition}).status_code == 200
    refused = api_with("read", workspace=other_shop).post("/segments/preview", {"definition": definition})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "conditions[0].message")
    definition["conditions"][0]["state"] = "read"
    refused = api_with("read").post("/segments/preview", {"definition": definition})
    assert refused.json()["errors"][0]["field"] == "conditions[0].state"
