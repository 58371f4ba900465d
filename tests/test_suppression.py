"""Addresses that bounced or whose owners complained, as providers tell of them; and mail through a provider."""

import hashlib
import hmac
import json
import time
from base64 import b64encode

import pytest
from aiosmtpd.controller import Controller
from django.urls import reverse

from eventsapp.ingest import event_type
from messaging import rules
from messaging.models import AutoMessage, Delivery, Suppression
from tests.live import free_port
from tests.test_webhooks import Receiver

pytestmark = pytest.mark.django_db
SIGNING_KEY = "only for tests"


@pytest.fixture
def rule(shop):
    def make(**fields):
        fields = {"subject": "Thanks", "body": "Thanks", "frequency": "every_time"} | fields
        rule = AutoMessage.objects.create(
            workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"), **fields
        )
        rules.go_live(rule)
        return rule

    return make


@pytest.fixture
def mailed(rule, buyer, does, worker):
    """A mail that went out to the buyer."""
    rule()
    does(buyer, "placed-order")
    worker()
    return Delivery.objects.get()


@pytest.fixture
def tell(client, settings):
    """Post what a provider tells, as it would."""
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY}

    def post(provider, payload, login="provider:only for tests"):
        headers = {"authorization": "Basic " + b64encode(login.encode()).decode()}
        path = f"/anymail/{provider}/tracking/"
        return client.post(path, json.dumps(payload), content_type="application/json", headers=headers)

    return post


def mailgun(kind, **fields):
    at, token = str(int(time.time())), "a" * 50
    digest = hmac.new(SIGNING_KEY.encode(), (at + token).encode(), hashlib.sha256).hexdigest()
    data = {
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "event": kind,
        "timestamp": float(at),
        "recipient": "Buyer@Example.org",
        "recipient-domain": "example.org",
        "message": {
            "headers": {"message-id": "20130503192659.13651.20287@mg.example.net"},
            "attachments": [],
            "size": 111,
        },
        "delivery-status": {"code": 550, "message": "550 5.1.1 no such user", "description": "", "attempt-no": 1},
        "user-variables": {},
        "tags": [],
    }
    return {"signature": {"timestamp": at, "token": token, "signature": digest}, "event-data": data | fields}


def postmark(kind, record="Bounce", **fields):
    return {
        "RecordType": record,
        "ID": 4323372036854775807,
        "Type": kind,
        "TypeCode": 1,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "Details": "smtp;550 5.1.1 The email account does not exist.",
        "Email": "buyer@example.org",
        "From": "shop@example.org",
        "BouncedAt": "2026-11-05T16:33:54.9070259Z",
        "Metadata": {},
    } | fields  # fmt: skip


def brevo(kind):
    return {"event": kind, "email": "buyer@example.org", "id": 26224, "ts_event": 1604933654, "message-id": "<1@x>"}


def mailjet(kind, **fields):
    return {"event": kind, "email": "buyer@example.org", "time": 1433333949, "MessageID": 1, "CustomID": ""} | fields


TOLD = [
    ("mailgun", mailgun("failed", severity="permanent", reason="bounce"), "bounce"),
    ("mailgun", mailgun("failed", severity="permanent", reason="suppress-bounce"), "bounce"),
    ("mailgun", mailgun("complained"), "complaint"),
    ("mailgun", mailgun("failed", severity="temporary", reason="generic"), None),
    ("mailgun", mailgun("delivered"), None),
    ("mailgun", mailgun("opened"), None),
    ("mailgun", mailgun("unsubscribed"), None),
    ("postmark", postmark("HardBounce"), "bounce"),
    ("postmark", postmark("BadEmailAddress"), "bounce"),
    ("postmark", postmark("SpamComplaint", "SpamComplaint"), "complaint"),
    ("postmark", postmark("SpamNotification"), "complaint"),
    ("postmark", postmark("SoftBounce"), None),
    ("postmark", postmark("Transient"), None),
    ("postmark", postmark("DnsError"), None),
    ("postmark", postmark("VirusNotification"), None),
    ("brevo", brevo("hard_bounce"), "bounce"),
    ("brevo", brevo("invalid_email"), "bounce"),
    ("brevo", brevo("spam"), "complaint"),
    ("brevo", brevo("soft_bounce"), None),
    ("mailjet", mailjet("bounce", hard_bounce=True, error="user unknown", error_related_to="recipient"), "bounce"),
    ("mailjet", mailjet("bounce", hard_bounce=False, error="quota exceeded", error_related_to="recipient"), None),
    ("mailjet", mailjet("spam", source="JMRPP"), "complaint"),
]


