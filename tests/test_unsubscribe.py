"""The way out of mails: headers, links and the page, for people and for their mail programs."""

import re
import time
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest
from django.test import Client

from eventsapp.ingest import event_type
from eventsapp.models import Contact
from messaging import rules, text
from messaging.models import AutoMessage, Delivery
from messaging.unsubscribing import link_for, masked, signer

pytestmark = pytest.mark.django_db
BASE = "https://events.example"


@pytest.fixture(autouse=True)
def _known_on_the_web(settings):
    settings.BASE_URL = BASE
    settings.EMAIL_TRACKING = True


@pytest.fixture
def sent(shop, buyer, does, worker, mailoutbox):
    """Have a mail with this text sent, and return it as it goes over the line."""

    def send(body="<p>Thanks</p>", **fields):
        rule = AutoMessage.objects.create(
            workspace=shop,
            name="Thanks",
            subject="Thanks",
            body=body,
            trigger=event_type(shop, "placed-order"),
            **fields,
        )
        rules.go_live(rule)
        does(buyer, "placed-order")
        worker()
        return message_from_bytes(mailoutbox[0].message().as_bytes(), policy=policy.default)

    return send


def parts(mail):
    return [mail.get_body([kind]).get_content() for kind in ("plain", "html")]


def own(url) -> str:
    """The path of a link of ours."""
    assert url.startswith(BASE)
    return url.removeprefix(BASE)


@pytest.fixture
def link(buyer):
    return own(link_for(buyer))


def is_out(contact) -> bool:
    return Contact.objects.get(pk=contact.pk).unsubscribed_from_emails


# In the mail -------------------------------------------------------------------------------------------------------------


def test_a_mail_programs_button_finds_one_address_to_post_to(sent, buyer):
    mail = sent()
    assert mail["List-Unsubscribe"].strip() == f"<{link_for(buyer)}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link_for(buyer).startswith("https://")


def test_a_text_without_the_link_ends_with_it_in_both_parts(sent, buyer):
    plain, html = parts(sent())
    assert plain.rstrip().endswith(f"No more emails from The Shop? Unsubscribe ({link_for(buyer)})")
    assert f'<a href="{link_for(buyer)}">Unsubscribe</a>' in html


@pytest.mark.parametrize(
    "body", ['<p>Thanks. <a href="{{ unsubscribe_url }}">No more</a></p>', "Thanks.\n\nNo more: {{ unsubscribe_url }}"]
)
def test_a_text_with_the_link_has_it_once(sent, buyer, body):
    for part in parts(sent(body)):
        assert part.count(link_for(buyer)) == 1
        assert "No more emails" not in part


def test_what_somebody_ordered_comes_without_a_way_out(sent):
    mail = sent(is_transactional=True)
    assert "List-Unsubscribe" not in mail
    assert "List-Unsubscribe-Post" not in mail
    for part in parts(mail):
        assert "nsubscribe" not in part


def test_leaving_is_no_click(sent, buyer):
    _, html = parts(sent('<p><a href="{{ unsubscribe_url }}">a</a> <a href="https://shop.example">b</a></p>'))
    links = re.findall(r'<a href="([^"]+)"', html)
    assert links[0] == link_for(buyer)
    assert own(links[1]).startswith("/c/")


def test_what_staff_see_unsubscribes_nobody(sent, buyer, client):
    sent('<p><a href="{{ unsubscribe_url }}">No more</a></p>')
    body = Delivery.objects.get().body
    assert link_for(buyer) not in body
    [address] = re.findall(r'href="([^"]+)"', body)
    page = client.post(own(address))
    assert page.status_code == 404
    assert not is_out(buyer)


def test_a_hostile_name_of_a_workspace_is_text(sent, shop):
    shop.name = '<img src=x onerror="alert(1)">'
    shop.save()
    assert "<img src=x" not in parts(sent())[1]


def test_whoever_left_gets_no_mail_but_what_they_ordered(sent, client, buyer, link, does, worker, mailoutbox, shop):
    sent()
    client.post(link)
    does(buyer, "placed-order", at=int(time.time()) - 60)
    worker()
    assert list(Delivery.objects.order_by("pk").values_list("state", "reason"))[1:] == [("skipped", "frequency")]
    AutoMessage.objects.update(frequency="every_time")
    does(buyer, "placed-order", at=int(time.time()) - 120)
    worker()
    assert Delivery.objects.latest("pk").reason == "unsubscribed"
    AutoMessage.objects.update(is_transactional=True)
    does(buyer, "placed-order", at=int(time.time()) - 180)
    worker()
    assert len(mailoutbox) == 2


# The page ----------------------------------------------------------------------------------------------------------------


