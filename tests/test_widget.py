"""What pages of an app's own users may ask: who they are, what they may change, and what they may read."""

import json
import time
import uuid
from base64 import b64encode, urlsafe_b64decode
from datetime import timedelta

import jwt
import pytest
import time_machine
from django.utils import timezone

from eventsapp.browser import workspaces
from eventsapp.identity import user_hash
from eventsapp.ingest import event_type
from eventsapp.merging import merge
from eventsapp.models import ApiRequest, Contact, Event, EventSummary, Source
from eventsapp.request_log import log
from messaging import rules
from messaging.in_app import mailboxes, nodes, quick_answer
from messaging.models import AutoMessage, Delivery, Policy
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    workspaces.forget()
    mailboxes.forget()


@pytest.fixture
def secret(shop):
    return shop.identity_secrets.create().secret


class Browser:
    """A browser with one of the shop's pages: what its library asks."""

    def __init__(self, client, workspace):
        self.client, self.app = client, workspace.app_id
        self.secrets = {"device_secret": uuid.uuid4().hex, "visit_secret": uuid.uuid4().hex}
        self.token = None

    def post(self, path, body):
        return self.client.post(f"/widget/{self.app}/{path}", json.dumps(body), content_type="text/plain")

    def boot(self, status=200, **settings):
        self.answer = self.post("boot", self.secrets | {"settings": settings})
        assert self.answer.status_code == status, self.answer.content
        if status == 200:
            self.token = self.answer.json()["session_token"]
            self.mailbox = self.answer.json()["mailbox_token"]
        return self.answer.json()

    def track(self, name, metadata=None, status=200, **event):
        event = {"uuid": str(uuid.uuid4()), "created_at": int(time.time())} | event
        return self.send({"event_name": name, "metadata": metadata or {}} | event, status=status)

    def send(self, *events, status=200, **more):
        answer = self.post("events", {"session_token": self.token, "events": list(events)} | more)
        assert answer.status_code == status, answer.content
        if status == 200:
            self.token = answer.json()["session_token"]
        return answer.json()

    def messages(self, looks=True, **headers):
        if looks:
            mailboxes._looked_at = 0
        return self.client.get(f"/widget/{self.app}/messages", {"mailbox_token": self.mailbox}, headers=headers)

    def report(self, message, what, status=200):
        answer = self.post("seen", {"session_token": self.token, "message": message["id"], "what": what})
        assert answer.status_code == status


@pytest.fixture
def browser(client, shop):
    """Open another browser: `browser()`."""
    return lambda workspace=shop: Browser(client, workspace)


def of(shop, **fields) -> Contact:
    return Contact.objects.get(workspace=shop, **fields)


# The library ---------------------------------------------------------------------------------------------------------


