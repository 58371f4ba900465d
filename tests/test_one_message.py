"""POST /messages: one message to one person, delivered as those of rules are."""

import pytest
from django.core import mail

from eventsapp.erasing import erase
from eventsapp.merging import merge
from messaging.models import AutoMessage, Delivery, Policy, Sender, Suppression
from messaging.unsubscribing import link_for
from tests.test_openapi import check

pytestmark = pytest.mark.django_db
IN_APP = {"message_type": "inapp", "body": "Hello {{ contact.name }}"}
EMAIL = IN_APP | {"message_type": "email", "subject": "Order of {{ contact.name }}"}
TO = {"type": "user", "user_id": "buyer"}


@pytest.fixture
def app(api_with):
    return api_with("admin")


@pytest.fixture
def send(app):
    def post(status=200, headers=None, **fields):
        answer = app.post("/messages", EMAIL | {"to": TO} | fields, headers=headers)
        assert answer.status_code == status, answer.content
        if status == 200:
            check(answer.json(), {"$ref": "#/components/schemas/OneMessage"}, exactly=True)
        return answer.json()

    return post


def became(app, message) -> tuple[str, str | None]:
    told = app.get(f"/messages/{message['id']}").json()["delivery"]
    return told["state"], told["reason"]


# It goes out ---------------------------------------------------------------------------------------------------------


def test_an_email_goes_to_one_person(app, buyer, send, worker, wakeups):
    sent = send()
    assert (sent["type"], sent["message_type"], sent["owner"]) == ("admin_message", "email", None)
    assert became(app, sent) == ("queued", None)
    worker()
    assert became(app, sent) == ("sent", None)
    [out] = mail.outbox
    assert (out.to, out.subject) == (["buyer@example.org"], "Order of Ada Buyer")
    assert "Hello Ada Buyer" in out.body
    assert link_for(buyer) in out.body


@pytest.mark.parametrize("named", ["id", "user_id", "email"])
def test_a_person_is_named_by_id_user_id_or_email(app, buyer, send, named):
    names = {"id": buyer.public_id, "user_id": "buyer", "email": "BUYER@example.org"}
    assert send(to={"type": "user", named: names[named]})["delivery"]["contact_id"] == buyer.public_id


def test_a_user_id_may_be_a_number(person, send):
    ada = person("25", email="ada@example.org")
    assert send(to={"type": "user", "user_id": 25})["delivery"]["contact_id"] == ada.public_id


@pytest.mark.parametrize("kind", ["inapp", "in_app"])
def test_an_in_app_message_waits_for_its_reader(app, buyer, send, worker, kind):
    sent = send(message_type=kind, subject=None)
    assert sent["message_type"] == "inapp"
    worker()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.body) == ("sent", "<p>Hello Ada Buyer</p>")


def test_it_comes_from_a_colleague_whose_address_may_send(app, admin, shop, buyer, send, worker):
    Sender.objects.create(workspace=shop, name="Ann", email=admin.user.email)
    sent = send(**{"from": {"type": "admin", "id": str(admin.user.pk)}})
    assert sent["owner"]["email"] == admin.user.email
    worker()
    assert mail.outbox[0].from_email == f"Ann <{admin.user.email}>"
    # It keeps no address from being removed.
    admin.post(f"/app/{shop.app_id}/settings/senders/{Sender.objects.get().pk}/remove/")
    assert not Sender.objects.exists()


def test_the_same_key_again_sends_nothing_new(app, buyer, send, worker, other_shop, api_with):
    first, second = (send(headers={"Idempotency-Key": "order-7"}) for _ in range(2))
    assert first == second
    assert send(headers={"Idempotency-Key": "order-8"})["id"] != first["id"]
    worker()
    assert len(mail.outbox) == 2
    # Two that differ at their end are two.
    [error] = send(status=400, headers={"Idempotency-Key": "x" * 256})["errors"]
    assert error["field"] == "Idempotency-Key"


def test_the_limit_of_rules_does_not_count_it(app, shop, buyer, send, worker):
    limits = Policy.of(shop)
    limits.most = 1
    limits.save()
    sent = [send() for _ in range(3)]
    worker()
    assert [became(app, one)[0] for one in sent] == ["sent"] * 3


def test_a_failed_one_is_replayed_from_its_page(app, shop, buyer, send, worker, editor):
    sent = send(body="{{ contact.name | date: 5 | divided_by: 0 }}")
    worker()
    assert became(app, sent) == ("failed", "template_error")
    delivery = Delivery.objects.get()
    page = editor.get(delivery.get_absolute_url())
    assert "<h1>Order of …</h1>" in page.text
    assert "to one person" in page.text
    assert "Because of" not in page.text
    AutoMessage.every.update(body="Hello")
    editor.post(delivery.get_absolute_url(), {"action": "release"})
    worker()
    assert became(app, sent) == ("sent", None)


# Where it shows ------------------------------------------------------------------------------------------------------