def test_looking_changes_nothing(client, buyer, link):
    before = Contact.objects.filter(pk=buyer.pk).values().get()
    for _ in range(2):
        page = client.get(link)
        assert (page.status_code, page["Cache-Control"][:9]) == (200, "max-age=0")
        assert "The Shop" in page.content.decode()
    client.head(link)
    assert Contact.objects.filter(pk=buyer.pk).values().get() == before


def test_a_person_leaves_and_takes_it_back(buyer, link):
    browser = Client(enforce_csrf_checks=True)
    Contact.objects.update(updated_at=1)
    assert re.search(r"<button[^>]*>Unsubscribe</button>", browser.get(link).content.decode())
    page = browser.post(link).content.decode()
    assert "You are unsubscribed" in page
    assert is_out(buyer)
    left_at = Contact.objects.get(pk=buyer.pk).updated_at
    assert left_at > 1
    assert "You are unsubscribed" in browser.get(link).content.decode()
    undo, token = re.search(r'action="([^"]+)".*?value="(\w+)"', page, re.DOTALL).groups()
    page = browser.post(undo, {"csrfmiddlewaretoken": token}).content.decode()
    assert "You get them again" in page
    assert not is_out(buyer)


def test_twice_is_as_good_as_once(client, buyer, link):
    client.post(link)
    Contact.objects.update(updated_at=1)
    assert client.post(link).status_code == 200
    assert Contact.objects.get(pk=buyer.pk).updated_at == 1


def test_a_mail_program_posts_without_cookies_and_is_not_sent_elsewhere(buyer, link):
    program = Client(enforce_csrf_checks=True)
    answer = program.post(
        link, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded",
        headers={"origin": "null", "referer": ""},
    )  # fmt: skip
    assert answer.status_code == 200
    assert is_out(buyer)
    form = program.post(own(link_for(buyer)), {"List-Unsubscribe": "One-Click"})  # multipart, as RFC 8058 allows
    assert form.status_code == 200


def test_undoing_is_not_for_other_sites_to_post(buyer, link):
    browser = Client(enforce_csrf_checks=True)
    browser.post(link)
    assert browser.post(f"{link}undo/").status_code == 403
    assert browser.get(f"{link}undo/").status_code == 405
    assert is_out(buyer)


@pytest.mark.parametrize("token", ["x", "1", "1:x", "example", "{pk}", "{pk}:{other}", "{signed}x", "%F0%9F%A6%89"])
def test_a_link_that_we_did_not_write_is_told_so_kindly(client, buyer, person, token):
    other = person("other", email="other@example.org")
    known = {"pk": buyer.pk, "other": signer.signature(other.pk), "signed": signer.sign(buyer.pk)}
    for path in (f"/u/{token.format(**known)}/", f"/u/{token.format(**known)}/undo/"):
        page = client.post(path)
        assert page.status_code == 404
        assert "This link does not work" in page.content.decode()
    assert not is_out(buyer) and not is_out(other)


def test_a_tracking_link_is_no_way_out(client, sent, buyer):
    _, html = parts(sent())
    [dot] = re.findall(r'src="([^"]+)"', html)
    token = own(dot).removeprefix("/o/").removesuffix(".gif")
    assert client.post(f"/u/{token}/").status_code == 404
    assert not is_out(buyer)


@pytest.mark.parametrize("gone", ["deleted", "forgotten"])
def test_the_link_of_somebody_who_is_gone_is_told_so_too(client, buyer, link, gone):
    if gone == "deleted":
        Contact.objects.update(deleted_at=1)
    else:
        buyer.delete()
    page = client.get(link)
    assert page.status_code == 404
    assert "forgotten you" in page.content.decode()


def test_the_link_of_somebody_who_was_merged_is_their_heirs(client, buyer, person, link):
    heir = person("heir", email="heir@example.org")
    Contact.objects.filter(pk=buyer.pk).update(merged_into=heir)
    assert "h•••@example.org" in client.post(link).content.decode()
    assert is_out(heir)
    assert not is_out(buyer)


def test_the_page_tells_no_more_than_an_address_half_hidden(client, shop, person):
    ada = person("user-25", email="ada.lovelace@example.org", name="Ada Lovelace", plan="secretplan")
    page = client.get(own(link_for(ada)))
    words = page.content.decode()
    assert "a•••@example.org" in words
    for known in ("lovelace", "Lovelace", "user-25", "secretplan", ada.public_id, shop.app_id):
        assert known not in words
    assert page["Referrer-Policy"] == "same-origin"
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert "style=" not in words and "<style" not in words


