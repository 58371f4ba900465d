"""Webhooks: what is posted, to whom it is never posted, and what every answer comes to."""

import hashlib
import hmac
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from django.urls import reverse

from eventsapp.ingest import event_type
from messaging import matching, rules, sending
from messaging.channels import outgoing
from messaging.channels.webhook import fault_in_url
from messaging.models import AutoMessage, Delivery, Policy
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
State, Reason = Delivery.State, Delivery.Reason


@pytest.fixture
def hook(shop):
    """Make a live rule that posts to this address."""

    def make(url, **fields):
        given = {"channel": "webhook", "frequency": "every_time", "trigger": event_type(shop, "placed-order")}
        rule = AutoMessage.objects.create(workspace=shop, name="Tell", url=url, **given | fields)
        rules.go_live(rule)
        return rule

    return make


def try_again():
    """Let the worker find the next attempt due."""
    Delivery.objects.filter(state=State.QUEUED).update(due_at="2020-01-01T00:00Z")
    sending.send_due()


def end():
    return Delivery.objects.values_list("state", "reason").get()


# What is posted ----------------------------------------------------------------------------------------------------------


def test_an_order_posts_what_happened_to_whom_and_because_of_which_rule(hook, person, does, worker, receiver):
    ada = person("25", email="ada@example.org", name="Ada", plan="pro")
    rule = hook(receiver.url)
    does(ada, "placed-order", at=1790000000, metadata={"code": "C-7", "total": {"amount": 4900, "currency": "usd"}})
    worker()
    assert sending.release(Delivery.objects.get())  # it was held, since it happened long ago
    worker()
    [(path, headers, sent)] = receiver.posted
    delivery = Delivery.objects.get()
    assert end() == (State.SENT, Reason.NONE)
    body = json.loads(sent)
    assert abs(body.pop("sent_at") - time.time()) < 60
    assert body == {
        "type": "event_message",
        "id": str(delivery.uuid),
        "workspace": ada.workspace.app_id,
        "rule": {"id": str(rule.pk), "name": "Tell"},
        "event": {
            "id": str(delivery.event_id),
            "event_name": "placed-order",
            "created_at": 1790000000,
            "metadata": {"code": "C-7", "total": {"amount": 4900, "currency": "usd"}},
        },
        "contact": {
            "id": ada.public_id,
            "user_id": "25",
            "email": "ada@example.org",
            "name": "Ada",
            "custom_attributes": {"plan": "pro"},
        },
    }
    assert path == "/hook?a=1"
    assert (delivery.subject, delivery.body.encode()) == (receiver.url, sent)
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("Eventsapp")
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"


def test_the_signature_is_of_the_time_and_the_very_body(hook, buyer, does, worker, receiver, shop):
    hook(receiver.url)
    does(buyer, "placed-order")
    worker()
    [(_, headers, sent)] = receiver.posted
    at = headers["X-Eventsapp-Timestamp"]
    assert abs(int(at) - time.time()) < 60
    secret = Policy.of(shop).webhook_secret
    digest = hmac.new(secret.encode(), at.encode() + b"." + sent, hashlib.sha256).hexdigest()
    assert headers["X-Eventsapp-Signature"] == f"v1={digest}"


def test_the_documented_check_takes_what_is_sent_and_nothing_else(hook, buyer, does, worker, receiver, shop):
    hook(receiver.url)
    does(buyer, "placed-order")
    worker()
    [(_, headers, sent)] = receiver.posted
    document = (Path(__file__).resolve().parents[1] / "docs/messages.md").read_text()
    example = {}
    exec(re.search(r"```python\n(.+?)```", document, re.DOTALL)[1], example)
    is_ours, secret = example["is_ours"], Policy.of(shop).webhook_secret
    assert is_ours(secret, headers, sent)
    assert not is_ours(secret, headers, sent + b" ")
    assert not is_ours("another", headers, sent)
    assert not is_ours(secret, headers | {"X-Eventsapp-Timestamp": str(int(time.time()) - 600)}, sent)