def test_it_is_no_rule(app, shop, buyer, send, editor):
    sent = send()
    assert app.get("/auto_messages").json()["auto_messages"] == []
    assert app.get(f"/auto_messages/{sent['id']}").status_code == 404
    for path in ("messages/", "deliveries/", "", f"people/{buyer.public_id}/"):
        page = editor.get(f"/app/{shop.app_id}/{path}")
        assert page.status_code == 200
        assert ("Order of" in page.text) == (path in ("deliveries/", f"people/{buyer.public_id}/"))


def test_it_moves_with_a_merge_and_goes_with_its_reader(
    app, buyer, person, send, shop, django_capture_on_commit_callbacks
):
    lead = person(None, role="lead", email="secret-lead@example.org")
    sent = send(to={"id": lead.public_id}, body="For secret-lead@example.org")
    merge(lead, buyer)
    assert app.get(f"/messages/{sent['id']}").json()["delivery"]["contact_id"] == buyer.public_id
    exported = app.get(f"/contacts/{buyer.public_id}/export")
    assert "Order of" in exported.getvalue().decode()
    erase(buyer)
    assert not AutoMessage.every.exists()
    assert app.get(f"/messages/{sent['id']}").status_code == 404


# What cannot be sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"message_type": None}, 400, "parameter_invalid", "message_type"),
        ({"message_type": "sms"}, 400, "parameter_invalid", "message_type"),
        ({"message_type": ["email"]}, 400, "parameter_invalid", "message_type"),
        ({"body": None}, 400, "parameter_invalid", "body"),
        ({"body": "  "}, 400, "parameter_invalid", "body"),
        ({"body": "x" * 20_001}, 400, "parameter_invalid", "body"),
        ({"body": "a\0b"}, 400, "parameter_invalid", "body"),
        ({"body": "{{ contact.name"}, 400, "parameter_invalid", "body"),
        ({"subject": None}, 422, "parameter_not_found", "subject"),
        ({"subject": 7}, 400, "parameter_invalid", "subject"),
        ({"subject": "{% for %}"}, 400, "parameter_invalid", "subject"),
        ({"to": None}, 400, "parameter_not_found", "to"),
        ({"to": {"type": "user"}}, 400, "parameter_not_found", "to.id"),
        ({"to": {"id": 7}}, 400, "parameter_invalid", "to.id"),
        ({"to": {"user_id": "nobody"}}, 404, "not_found", "user_id"),
        ({"from": "Ann"}, 400, "parameter_invalid", "from"),
        ({"from": {"type": "user", "id": "1"}}, 422, "parameter_invalid", "from.type"),
        ({"from": {"type": "admin", "id": "4711"}}, 404, "admin_not_found", "from.id"),
        ({"from": {"type": "admin", "id": "x"}}, 404, "admin_not_found", "from.id"),
    ],
    ids=str,
)
def test_a_wrong_message_is_refused_with_its_field(buyer, send, fields, status, code, field):
    [error] = send(status=status, **fields)["errors"]
    assert (error["code"], error["field"]) == (code, field)
    assert not AutoMessage.every.exists()


@pytest.mark.parametrize("why", ["no address", "suppressed", "unsubscribed", "archived", "blocked"])
def test_who_could_not_get_it_is_told_at_once(app, shop, buyer, send, why):
    match why:
        case "no address":
            app.put(f"/contacts/{buyer.public_id}", {"email": None})
        case "suppressed":
            Suppression.objects.create(workspace=shop, email="buyer@example.org", reason="bounce")
        case "unsubscribed":
            app.put(f"/contacts/{buyer.public_id}", {"unsubscribed_from_emails": True})
        case "archived" | "blocked":
            app.post(
                f"/contacts/{buyer.public_id}/{why.removesuffix('d')}"
                if why == "archived"
                else f"/contacts/{buyer.public_id}/block"
            )
    [error] = send(status=422)["errors"]
    assert error["field"] == "to"
    assert not AutoMessage.every.exists()


def test_a_merged_reader_is_gone(buyer, person, send):
    lead = person(None, role="lead")
    merge(lead, buyer)
    send(status=410, to={"id": lead.public_id})


def test_another_workspaces_people_colleagues_and_messages_are_not_there(api_with, other_shop, buyer, admin, send):
    other = api_with("admin", other_shop)
    sent = send()
    assert other.get(f"/messages/{sent['id']}").status_code == 404
    for fields in ({"to": {"id": buyer.public_id}}, {"to": TO}):
        assert other.post("/messages", EMAIL | fields).status_code == 404
    theirs = other.post("/contacts", {"external_id": "1", "email": "one@example.org"}).json()
    named = {"to": {"id": theirs["id"]}, "from": {"type": "admin", "id": str(admin.user.pk)}}
    assert other.post("/messages", EMAIL | named).status_code == 404


def test_a_token_that_may_not_write_rules_sends_none(api_with, buyer):
    assert api_with("write").post("/messages", EMAIL | {"to": TO}).status_code == 403
