"""What a workspace settles for all its messages: senders, how many one person gets, and the secret of webhooks."""

import re
from email import message_from_bytes, policy

import pytest
from django.urls import reverse

from eventsapp.ingest import event_type
from messaging import rules
from messaging.models import AutoMessage, Delivery, Policy, Sender

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(shop):
    def make(name="Thanks", **fields):
        rule = AutoMessage.objects.create(
            workspace=shop, name=name, subject="T", body="T", trigger=event_type(shop, "placed-order"), **fields
        )
        rules.go_live(rule)
        return rule

    return make


@pytest.fixture
def page(admin, shop):
    """Post to a form of the settings as an admin, and return the page that follows."""

    def post(name, data=None, *args):
        return admin.post(reverse(name, args=[shop.app_id, *args]), data or {}, follow=True)

    return post


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "help@shop.example"),
        ("The Shop", "The Shop <help@shop.example>"),
        ("Shop, The", '"Shop, The" <help@shop.example>'),
        ("Bücher & mehr", "Bücher & mehr <help@shop.example>"),
    ],
)
def test_a_mail_comes_from_its_rules_sender(rule, shop, buyer, does, worker, mailoutbox, name, shown):
    rule(sender=Sender.objects.create(workspace=shop, name=name, email="help@shop.example"))
    does(buyer, "placed-order")
    worker()
    mail = message_from_bytes(mailoutbox[0].message().as_bytes(), policy=policy.default)
    assert str(mail["From"]) == shown


def test_without_one_it_comes_from_the_installations(rule, buyer, does, worker, mailoutbox, settings):
    rule()
    does(buyer, "placed-order")
    worker()
    assert mailoutbox[0].from_email == settings.DEFAULT_FROM_EMAIL


def test_admins_add_and_remove_senders(page, shop, admin):
    added = page(
        "add_sender", {"sender-name": " The  Shop\r\nBcc: x@example.org ", "sender-email": "help@shop.example"}
    )
    assert "Messages may come from" in added.content.decode()
    sender = Sender.objects.get()
    assert (sender.name, sender.email) == ("The Shop Bcc: x@example.org", "help@shop.example")
    for email, words in (("HELP@shop.example", "a sender already"), ("no address", "valid email"), ("", "required")):
        wrong = page("add_sender", {"sender-name": "Typed", "sender-email": email})
        assert wrong.status_code == 422
        assert words in wrong.content.decode()
        assert 'value="Typed"' in wrong.content.decode()
    page("remove_sender", None, sender.pk)
    assert not Sender.objects.exists()


def test_one_address_is_a_sender_of_several_workspaces(page, shop, other_shop):
    Sender.objects.create(workspace=other_shop, email="help@shop.example")
    assert page("add_sender", {"sender-name": "", "sender-email": "help@shop.example"}).status_code == 200
    assert Sender.objects.count() == 2


def test_a_sender_that_is_used_stays_and_its_rules_are_named(page, rule, shop):
    sender = Sender.objects.create(workspace=shop, email="help@shop.example")
    rule("Thanks <b>", sender=sender)
    rule("Hello", sender=sender)
    words = page("remove_sender", None, sender.pk).content.decode()
    assert "the auto-message “Hello”, the auto-message “Thanks &lt;b&gt;”" in words
    assert Sender.objects.exists()


def test_how_many_one_person_gets_is_settled_and_holds(page, rule, shop, buyer, does, worker, mailoutbox):
    for most, days in (("0", "7"), ("-1", "7"), ("x", "7"), ("3", "0"), ("3", "")):
        wrong = page("change_policy", {"policy-most": most, "policy-most_days": days})
        assert wrong.status_code == 422
        assert f'value="{most}"' in wrong.content.decode()
    assert Policy.of(shop).most is None
    secret = Policy.of(shop).webhook_secret
    page("change_policy", {"policy-most": "1", "policy-most_days": "7"})
    policy = Policy.of(shop)
    assert (policy.most, policy.most_days, policy.webhook_secret) == (1, 7, secret)
    rule(frequency="every_time")
    does(buyer, "placed-order", times=2)
    worker()
    assert len(mailoutbox) == 1
    assert Delivery.objects.filter(reason="cap").count() == 1
    page("change_policy", {"policy-most": "", "policy-most_days": "7"})
    assert Policy.of(shop).most is None


def test_admins_alone_see_the_secret_and_make_a_new_one(admin, editor, page, shop):
    address, before = reverse("settings", args=[shop.app_id]), Policy.of(shop).webhook_secret
    assert before in admin.get(address).content.decode()
    assert before not in editor.get(address).content.decode()
    form = re.search(r"<form[^>]*webhook-secret[^>]*>", admin.get(address).content.decode())[0]
    assert "data-confirm" in form
    page("new_webhook_secret")
    after = Policy.of(shop).webhook_secret
    assert after != before
    assert len(after) == 64
    assert after in admin.get(address).content.decode()