def test_the_library_is_small_and_kept(client, shop):
    import gzip

    answer = client.get(f"/widget/{shop.app_id}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert len(gzip.compress(answer.content)) <= 12 * 1024
    assert "max-age=300" in answer["Cache-Control"]
    again = client.get(f"/widget/{shop.app_id}", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    version = answer["ETag"].strip('"')
    assert "immutable" in client.get(f"/widget/{shop.app_id}?v={version}")["Cache-Control"]
    assert "immutable" not in client.get(f"/widget/{shop.app_id}?v=older")["Cache-Control"]
    assert client.get("/widget/nowhere").status_code == 404


# Who it is -----------------------------------------------------------------------------------------------------------


def test_a_visitor_who_does_nothing_leaves_nothing(shop, browser):
    told = browser().boot()
    assert (told["kind"], told["merged"]) == ("visitor", False)
    assert uuid.UUID(told["visitor_id"])
    assert not Contact.objects.exists()


def test_what_a_visitor_did_is_what_the_user_did(shop, browser):
    mine = browser()
    visitor_id = mine.boot()["visitor_id"]
    mine.track("viewed-pricing", {"plan": "pro"})
    mine.track("viewed-pricing", {"plan": "team"})
    visitor = of(shop, external_id=visitor_id)
    assert (visitor.role, Contact.objects.filter(workspace=shop).people().count()) == ("visitor", 0)
    late = {"event_name": "late", "created_at": int(time.time()), "uuid": str(uuid.uuid4())}
    old = mine.token
    assert mine.boot(user_id="25", email="ada@example.org", name="Ada", plan="pro")["merged"]
    ada = of(shop, external_id="25")
    assert (ada.role, ada.email, ada.name, ada.custom_attributes) == ("user", "ada@example.org", "Ada", {"plan": "pro"})
    assert EventSummary.objects.get(contact=ada).count == 2
    assert set(Event.objects.values_list("contact", "source")) == {(ada.pk, Source.BROWSER)}
    # What another tab still sends as the visitor, and what it sends again.
    mine.token = old
    for _ in range(2):
        mine.send(late)
    assert sorted(EventSummary.objects.filter(contact=ada).values_list("count", flat=True)) == [1, 2]
    assert not mine.boot(user_id="25")["merged"]


def test_a_visitor_who_became_a_lead_is_the_user_too_once_that_is_proven(shop, browser, secret):
    mine = browser()
    mine.boot()
    mine.track("viewed-pricing")
    Contact.objects.update(role="lead", email="ada@example.org", email_folded="ada@example.org")
    mine.track("asked")
    assert not mine.boot(user_id="25")["merged"]
    assert mine.boot(user_id="25", user_hash=user_hash(secret, "25"))["merged"]
    ada = of(shop, external_id="25")
    assert (ada.email, EventSummary.objects.filter(contact=ada).count()) == ("ada@example.org", 2)


@pytest.mark.parametrize("of_what", ["25", "ada@example.org"])
def test_a_user_hash_proves_the_user_id_or_else_the_email(shop, browser, secret, of_what):
    said = {"user_id" if of_what == "25" else "email": of_what}
    assert browser().boot(**said, user_hash=user_hash(secret, of_what))["kind"] == "verified"
    assert browser().boot(**said)["kind"] == "claimed"
    for wrong in (user_hash(secret, "26"), user_hash("other", of_what), "", "ä", 7):
        status = 401 if wrong != "" else 200
        browser().boot(status=status, **said, user_hash=wrong)


def test_both_secrets_hold_while_one_replaces_the_other(shop, browser, secret):
    newer = shop.identity_secrets.create()
    for one in (secret, newer.secret):
        assert browser().boot(user_id="25", user_hash=user_hash(one, "25"))["kind"] == "verified"
    shop.identity_secrets.exclude(pk=newer.pk).delete()
    browser().boot(status=401, user_id="25", user_hash=user_hash(secret, "25"))


def signed(secret, algorithm="HS256", **claims):
    return jwt.encode(claims, secret, algorithm=algorithm)


def test_a_jwt_proves_the_user_and_what_it_holds(shop, browser, secret, person):
    person("25", plan="free")
    shop.protected_attributes = "plan\nemail"
    shop.save()
    proof = signed(secret, user_id="25", email="ada@example.org", plan="pro", exp=int(time.time()) + 60)
    told = browser().boot(intercom_user_jwt=proof, user_id="26", plan="team", city="Rome")
    assert told["kind"] == "verified"
    ada = of(shop, external_id="25")
    assert (ada.email, ada.custom_attributes) == ("ada@example.org", {"plan": "pro", "city": "Rome"})
    assert not Contact.objects.filter(external_id="26").exists()


@pytest.mark.parametrize(
    "forged",
    [
        lambda secret: signed("another secret, as long as ours would be", user_id="25"),
        lambda secret: signed(secret, user_id="25", exp=int(time.time()) - 3600),
        lambda secret: signed(secret, email="ada@example.org"),
        lambda secret: signed(secret * 2, algorithm="HS512", user_id="25"),
        lambda secret: signed(None, algorithm="none", user_id="25"),
        lambda secret: signed(secret, user_id="25")[:-4] + "AAAA",
        lambda secret: b64encode(b"{}").decode(),
        lambda secret: 7,
        lambda secret: {"user_id": "25"},
    ],
    ids=["another secret", "over", "no user_id", "HS512", "none", "cut", "no JWT", "number", "object"],
)
def test_a_jwt_that_proves_nothing_is_refused(shop, browser, secret, forged):
    told = browser().boot(status=401, intercom_user_jwt=forged(secret))
    assert told["errors"][0]["field"] == "intercom_user_jwt"
    assert not Contact.objects.exists()


def test_where_a_proof_is_wanted_a_claim_is_refused(shop, browser, secret):
    claimed = browser()
    claimed.boot(user_id="25")
    shop.enforces_identity = True
    shop.save()
    workspaces.forget()
    # A session from before is none any more.
    claimed.track("placed-order", status=401)
    assert claimed.messages().status_code == 401
    told = browser().boot(status=401, user_id="26")
    assert "user_hash" in told["errors"][0]["message"]
    assert not Contact.objects.filter(external_id="26").exists()
    assert browser().boot()["kind"] == "visitor"
    assert browser().boot(user_id="26", user_hash=user_hash(secret, "26"))["kind"] == "verified"


def test_nobody_new_is_made_where_unknown_people_are_refused(shop, browser):
    shop.unknown_people = "reject"
    shop.save()
    assert browser().boot(status=404, user_id="25")["errors"][0]["field"] == "user_id"
    assert not Contact.objects.exists()


def test_a_verified_session_ends_with_its_secret_and_in_a_day(shop, browser, secret):
    proof = {"user_id": "25", "user_hash": user_hash(secret, "25")}
    mine = browser()
    mine.boot(**proof)
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        mine.track("placed-order", status=401)
        assert mine.messages().status_code == 401
    mine.track("placed-order")
    shop.identity_secrets.all().delete()
    workspaces.forget()
    mine.track("placed-order", status=401)
    assert mine.messages().status_code == 401
    newer = shop.identity_secrets.create().secret
    workspaces.forget()
    mine.boot(intercom_user_jwt=signed(newer, user_id="25", exp=int(time.time()) + 100))
    with time_machine.travel(timezone.now() + timedelta(seconds=200)):
        mine.track("placed-order", status=401)


def test_the_token_in_addresses_only_reads(shop, browser):
    mine = browser()
    mine.boot(user_id="25")
    mine.token = mine.mailbox
    mine.track("placed-order", status=401)
    assert mine.messages().status_code == 200


def test_a_session_is_of_its_workspace_and_signed(shop, other_shop, browser):
    mine, other = browser(), browser(other_shop)
    mine.boot(user_id="25")
    other.token = mine.token
    other.track("placed-order", status=401)
    for forged in ("", "x", mine.token[:-5] + mine.token[-5:][::-1] + "x", None, 7, [], {}):
        mine.token = forged
        mine.track("placed-order", status=401)
    assert not Event.objects.exists()


def test_who_was_merged_into_another_is_that_other(shop, browser, person):
    old, heir = person("old"), person("heir")
    merge(old, heir)
    mine = browser()
    mine.boot(user_id="old", city="Rome")
    mine.track("placed-order")
    assert of(shop, external_id="heir").custom_attributes == {"city": "Rome"}
    assert EventSummary.objects.get().contact == heir


# What a page may change ----------------------------------------------------------------------------------------------


def test_a_claim_changes_no_more_than_what_is_not_protected(shop, browser, person):
    shop.protected_attributes = "plan"
    shop.save()
    person("25", email="ada@example.org", name="Ada", plan="free", city="Rome")
    told = browser().boot(
        user_id="25", email="evil@example.org", name="Eve", phone="1", plan="pro", city="Oslo",
        unsubscribed_from_emails=True, created_at=5,
    )  # fmt: skip
    ada = of(shop, external_id="25")
    assert (ada.email, ada.name, ada.phone, ada.signed_up_at) == ("ada@example.org", "Ada", None, None)
    assert not ada.unsubscribed_from_emails
    assert ada.custom_attributes == {"plan": "free", "city": "Oslo"}
    assert ada.last_seen_at
    # The page is not told what would have been another value; staff are.
    assert told["ignored"] == []
    log.write()
    [note] = ApiRequest.objects.get().notes
    for name in ("email", "name", "phone", "plan", "unsubscribed_from_emails", "created_at"):
        assert f"{name}: this browser may not change it" in note


def test_a_claim_learns_nothing_by_guessing(shop, browser, person, secret):
    shop.protected_attributes = "plan"
    shop.save()
    person("25", email="ada@example.org", name="Ada", plan="free")
    guesses = [
        browser().boot(user_id="25", email=f"{name.lower()}@example.org", name=name, plan=plan)["ignored"]
        for name, plan in (("Ada", "free"), ("Eve", "pro"))
    ]
    assert guesses[0] == guesses[1]
    tokens = [browser().boot(**who)["session_token"] for who in ({"user_id": "25"}, {"email": "ada@example.org"})]
    said = [json.loads(urlsafe_b64decode(token.partition(":")[0] + "==")) for token in tokens]
    # The id of the contact stands in no token as it is, nor twice in the same way.
    pk = of(shop, external_id="25").pk
    assert said[0][3] != said[1][3]
    assert pk not in (said[0][3], said[1][3])


def test_who_is_made_for_a_claim_gets_nothing_that_is_protected_or_anothers(shop, browser, person):
    shop.protected_attributes = "plan\nname"
    shop.save()
    person("25", email="ada@example.org")
    many = {f"key{number}": 1 for number in range(280)}
    assert browser().boot(user_id="26", email="ada@example.org", name="Eve", plan="pro", **many)["ignored"] == []
    made = of(shop, external_id="26")
    assert (made.email, made.name, "plan" in made.custom_attributes) == (None, None, False)
    assert len(made.custom_attributes) == 250
    assert of(shop, email="ada@example.org").external_id == "25"
    more = {f"more{number}": 1 for number in range(40)}
    browser().boot(status=400, user_id="27", **many, **more)
    browser().boot(status=400, user_id="27", **many, custom_attributes=more)


def test_nobody_is_claimed_by_a_visitors_id_nor_inherits_without_a_proof(shop, browser, secret):
    mine = browser()
    visitor_id = mine.boot()["visitor_id"]
    mine.track("viewed-pricing")
    for proof in ({}, {"user_hash": user_hash(secret, visitor_id)}):
        browser().boot(status=400, user_id=visitor_id, name="EVIL", **proof)
    Contact.objects.update(name="EVIL", signed_up_at=5)
    assert mine.boot(user_id="25")["merged"]
    assert (of(shop, external_id="25").name, of(shop, external_id="25").signed_up_at) == (None, None)


def test_only_a_signed_email_takes_over_who_is_known_by_it_alone(shop, browser, secret, person):
    person(None, email="ada@example.org")
    for proof in ({}, {"user_hash": user_hash(secret, "evil")}):
        browser().boot(user_id="evil", email="ada@example.org", **proof)
        assert of(shop, external_id=None).email == "ada@example.org"
        assert of(shop, external_id="evil").pk != of(shop, external_id=None).pk
        Contact.objects.filter(external_id="evil").delete()
    browser().boot(intercom_user_jwt=signed(secret, user_id="25", email="ada@example.org"))
    assert Contact.objects.get().external_id == "25"


def test_a_proven_user_changes_themself(shop, browser, secret, person):
    shop.protected_attributes = "email"
    shop.save()
    person("25", email="ada@example.org")
    proof = {"user_id": "25", "user_hash": user_hash(secret, "25")}
    told = browser().boot(**proof, email="new@example.org", name="Ada", created_at=1760000000)
    ada = of(shop, external_id="25")
    assert (ada.email, ada.name, ada.signed_up_at) == ("ada@example.org", "Ada", 1760000000)
    assert told["ignored"] == ["email: this browser may not change it."]


def test_a_message_to_one_person_shows_in_their_proven_browser_alone(shop, browser, secret, person, api_with, worker):
    person("25", name="Ada")
    sent = {"message_type": "inapp", "body": "Hello {{ contact.name }}", "to": {"user_id": "25"}}
    assert api_with("admin").post("/messages", sent).status_code == 200
    worker()
    theirs, claimed = browser(), browser()
    theirs.boot(user_id="25", user_hash=user_hash(secret, "25"))
    [message] = theirs.messages().json()["messages"]
    assert (message["style"], message["body"]) == ("card", [["p", {}, ["Hello Ada"]]])
    claimed.boot(user_id="25")
    assert claimed.messages().json()["messages"] == []
    theirs.report(message, "dismissed")
    assert theirs.messages().json()["messages"] == []


def test_who_is_blocked_is_not_heard(shop, browser, person, api):
    ada = person("25", plan="free")
    api.post(f"/contacts/{ada.public_id}/block")
    browser().boot(status=403, user_id="25", plan="hacked")
    ada.refresh_from_db()
    assert (ada.custom_attributes, ada.last_seen_at) == ({"plan": "free"}, None)
    api.post(f"/contacts/{ada.public_id}/unarchive")
    browser().boot(user_id="25")


def test_a_value_of_another_type_is_left_out_and_staff_are_told(shop, browser, api):
    api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}})
    told = browser().boot(user_id="25", seats="three", city="Oslo")
    assert of(shop, external_id="25").custom_attributes == {"city": "Oslo"}
    assert told["ignored"] == []
    log.write()
    [note] = [note for request in ApiRequest.objects.all() for note in request.notes]
    assert "seats: Write a whole number" in note