@pytest.mark.parametrize(("provider", "payload", "reason"), TOLD, ids=[f"{p}-{n}" for n, (p, *_) in enumerate(TOLD)])
def test_what_bounced_for_good_or_complained_is_suppressed(tell, mailed, buyer, shop, provider, payload, reason):
    assert tell(provider, payload).status_code == 200
    assert tell(provider, payload).status_code == 200  # providers repeat themselves
    found = list(Suppression.objects.values_list("workspace", "email", "reason"))
    assert found == ([(shop.pk, "buyer@example.org", reason)] if reason else [])


def test_what_a_provider_says_of_it_is_kept(tell, mailed, buyer):
    tell("postmark", postmark("HardBounce", Details="smtp;550 5.1.1 gone\u0000\r\nfor good"))
    assert Suppression.objects.get().note.startswith("Postmark: The server was unable")
    assert Suppression.objects.get().note.endswith("smtp;550 5.1.1 gone for good")


@pytest.mark.parametrize(
    ("said", "is_suppressed"),
    [
        ("550 5.1.1 <buyer@example.org>: no such user", True),
        ("556 5.1.10 the domain takes no mail", True),
        ("550 5.1.1", True),
        ("550 5.7.1 not from you", False),
        ("550 5.1.11 something new", False),
        ("552 5.2.2 over quota", False),
        ("550 no such user", False),
        ("450 4.1.1 unknown for now", False),
    ],
)
def test_a_mail_server_that_knows_nobody_there_is_believed(
    rule, buyer, does, worker, shop, settings, said, is_suppressed
):
    class Refusing:
        async def handle_RCPT(self, *_):  # noqa: N802  aiosmtpd's word
            return said

    server = Controller(Refusing(), hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        rule()
        does(buyer, "placed-order")
        worker()
    finally:
        server.stop()
    [delivery] = Delivery.objects.all()
    assert delivery.detail.startswith(said)
    kept = [(one.workspace, one.email, one.reason, one.note) for one in Suppression.objects.all()]
    assert kept == ([(shop, "buyer@example.org", "bounce", f"mail server: {delivery.detail}")] if is_suppressed else [])


@pytest.mark.parametrize("login", ["provider:wrong", "", "provider", "provider:only for tests "])
def test_only_the_provider_tells(tell, mailed, login):
    assert tell("postmark", postmark("HardBounce"), login=login).status_code == 400
    assert not Suppression.objects.exists()


def test_a_forged_signature_tells_nothing(tell, mailed):
    payload = mailgun("complained")
    payload["signature"]["signature"] = "0" * 64
    assert tell("mailgun", payload).status_code == 400
    assert not Suppression.objects.exists()


def test_it_counts_where_the_mail_came_from(tell, mailed, other_shop, person):
    person("theirs", workspace=other_shop, email="buyer@example.org")
    tell("postmark", postmark("HardBounce", Metadata={"delivery": str(mailed.uuid)}))
    assert Suppression.objects.get().workspace == mailed.message.workspace


@pytest.mark.parametrize("metadata", [{}, {"delivery": "x"}, {"delivery": "00000000-0000-0000-0000-000000000000"}])
def test_of_a_mail_that_is_not_known_it_counts_wherever_the_address_is(tell, mailed, other_shop, person, metadata):
    person("theirs", workspace=other_shop, email="buyer@example.org")
    tell("postmark", postmark("HardBounce", Metadata=metadata))
    assert Suppression.objects.count() == 2
    tell("postmark", postmark("HardBounce", Metadata=metadata, Email="nobody@example.org"))
    assert Suppression.objects.count() == 2


@pytest.mark.parametrize("transactional", [False, True])
def test_a_suppressed_address_gets_nothing_and_the_delivery_says_why(
    rule, shop, person, does, worker, mailoutbox, transactional
):
    Suppression.objects.create(workspace=shop, email="ada@example.org", reason="bounce")
    rule(is_transactional=transactional)
    does(person("ada", email="Ada@Example.ORG"), "placed-order")
    worker()
    assert Delivery.objects.values_list("state", "reason").get() == ("skipped", "suppressed")
    assert mailoutbox == []


def test_elsewhere_and_by_other_channels_they_are_reached(rule, other_shop, buyer, does, worker, shop, mailoutbox):
    Suppression.objects.create(workspace=other_shop, email="buyer@example.org", reason="bounce")
    rule()
    does(buyer, "placed-order")
    worker()
    assert len(mailoutbox) == 1
    Suppression.objects.create(workspace=shop, email="buyer@example.org", reason="bounce")
    AutoMessage.objects.update(channel="in_app")
    does(buyer, "placed-order", metadata={"n": 2})
    worker()
    assert Delivery.objects.latest("pk").state == "sent"


# Staff -------------------------------------------------------------------------------------------------------------------


def test_editors_see_search_and_lift_them(editor, viewer, shop, other_shop, rule, buyer, does, worker, mailoutbox):
    for number in range(101):
        Suppression.objects.create(
            workspace=shop, email=f"person-{number}@example.org", reason="complaint", note="<b>said</b>"
        )
    theirs = Suppression.objects.create(workspace=other_shop, email="theirs@example.org", reason="bounce")
    own = Suppression.objects.create(workspace=shop, email="buyer@example.org", reason="bounce", at="2020-01-01T00:00Z")
    settings = reverse("settings", args=[shop.app_id])
    assert "Suppressed addresses" not in viewer.get(settings).content.decode()
    page = editor.get(settings).content.decode()
    assert "The newest 100 of 102." in page
    assert "person-100@example.org" in page and "buyer@example.org" not in page
    assert "theirs@example.org" not in page
    assert "<b>said" not in page
    page = editor.get(settings, {"suppressed": " BUYER@"}).content.decode()
    assert "buyer@example.org" in page and "person-100" not in page
    assert "None like this" in editor.get(settings, {"suppressed": "100%"}).content.decode()

    assert viewer.post(reverse("lift_suppression", args=[shop.app_id, own.pk])).status_code == 403
    assert editor.post(reverse("lift_suppression", args=[shop.app_id, theirs.pk])).status_code == 404
    page = editor.post(reverse("lift_suppression", args=[shop.app_id, own.pk]), follow=True).content.decode()
    assert "buyer@example.org gets messages again" in page
    rule()
    does(buyer, "placed-order")
    worker()
    assert len(mailoutbox) == 1


# Through a provider ------------------------------------------------------------------------------------------------------


@pytest.fixture
def provider(settings):
    """A provider's API on this machine, through which mail goes."""
    with Receiver() as server:
        settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
        settings.ANYMAIL = settings.ANYMAIL | {
            "POSTMARK_SERVER_TOKEN": "token",
            "POSTMARK_API_URL": f"http://127.0.0.1:{server.port}/",
        }
        yield server


def answer(status, **words):
    return status, {"Content-Type": "application/json"}, json.dumps(words).encode()


TAKEN = answer(200, ErrorCode=0, Message="OK", MessageID="b7bc2f4a", To="buyer@example.org", SubmittedAt="2026-11-05")


def test_a_provider_is_told_which_delivery_it_is_and_how_to_leave(rule, buyer, does, worker, provider, tell):
    provider.answers = [TAKEN]
    rule()
    does(buyer, "placed-order")
    worker()
    delivery = Delivery.objects.get()
    assert delivery.state == "sent"
    [(_, _, sent)] = provider.posted
    sent = json.loads(sent)
    assert sent["Metadata"] == {"delivery": str(delivery.uuid)}
    headers = {header["Name"]: header["Value"] for header in sent["Headers"]}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["Message-ID"] == delivery.mail_id


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        (answer(422, ErrorCode=406, Message="You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: buyer@example.org. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression."), "failed", "refused"),
        (answer(422, ErrorCode=300, Message="Invalid 'To' address: 'buyer@example.org'."), "failed", "refused"),
        (answer(401, ErrorCode=10, Message="Bad or missing server token"), "queued", ""),
        (answer(429, ErrorCode=0, Message="slow down"), "queued", ""),
        (answer(500, ErrorCode=0, Message="broken"), "queued", ""),
        ((200, {}, b"no JSON"), "queued", ""),
    ],
    ids=["inactive", "invalid", "token", "slow down", "broken", "no JSON"],
)  # fmt: skip
def test_what_the_provider_says_decides_the_end(rule, buyer, does, worker, provider, said, state, reason):
    provider.answers = [said]
    rule()
    does(buyer, "placed-order")
    worker()
    assert Delivery.objects.values_list("state", "reason").get() == (state, reason)
    assert Delivery.objects.get().detail