@pytest.mark.parametrize(
    ("email", "shown"),
    [("ada@example.org", "a•••@example.org"), ("a@b.c", "a•••@b.c"), ("odd", "Your address"), (None, "Your address")],
)
def test_an_address_is_masked(email, shown):
    assert masked(email) == shown


# Styles ------------------------------------------------------------------------------------------------------------------


def test_styles_are_put_on_their_elements(sent):
    _, html = parts(sent("<style>p { color: #123456 } .big { font-size: 30px }</style><p class=big>Thanks</p>"))
    assert re.search(r'<p style="color: ?#123456; ?font-size: ?30px;?">Thanks</p>', html)
    assert "<style" not in html


class Elements(HTMLParser):
    """The elements of some HTML with their attributes."""

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    @classmethod
    def of(cls, html):
        parser = cls()
        parser.found = []
        parser.feed(html)
        return parser.found


@pytest.mark.parametrize(
    "source",
    [
        "<style>p { position: fixed; behavior: url(x.htc) }</style><p>x</p>",
        '<p style="position: fixed; -moz-binding: url(x)">x</p>',
        "<style>p { background: url(javascript:alert(1)) }</style><p>x</p>",
        '<style>p { color: red }</style><p onclick="alert(1)">x</p><script>alert(1)</script>',
        '<style>p{}</style><link rel="stylesheet" href="file:///etc/passwd"><p>x</p>',
        '<style>@import "http://127.0.0.1:9/x.css"; p{}</style><p>x</p>',
        "<style>p { color: {{ event.metadata.code }} }</style><p>x</p>",
        '<p style="color: {{ event.metadata.code }}">x</p>',
    ],
)
def test_styles_carry_nothing_that_runs_or_covers_the_page(shop, source):
    code = 'red; position: fixed} * { position: fixed } </style><script>alert(1)</script>" onclick="alert(1)'
    values = text.context({"event_name": "x", "created_at": 1, "metadata": {"code": code}}, text.somebody(shop), shop)
    body = text.body(source, values)
    for evil in (
        "position: fixed",
        "position:fixed",
        "behavior",
        "binding",
        "javascript",
        "<script",
        "root:",
        "@import",
    ):
        assert evil not in body
    [(_, attributes)] = Elements.of(body)
    assert set(attributes) <= {"style"}


def test_a_bomb_of_styles_ends_soon_with_words(shop):
    values = text.context({"event_name": "x", "created_at": 1, "metadata": {}}, text.somebody(shop), shop)
    styles = "".join(f".a{n}{{margin:{n}px}}*{{padding:{n}px}}" for n in range(400))
    began = time.monotonic()
    for body in (
        f"<style>{styles}</style>" + "{% for i in (1..5000) %}<b>x{% endfor %}",
        f"<style>{styles}</style>" + "<i>" * 1000,
    ):
        with pytest.raises(text.TextError, match="styles"):
            text.body(body, values)
    text.body("<style>" + "p{" * 5000 + "</style><p>x", values)
    assert time.monotonic() - began < 3


# Hostile data ------------------------------------------------------------------------------------------------------------


def test_hostile_metadata_change_neither_headers_nor_links(shop, person, does, worker, mailoutbox):
    rule = AutoMessage.objects.create(
        workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"), frequency="every_time",
        subject="Order {{ event.metadata.code }}",
        body='<p>{{ event.metadata.code }}</p><p><a href="{{ event.metadata.url }}">See</a></p>',
    )  # fmt: skip
    rules.go_live(rule)
    evil = person("evil", email="evil@example.org", name="E\r\nBcc: victim@example.org")
    code = "7\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>{{ contact.email }}{% for i in (1..9) %}x{% endfor %}"
    for url in (
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "data:text/html,x",
        '"><script>alert(1)</script>',
        "//x",
    ):
        does(evil, "placed-order", metadata={"code": code, "url": url})
    worker()
    assert len(mailoutbox) == 5
    for mail in mailoutbox:
        read = message_from_bytes(mail.message().as_bytes(), policy=policy.default)
        assert mail.recipients() == ["evil@example.org"]
        assert "Bcc" not in read
        assert "{{ contact.email }}" in read["Subject"]
        html = parts(read)[1].lower()
        assert "<script" not in html
        assert not re.search(r'href="\s*(javascript|data):', html)


def test_an_address_that_no_mail_can_carry_is_refused(shop, person, does, worker, mailoutbox):
    rule = AutoMessage.objects.create(
        workspace=shop, name="T", subject="T", body="T", trigger=event_type(shop, "placed-order")
    )
    rules.go_live(rule)
    does(person("evil", email="evil@example.org\r\nBcc: victim@example.org"), "placed-order")
    worker()
    assert mailoutbox == []
    assert Delivery.objects.values_list("state", "reason").get() == ("failed", "refused")