def test_what_cannot_be_kept_is_told_and_the_rest_is(shop, browser):
    told = browser().boot(user_id=25, created_at="yesterday", **{"a.b": 1}, deep={"x": 1}, ok=True, company={"id": 1})
    assert sorted(sentence.partition(":")[0] for sentence in told["ignored"]) == ["a.b", "deep", "signed_up_at"]
    assert of(shop, external_id="25").custom_attributes == {"ok": True}
    assert browser().boot(user_id="26", email="", name="")["ignored"] == []
    assert browser().boot(user_id="27", email="no address")["ignored"][0].startswith("email: ")
    for settings in ({"email": "no address"}, {"user_id": True}, {"user_id": " "}, {"user_id": "x" * 256}):
        browser().boot(status=400, **settings)
    mine = browser()
    for body in ({}, [], {"settings": 7}, mine.secrets | {"settings": []}, mine.secrets | {"visit_secret": "short"}):
        answer = mine.post("boot", body)
        assert answer.status_code == 400
        assert answer.json()["type"] == "error.list"
    assert mine.client.get(f"/widget/{mine.app}/boot").status_code == 405


def test_a_browser_adds_no_endless_attributes(shop, browser):
    mine = browser()
    for start in (0, 200, 400):
        mine.boot(user_id="25", **{f"key{number}": 1 for number in range(start, start + 200)})
    assert len(of(shop, external_id="25").custom_attributes) == 250


