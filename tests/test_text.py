"""The text of a message: what it may use, and what hostile metadata and hostile templates come to."""

import time

import pytest

from eventsapp.models import Contact, Workspace
from messaging import text

METADATA = {
    "total": {"amount": 490000, "currency": "usd"},
    "order": {"url": "https://example.org/a", "value": "3434"},
    "due_date": 1760000000,
    "code": "<script>alert(1)</script>",
    "link": "javascript:alert(1)",
    "n": 3,
}


@pytest.fixture
def values():
    workspace = Workspace(name="Shop", time_zone="Asia/Tokyo", key="0" * 8)
    contact = Contact(pk=1, workspace=workspace, name="", email="a@example.org", custom_attributes={"plan": "pro"})
    return text.context(
        {"event_name": "placed-order", "created_at": 1760000000, "metadata": METADATA}, contact, workspace
    )


@pytest.mark.parametrize(
    ("source", "filled"),
    [
        ("{{ event.metadata.total | money }}", "4,900.00 USD"),
        ("{{ event.metadata.total }}", "4,900.00 USD"),
        ("{{ event.metadata.total.amount }}", "490000"),
        ("{{ event.metadata.order }} {{ event.metadata.order.url }}", "3434 https://example.org/a"),
        ("{{ event.metadata.due_date }}", "9 October 2025"),
        ('{{ event.metadata.due_date | date: "%H:%M" }}', "17:53"),
        ('{{ contact.name | fallback: "there" }}', "there"),
        ('{{ contact.nickname | fallback: "there" }}', "there"),
        ('{{ contact.email | fallback: "there" }}', "a@example.org"),
        ('{{ event.metadata.missing | money | fallback: "–" }}', "–"),
        ("{{ contact.custom_attributes.plan | upcase }}", "PRO"),
        ("{% if event.metadata.n > 2 %}many{% endif %}", "many"),
        ("{{ event.name }} in {{ workspace.name }}", "placed-order in Shop"),
        ("{{ contact.workspace.key }}{{ contact.__class__ }}{{ event.metadata.__init__ }}", ""),
    ],
)
def test_a_subject_is_filled_in(values, source, filled):
    assert text.subject(source, values) == filled


def test_a_subject_is_one_line_whatever_is_put_into_it(values):
    assert text.subject("a{{ '\r\nBcc: x@example.org' }}\n b", values) == "a Bcc: x@example.org b"


@pytest.mark.parametrize(
    "source",
    [
        "{{ event.metadata.code }}",
        '<a href="{{ event.metadata.link }}">x</a>',
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "<p onclick='alert(1)'>x</p>",
        "{% capture x %}{{ event.metadata.code }}{% endcapture %}{{ x | append: '' | replace: 'q', 'w' }}",
        "{{ '<scr' | append: 'ipt>alert(1)</script>' }}",
        '<iframe src="https://example.org"></iframe>',
        '<a href="data:text/html,x">x</a>',
    ],
)
def test_nothing_that_runs_gets_into_a_body(values, source):
    body = text.body(source, values).lower()
    assert "<script" not in body
    assert "javascript:" not in body
    assert "<iframe" not in body
    assert "data:" not in body
    for handler in ("onerror=", "onclick="):
        assert handler not in body


@pytest.mark.parametrize(
    "source",
    [
        "{{ (1..3000000) | join: '' }}",
        "{% for i in (1..100000) %}x{% endfor %}",
        "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
        "{{ 'x' | " + " | ".join(["replace: 'x', 'xxxxxxxxxx'"] * 8) + " }}",
        "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 30 + "{{ a }}",
        "{% capture a %}" + "y" * 9000 + "{% endcapture %}{% for i in (1..100) %}{{ a }}{% endfor %}",
        "{% if (1..1000000000000) contains 'x' %}{% endif %}",
        "{% for i in (1..1000000000000) offset: 999999999 %}{% endfor %}",
        "{% for i in (1..1000000000000) limit: 1 %}{% endfor %}",
        "{% assign a = 99999999 %}" + "{% assign a = a | times: a %}" * 17 + "{{ a" + " | times: a" * 120 + " }}",
        "{% for i in (1..5000) %}" + "{% if (1..5000) contains 'x' %}{% endif %}" * 300 + "{% endfor %}",
        "{% for i in (1..5000) %}" + "{% if 1 %}{% endif %}" * 900 + "{% endfor %}",
        "{% for i in (1..5000) %}{% assign t = 'é'" + " | url_encode" * 900 + " %}{% endfor %}",
        "{{ event.created_at | date: '%1000000d' }}",
        "{{ event.metadata.n | divided_by: 0 }}",
        "{{ event.metadata.code | money }}",
        "x" * 20_001,
        "{{ 1 ",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{{ 'x' | safe }}",
        "{% if %}",
        "{% unknown %}",
    ],
    ids=lambda source: source[:40],
)
def test_a_bomb_or_a_slip_ends_soon_with_words(values, source):
    began = time.monotonic()
    with pytest.raises(text.TextError) as caught:
        text.body(source, values)
    assert str(caught.value)
    assert time.monotonic() - began < 10


def test_an_unknown_variable_is_told_with_the_ways_in_which_it_is_written():
    source = """{{ contact.nme }} {{contact["nme"]|upcase}} {% if a . b[contact.nme].c > 1 %}{{ contact.name }}{% endif %}
        {% assign own = 1 %}{{ own }} {% for one in event.metadata.items %}{{ one.x }}{% endfor %} {{ ["odd"] }}"""
    assert text.unknown_in(source, keys=["code"], attributes=["plan"]) == {
        "a.b.c": ["a . b[contact.nme].c"],
        "contact.nme": ["contact.nme", 'contact["nme"]'],
        "event.metadata.items": ["event.metadata.items"],
        "odd": [],
    }


def test_a_text_without_tags_keeps_its_lines(values):
    assert (
        text.body("Hello\n\n{{ event.metadata.n }} of them\nBye", values) == "<p>Hello</p>\n\n<p>3 of them<br>Bye</p>"
    )


def test_the_text_part_reads_like_the_html(values):
    html = text.body(
        '<h1>Hi &amp; ho</h1><p>See <a href="https://example.org/a">it</a></p><ul><li>1 &lt; 2</li></ul>', values
    )
    assert text.plain(html).split() == "Hi & ho See it (https://example.org/a) 1 < 2".split()