def test_every_attempt_has_the_same_key_until_it_is_taken(hook, buyer, does, worker, receiver):
    hook(receiver.url)
    receiver.answers = [503, (429, {"Retry-After": "120"}, b"slow\0 down"), 204]
    does(buyer, "placed-order")
    worker()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.detail) == (State.QUEUED, "503 Service Unavailable: so be it")
    try_again()
    delivery.refresh_from_db()
    assert delivery.detail == "429 Too Many Requests: slow down (Retry-After: 120)"
    try_again()
    assert end() == (State.SENT, Reason.NONE)
    keys = {headers["Idempotency-Key"] for _, headers, _ in receiver.posted}
    assert keys == {str(delivery.uuid)} == {json.loads(sent)["id"] for *_, sent in receiver.posted}
    assert len(receiver.posted) == 3


@pytest.mark.parametrize(
    ("answer", "state"),
    [(status, State.SENT) for status in (200, 201, 202, 204, 299)]
    + [(status, State.QUEUED) for status in (408, 425, 429, 500, 502, 503, 504, 599)]
    + [(status, State.FAILED) for status in (400, 401, 403, 404, 405, 409, 410, 413, 422, 451)],
)
def test_the_status_decides_the_end(hook, buyer, does, worker, receiver, answer, state):
    hook(receiver.url)
    receiver.answers = [answer]
    does(buyer, "placed-order")
    worker()
    delivery = Delivery.objects.get()
    assert delivery.state == state
    assert delivery.reason == (Reason.REFUSED if state == State.FAILED else Reason.NONE)
    assert delivery.detail.startswith("" if state == State.SENT else str(answer))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_ends_it(hook, buyer, does, worker, receiver, status):
    with Receiver() as elsewhere:
        receiver.answers = [(status, {"Location": elsewhere.url}, b"")]
        hook(receiver.url)
        does(buyer, "placed-order")
        worker()
        assert elsewhere.posted == []
    assert end() == (State.FAILED, Reason.REFUSED)
    assert "not followed" in Delivery.objects.get().detail


# Servers that are no good ------------------------------------------------------------------------------------------------


def silent(handler):
    time.sleep(5)


def hangs_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def no_http(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def drips_headers(handler):
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.1)


def only_continues(handler):
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


def endless_headers(handler):
    for number in range(100_000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 1000) if number else b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "answer", [silent, hangs_up, no_http, drips_headers, only_continues, endless_headers], ids=lambda a: a.__name__
)
def test_a_server_that_does_not_answer_is_tried_again_and_not_waited_for(
    hook, buyer, does, worker, receiver, monkeypatch, answer
):
    monkeypatch.setattr(outgoing, "SECONDS", 1)
    hook(receiver.url)
    receiver.answers = [answer]
    does(buyer, "placed-order")
    began = time.monotonic()
    worker()
    assert time.monotonic() - began < 3
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (State.QUEUED, 1)
    assert delivery.detail
    try_again()
    assert end() == (State.SENT, Reason.NONE)


def test_a_receiver_that_takes_its_time_holds_up_neither_mails_nor_other_webhooks(
    hook, buyer, does, worker, receiver, mailoutbox
):
    slow, quick = hook(receiver.url), hook(f"{receiver.url}&quick=1")
    mail = hook("", channel="email", subject="Thanks", body="For your order.")
    receiver.answers = [lambda handler: time.sleep(1.2)]
    does(buyer, "placed-order", times=4)
    matching.match_waiting()
    # All that waits for the slow one is older.
    Delivery.objects.filter(message=slow).update(due_at="2020-01-01T00:00Z")
    sending.send_due()
    sent = Delivery.objects.filter(state=State.SENT).order_by("sent_at").values_list("message", flat=True)
    assert sorted(sent[:8]) == [quick.pk] * 4 + [mail.pk] * 4
    assert [*sent[8:]] == [slow.pk] * 3
    assert (len(mailoutbox), len(receiver.posted)) == (4, 8)