# Events --------------------------------------------------------------------------------------------------------------


def test_the_same_event_is_stored_once_and_its_source_says_how_it_came(shop, browser, secret):
    for proof, source in (({}, "browser"), ({"user_hash": user_hash(secret, "25")}, "browser-verified")):
        mine = browser()
        mine.boot(user_id="25", **proof)
        event = {"event_name": "Placed.Order", "created_at": int(time.time()), "uuid": str(uuid.uuid4())}
        for _ in range(2):
            assert mine.send(event)["stored"] == 1
        assert Event.objects.filter(source=source, type__name="placed-order").count() == 1


def test_each_bad_event_is_told_and_the_good_are_stored(shop, browser):
    mine = browser()
    mine.boot(user_id="25")
    good = {"event_name": "ok", "created_at": int(time.time()), "uuid": str(uuid.uuid4())}
    evil = {"user_id": "26", "email": "a@example.org", "id": "0" * 24}
    told = mine.send(7, good | evil, {"event_name": "x"}, good | {"metadata": {"a": "x" * 300}}, good | {"uuid": "?"})
    assert told["refused"].keys() == {"0", "2", "3", "4"}
    assert [event.contact.external_id for event in Event.objects.select_related("contact")] == ["25"]
    mine.send(*[good] * 1001, status=400)