def test_what_makes_way_is_still_known_to_be_late(hook, buyer, does, receiver, settings):
    hook(receiver.url)
    does(buyer, "placed-order", times=2)
    matching.match_waiting()
    Delivery.objects.update(due_at="2020-01-01T00:00Z")
    settings.PER_SECOND = settings.PER_SECOND | {"webhook": 0.1}
    sending.send_due()
    [late] = Delivery.objects.due()
    assert late.due_at.year == 2020


def huge(status):
    def answer(handler):
        handler.send_response(status)
        handler.end_headers()
        for _ in range(20_000):
            handler.wfile.write(b"x" * 65_536)

    return answer


def drips_words(status):
    def answer(handler):
        handler.send_response(status)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"drop ")
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize("answer", [huge, drips_words], ids=lambda answer: answer.__name__)
@pytest.mark.parametrize(("status", "state"), [(200, State.SENT), (500, State.QUEUED), (400, State.FAILED)])
def test_of_an_answer_no_more_than_a_few_words_is_read(
    hook, buyer, does, worker, receiver, monkeypatch, answer, status, state
):
    monkeypatch.setattr(outgoing, "SECONDS", 2)
    hook(receiver.url)
    receiver.answers = [answer(status)]
    does(buyer, "placed-order")
    began = time.monotonic()
    worker()
    assert time.monotonic() - began < 3
    delivery = Delivery.objects.get()
    assert delivery.state == state
    assert len(delivery.detail) <= 600


def test_a_receiver_that_is_away_is_tried_again(hook, buyer, does, worker, receiver):
    hook("http://127.0.0.1:9/")
    does(buyer, "placed-order")
    worker()
    assert end() == (State.QUEUED, Reason.NONE)
    assert "refused" in Delivery.objects.get().detail


# Where it never goes -----------------------------------------------------------------------------------------------------

PRIVATE = """
    127.0.0.1 127.1 127.255.255.254 0.0.0.0 0 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 ①②⑦.0.0.1
    10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 0xa9fea9fe 2852039166 100.64.0.1 192.0.0.1 192.0.2.1
    198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [::ffff:8.8.8.8] [::127.0.0.1] [::8.8.8.8]
    [64:ff9b::7f00:1] [64:ff9b::808:808] [64:ff9b:1::1] [2002:7f00:1::] [2002:808:808::] [2001::1] [2001:db8::1]
    [3fff::1] [fc00::1] [fd12:3456::1] [fe80::1] [fec0::1] [ff02::1] [ff0e::1] [100::1] [5f00::1]
    localhost LOCALHOST localhost. app.localhost printer.local metadata.google.internal
""".split()


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_public_is_told_to_whoever_writes_it_and_never_posted_to(
    hook, buyer, does, worker, settings, monkeypatch, host
):
    url = f"http://{host}:8000/"
    assert "public internet" in fault_in_url(url)
    settings.WEBHOOK_ALLOW_PRIVATE = True
    hook(url)
    settings.WEBHOOK_ALLOW_PRIVATE = False
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was connected to"))
    # Whatever a name is looked up as.
    does(buyer, "placed-order")
    worker()
    assert end() == (State.FAILED, Reason.REFUSED)


@pytest.mark.parametrize("host", [host for host in PRIVATE if not host[0].isalpha()])
def test_a_name_that_leads_to_what_is_not_public_is_never_posted_to(hook, buyer, does, worker, monkeypatch, host):
    address = socket.getaddrinfo(outgoing.Target.read(f"http://{host}/").host, 80)[0][4][0]
    hook("https://hook.example/")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", looked_up([address]))
        border.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was connected to"))
        worker()
    assert end() == (State.FAILED, Reason.REFUSED)
    assert address not in Delivery.objects.get().detail