def test_staff_see_what_browsers_send_without_their_secrets(shop, browser, secret):
    mine = browser()
    mine.boot(user_id="25", user_hash=user_hash(secret, "25"))
    mine.send({"event_name": ""}, lost=12)
    log.write()
    requests = list(ApiRequest.objects.order_by("pk"))
    assert [(one.path, one.token_name) for one in requests] == [
        (f"/widget/{shop.app_id}/boot", "Browser"),
        (f"/widget/{shop.app_id}/events", "Browser"),
    ]
    assert "12 events were not taken in the browser" in requests[1].notes[0]
    assert "event_name is empty" in requests[1].notes[1]
    shown = " ".join(one.body for one in requests)
    assert user_hash(secret, "25") not in shown
    assert not any(value in shown for value in (*mine.secrets.values(), mine.token))


def test_one_address_cannot_flood(shop, browser):
    shop.rate_limit = 5
    shop.save()
    mine = browser()
    for _ in range(5):
        mine.boot()
    mine.boot(status=429)
    assert mine.client.get(f"/widget/{mine.app}").status_code == 200


# Messages ------------------------------------------------------------------------------------------------------------

BODY = "Hi {{ contact.name | fallback: 'you' }} {{ contact.email }}, {{ event.metadata.item }}"


@pytest.fixture
def rule(shop):
    """Make a live in-app message."""

    def make(**fields):
        fields = {"channel": "in_app", "frequency": "every_time", "subject": "Hello", "body": BODY} | fields
        message = AutoMessage.objects.create(
            workspace=shop, name="R", trigger=event_type(shop, "placed-order"), **fields
        )
        rules.go_live(message)
        return message

    return make


def said_in(body: list) -> str:
    return "".join(node if isinstance(node, str) else said_in(node[2]) for node in body)


def test_a_proven_user_reads_what_is_theirs_until_they_are_done_with_it(shop, browser, secret, rule, worker):
    rule(display="banner")
    mine = browser()
    mine.boot(user_id="25", name="Ada", email="ada@example.org", user_hash=user_hash(secret, "25"))
    empty = mine.messages()
    assert empty.json() == {"messages": []}
    assert mine.messages(**{"If-None-Match": empty["ETag"]}).status_code == 304
    mine.track("placed-order", {"item": "<b>pen</b>"})
    worker()
    answer = mine.messages(**{"If-None-Match": empty["ETag"]})
    [message] = answer.json()["messages"]
    assert (message["style"], message["subject"], message["viewed"]) == ("banner", "Hello", False)
    assert said_in(message["body"]) == "Hi Ada ada@example.org, <b>pen</b>"
    for what in ("viewed", "clicked"):
        mine.report(message, what)
        [again] = mine.messages().json()["messages"]
        assert again["viewed"]
    mine.report(message, "dismissed")
    # The next page asks sooner than this process looks for what has changed elsewhere.
    assert mine.messages(looks=False).json() == {"messages": []}
    assert mine.messages().json() == {"messages": []}
    delivery = Delivery.objects.get()
    assert delivery.opened_at <= delivery.clicked_at <= delivery.dismissed_at


def test_a_claim_reads_what_its_own_device_caused_and_nothing_of_the_person(shop, browser, secret, rule, worker, api):
    rule()
    ada, evil, other = browser(), browser(), browser()
    proof = {"user_hash": user_hash(secret, "25")}
    ada.boot(user_id="25", name="Ada", email="ada@example.org", **proof)
    ada.track("placed-order", {"item": "pen"})
    api.post("/events", {"event_name": "placed-order", "created_at": int(time.time()), "user_id": "25"})
    worker()
    assert len(ada.messages().json()["messages"]) == 2
    evil.boot(user_id="25")
    assert evil.messages().json() == {"messages": []}
    evil.track("placed-order", {"item": "lamp"})
    worker()
    [message] = evil.messages().json()["messages"]
    assert said_in(message["body"]) == "Hi you , lamp"
    # It is done with none but its own, and writes into nobody's page.
    theirs = ada.messages().json()["messages"]
    assert message["id"] not in {one["id"] for one in theirs}
    for one in theirs:
        evil.report(one, "dismissed")
    assert len(ada.messages().json()["messages"]) == 2
    # Another claim of the same, on another device; and the same device, once it is proven.
    other.boot(user_id="25")
    assert other.messages().json() == {"messages": []}
    evil.boot(user_id="25", **proof)
    assert len(evil.messages().json()["messages"]) == 3