@pytest.mark.parametrize("host", ["8.8.8.8", "example.org", "[2606:4700::1111]", "134744072", "bücher.example"])
def test_what_is_public_may_be_written(host):
    assert fault_in_url(f"https://{host}/hook?x=ü") is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "https://"),
        ("example.org/hook", "https://"),
        ("ftp://example.org/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.org:70/x", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https:///hook", "no host"),
        ("https://", "no host"),
        ("https://example.org:0/", "none of its ports"),
        ("https://example.org:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://a..b/", "cannot be read"),
        ("https://" + "a" * 64 + ".example/", "cannot be read"),
        ("https://user:password@example.org/", "password"),
        ("https://user@example.org/", "password"),
        ("https://@example.org/", "password"),
        ("https://example.org@127.0.0.1/", "password"),
        ("https://example.org/\r\nX-Evil: 1", "control characters"),
        ("https://example.org/ HTTP/1.1", "spaces"),
        ("https://exam\tple.org/", "control characters"),
        ("https://example.org\\@127.0.0.1/", "backslashes"),
        ("https://example.org/\0", "control characters"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_in_words(hook, shop, url, words):
    assert words in fault_in_url(url)
    if url and "\0" not in url:  # which no database keeps
        with pytest.raises(rules.NotReady, match="address"):
            hook(url)
    with pytest.raises(outgoing.RefusedForGood):
        outgoing.post(url, b"", {})


def looked_up(*answers):
    """A resolver that answers one after the other, and keeps the last answer; numbers it reads itself."""
    asked = []

    def getaddrinfo(host, port, *args, flags=0, **kwargs):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        families = {False: socket.AF_INET, True: socket.AF_INET6}
        return [(families[":" in ip], socket.SOCK_STREAM, 6, "", (ip, port)) for ip in addresses]

    getaddrinfo.asked = asked
    return getaddrinfo


def test_a_name_that_leads_elsewhere_a_moment_later_leads_to_the_address_that_was_checked(
    hook, buyer, does, worker, monkeypatch, shop
):
    resolver = looked_up(["93.184.215.14"], ["127.0.0.1"])
    connected = []

    def connect(line, where):
        connected.append(where)
        raise ConnectionRefusedError("nobody there")

    hook("http://rebinding.example:8000/hook")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", resolver)
        border.setattr(socket.socket, "connect", connect)
        worker()
    assert resolver.asked == ["rebinding.example"]
    assert connected == [("93.184.215.14", 8000)]
    assert end() == (State.QUEUED, Reason.NONE)
    # At the next attempt it is checked anew.
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", resolver)
        border.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was connected to"))
        try_again()
    assert end() == (State.FAILED, Reason.REFUSED)
    assert "127.0.0.1" not in Delivery.objects.get().detail


def test_the_checked_address_is_the_one_that_is_posted_to(hook, buyer, does, worker, receiver, monkeypatch):
    hook(f"http://hook.example:{receiver.port}/")
    does(buyer, "placed-order")
    resolver = looked_up(["127.0.0.1"], ["192.0.2.1"])
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", resolver)
        worker()
    [(_, headers, _)] = receiver.posted
    assert headers["Host"] == f"hook.example:{receiver.port}"
    assert resolver.asked == ["hook.example"]


def test_one_private_address_among_public_ones_is_one_too_many(hook, buyer, does, worker, monkeypatch):
    hook("https://both.example/")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", looked_up(["93.184.215.14", "10.0.0.1"]))
        border.setattr(socket.socket, "connect", lambda *_: pytest.fail("it was connected to"))
        worker()
    assert end() == (State.FAILED, Reason.REFUSED)


def test_the_next_address_is_tried_when_the_first_does_not_answer(hook, buyer, does, worker, receiver, monkeypatch):
    hook(f"http://two.example:{receiver.port}/")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", looked_up(["::1", "127.0.0.1"]))
        worker()
    assert len(receiver.posted) == 1


def test_a_resolver_is_not_waited_for_longer_than_a_server(hook, buyer, does, worker, monkeypatch):
    monkeypatch.setattr(outgoing, "SECONDS", 0.5)
    hook("https://slow.example/")
    does(buyer, "placed-order")
    woken = threading.Event()
    began = time.monotonic()
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", lambda *_, flags=0, **__: [] if flags else woken.wait(5))
        worker()
    woken.set()
    assert time.monotonic() - began < 2
    assert end() == (State.QUEUED, Reason.NONE)
    assert "not found in" in Delivery.objects.get().detail


def test_a_host_that_is_not_known_is_tried_again(hook, buyer, does, worker):
    hook("https://nobody.invalid/")
    does(buyer, "placed-order")
    worker()
    assert end() == (State.QUEUED, Reason.NONE)
    assert Delivery.objects.get().detail.startswith("nobody.invalid was not found")


# TLS ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path, settings, monkeypatch):
    """A receiver with a certificate for hook.example, of an authority that is known here."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hook.example -addext subjectAltName=DNS:hook.example"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names = []
    context.sni_callback = lambda connection, name, _: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outgoing._tls.cache_clear()
    with Receiver(context) as server:
        server.names = names
        yield server
    outgoing._tls.cache_clear()


@pytest.mark.parametrize(
    ("host", "state", "words"),
    [
        ("hook.example", State.SENT, ""),
        ("other.example", State.QUEUED, "Hostname mismatch"),
        ("127.0.0.1", State.QUEUED, "IP address mismatch"),
    ],
)
def test_the_certificate_must_be_of_the_host_of_the_address(
    hook, buyer, does, worker, certified, monkeypatch, host, state, words
):
    hook(f"https://{host}:{certified.port}/")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", looked_up(["127.0.0.1"]))
        worker()
    delivery = Delivery.objects.get()
    assert delivery.state == state
    assert words in delivery.detail
    assert len(certified.posted) == (state == State.SENT)
    assert certified.names[0] == (host if host[0].isalpha() else None)


def test_a_certificate_of_nobody_known_is_not_taken(hook, buyer, does, worker, certified, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    outgoing._tls.cache_clear()
    hook(f"https://hook.example:{certified.port}/")
    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(socket, "getaddrinfo", looked_up(["127.0.0.1"]))
        worker()
    assert end() == (State.QUEUED, Reason.NONE)
    assert certified.posted == []


# Hostile data ------------------------------------------------------------------------------------------------------------

HOSTILE = {
    "code": 'x\r\nX-Evil: 1\r\n\r\n{"type": "forged"}',
    "html": '<img src="https://evil.example/seen.png"><script>alert(1)</script>',
    "bomb": "{{ (1..3000000) | join: '' }}{% for i in (1..100000) %}x{% endfor %}",
    "nul": "a\\u0000b",
    "sign": "🦉",
}


def test_hostile_metadata_stay_data(hook, person, does, worker, receiver, viewer, shop):
    evil = person("evil\r\nX-Evil: 1", email="evil@example.org", name="{{ contact.email }}\r\nX-Evil: 1")
    hook(receiver.url)
    does(evil, "placed-order", metadata=HOSTILE)
    worker()
    [(path, headers, sent)] = receiver.posted
    assert not {name for name in headers if "evil" in name.lower()}
    body = json.loads(sent)
    assert body["event"]["metadata"] == HOSTILE
    assert (body["contact"]["user_id"], body["contact"]["name"]) == (evil.external_id, evil.name)
    # And staff who look at it see text.
    delivery = Delivery.objects.get()
    shown = viewer.get(reverse("delivery_body", args=[shop.app_id, delivery.pk])).content.decode()
    assert "<img" not in shown
    assert "<script" not in shown
    assert "evil.example/seen.png" in shown