def test_a_claim_neither_uses_up_a_message_nor_learns_that_it_was_sent(shop, browser, secret, rule, worker, api):
    rule(frequency="once")
    policy = Policy.of(shop)
    policy.most = 1
    policy.save()
    ada, evil = browser(), browser()
    for mine, proof in ((evil, {}), (ada, {"user_hash": user_hash(secret, "25")})) * 2:
        mine.boot(user_id="25", **proof)
        mine.track("placed-order", {"item": "pen"})
        worker()
    assert [len(one.messages().json()["messages"]) for one in (ada, evil)] == [1, 1]


@pytest.mark.parametrize(
    "asks",
    [
        {"conditions": {"conditions": [{"kind": "attribute", "field": "name", "op": "unknown"}]}},
        {"nth": 1},
        {"unless": {"event": "left"}, "delay_seconds": 0},
    ],
    ids=["audience", "nth", "unless"],
)
def test_a_claim_does_not_learn_what_a_rule_asks(shop, browser, rule, worker, asks):
    rule(**asks)
    mine = browser()
    mine.boot(user_id="25")
    mine.track("placed-order")
    worker()
    assert mine.messages().json() == {"messages": []}
    assert Delivery.objects.get().reason == "unverified"


def test_a_forged_event_sends_no_mail(shop, browser, rule, worker, person, mailoutbox):
    rule(channel="email")
    person("25", email="ada@example.org")
    evil = browser()
    evil.boot(user_id="25")
    evil.track("placed-order")
    worker()
    assert not mailoutbox
    assert Delivery.objects.get().reason == "unverified"


def test_visitors_have_no_messages(shop, browser, rule, worker):
    rule()
    mine = browser()
    mine.boot()
    mine.track("placed-order")
    worker()
    assert mine.messages().json() == {"messages": []}


def test_a_poll_asks_the_database_only_for_what_changed(shop, browser, secret, rule, worker, django_assert_num_queries):
    rule()
    mine = browser()
    mine.boot(user_id="25", user_hash=user_hash(secret, "25"))
    first = mine.messages()
    with django_assert_num_queries(0):
        # Within half a second of the last look.
        again = mine.messages(looks=False, **{"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    with django_assert_num_queries(1):
        mine.messages()


def test_markup_becomes_nodes():
    html = '<p style="color:red">Hi &lt;b&gt; <a href="https://example.org/?a=1&amp;b=2" rel="x">it<br>is</a></p>tail'
    link = ["a", {"href": "https://example.org/?a=1&b=2", "rel": "x"}, ["it", ["br", {}, []], "is"]]
    assert nodes(html) == [["p", {"style": "color:red"}, ["Hi <b> ", link]], "tail"]


def test_the_api_takes_what_a_visitor_is_called(shop, browser, token, client):
    mine = browser()
    visitor_id = mine.boot()["visitor_id"]
    mine.track("viewed-pricing")
    Api(client, token).post(
        "/events", {"event_name": "viewed-pricing", "created_at": int(time.time()) - 9, "user_id": visitor_id}
    )
    assert EventSummary.objects.get().count == 2


def test_a_poll_is_answered_the_same_with_and_without_django(shop, browser, secret, rule, worker):
    rule()
    mine, visitor = browser(), browser()
    mine.boot(user_id="25", user_hash=user_hash(secret, "25"))
    visitor.boot()
    mine.track("placed-order", {"item": "pen"})
    worker()
    for one in (mine, visitor):
        slow = one.messages()
        asked = {
            "PATH_INFO": f"/widget/{one.app}/messages",
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": f"mailbox_token={one.mailbox}",
        }
        status, headers, body = quick_answer(asked)
        assert (status, body) == (200, slow.content)
        assert headers.items() <= {name: slow[name] for name in headers}.items()
        assert quick_answer(asked | {"HTTP_IF_NONE_MATCH": slow["ETag"]})[0] == 304
        # Whatever is to be refused, or is no poll of the library, goes Django's way.
        for other in (
            {"QUERY_STRING": f"mailbox_token={one.token}"},
            {"QUERY_STRING": ""},
            {"QUERY_STRING": f"mailbox_token={one.mailbox}&x=1"},
            {"REQUEST_METHOD": "POST"},
            {"PATH_INFO": "/widget/nowhere/messages"},
            {"PATH_INFO": f"/widget/{one.app}/boot"},
        ):
            assert quick_answer(asked | other) is None
