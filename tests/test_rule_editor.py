"""The rule editor: a page of four steps, which keeps what is typed and says what would come of it."""

import re
import time
from datetime import timedelta
from email import message_from_string
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from eventsapp.erasing import erase
from eventsapp.ingest import event_type
from messaging import rules
from messaging.models import AutoMessage, Delivery, Sender
from messaging.statistics import statistics_of
from segments.models import Segment

pytestmark = pytest.mark.django_db
TYPED = {
    "name": "Thanks",
    "event": "placed-order",
    "frequency": "every_time",
    "subject": "Thanks",
    "body": "<p>{{ event.metadata.code }}</p>",
}
ORDERED = {"kind": "event", "event": "placed-order", "did": True}
PAID = {"version": 1, "match": "all", "conditions": [ORDERED]}


@pytest.fixture
def rule(shop):
    """Make a rule as it is stored: `rule(live=True, nth=3)`."""

    def make(live=False, **fields):
        fields = {"name": "Thanks", "subject": "Thanks", "body": "Hi", "frequency": "every_time"} | fields
        made = AutoMessage.objects.create(workspace=shop, trigger=event_type(shop, "placed-order"), **fields)
        if live:
            rules.go_live(made)
        return made

    return make


@pytest.fixture
def save(editor, shop):
    """Save what is typed into the editor of a new rule, or of `rule`; return the answer."""

    def post(rule=None, **typed):
        address = rule.get_absolute_url() if rule else reverse("new_message", args=[shop.app_id])
        return editor.post(address, TYPED | typed)

    return post


def page_of(response) -> str:
    return unescape(response.content.decode())


ALL_FIELDS = {
    "where.0.key@text": "total",
    "where.0.op@op-any": "gte",
    "where.0.value@number": "49.00 usd",
    "nth": "3",
    "who": "conditions",
    "match@match": "any",
    "conditions.0.@verb": "did",
    "conditions.0.event@text": "placed-order",
    "conditions.0.count.op@text": "gte",
    "conditions.0.count.value@times": "2",
    "conditions.0.span@text": "ever",
    "frequency": "once_per",
    "per": "2",
    "per_unit": "hours",
    "most": "5",
    "delay": "3",
    "delay_unit": "days",
    "unless": "Paid.Order",
    "then.where.0.key@text": "code",
    "then.where.0.op@op-any": "known",
    "same": "order_id, code",
    "starts_on": "2026-01-31",
    "stops_on": "2026-02-28",
    "at": "hours",
    "day": ["0", "4"],
    "from_time": "09:00",
    "to_time": "17:30",
    "channel": "email",
    "sender": "shop@example.org",
    "transactional": "on",
    "allows_browser": "on",
    "guard_per_hour": "50",
}


def test_every_field_of_a_rule_is_written_and_shown_again(save, editor, shop):
    sender = Sender.objects.create(workspace=shop, email="shop@example.org")
    assert save(**ALL_FIELDS).status_code == 302
    made = AutoMessage.objects.get()
    assert made.where == [{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}]
    assert (made.nth, made.most_times, made.per_seconds, made.delay_seconds) == (3, 5, 7200, 3 * 86400)
    assert made.conditions == {
        "version": 1,
        "match": "any",
        "conditions": [ORDERED | {"count": {"op": "gte", "value": 2}}],
    }
    assert made.unless == {
        "event": "paid-order",
        "where": [{"key": "code", "op": "known"}],
        "same": ["order_id", "code"],
    }
    assert (str(made.starts_on), str(made.stops_on)) == ("2026-01-31", "2026-02-28")
    assert made.hours == {"days": [0, 4], "from": "09:00", "to": "17:30"}
    assert (made.sender, made.allows_browser, made.guard_per_hour) == (sender, True, 50)

    # Saved as it is shown, it stays the same.
    shown = fields_of(page_of(editor.get(made.get_absolute_url())))
    before = AutoMessage.objects.values().get()
    assert editor.post(made.get_absolute_url(), shown).status_code == 302
    assert AutoMessage.objects.values().get() | {"updated_at": 0} == before | {"updated_at": 0}


def test_only_an_admin_says_what_is_part_of_a_transaction(save, editor, admin):
    assert save(transactional="on").status_code == 302
    made = AutoMessage.objects.get()
    assert not made.is_transactional
    address = made.get_absolute_url()

    shown = fields_of(page_of(admin.get(address)))
    assert admin.post(address, shown | {"transactional": "on"}).status_code == 302
    made.refresh_from_db()
    assert made.is_transactional

    # A browser leaves a disabled box out, and an editor's save keeps what the admin said.
    shown = fields_of(page_of(editor.get(address)))
    shown.pop("transactional", None)
    assert editor.post(address, shown | {"name": "Receipt"}).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.is_transactional) == ("Receipt", True)


def fields_of(page: str) -> dict:
    """What a browser would send of the rule's form."""
    form = page[page.index('id="rule" class="editor"') : page.index("</form>", page.index('id="rule" class="editor"'))]
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input\b[^>]*>", form):
        name, value = re.search(r'\bname="([^"]*)"', tag), re.search(r'\bvalue="([^"]*)"', tag)
        if name and (not re.search(r'type="(checkbox|radio)"', tag) or " checked" in tag):
            found.setdefault(name[1], []).append(value[1] if value else "on")
    for name, options in re.findall(r'<select\b[^>]*\bname="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r"<option([^>]*) selected[^>]*>([^<]*)", options) or re.search(
            r"<option([^>]*)>([^<]*)", options
        )
        value = re.search(r'value="([^"]*)"', chosen[1])
        found[name] = [value[1] if value else chosen[2]]
    for name, text in re.findall(r'<textarea\b[^>]*\bname="([^"]*)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        found[name] = [text]
    return found


def test_a_saved_segment_is_chosen_by_its_name(save, editor, shop):
    segment = Segment.objects.create(workspace=shop, name="Payers", definition=PAID)
    save(who=str(segment.pk))
    made = AutoMessage.objects.get()
    assert (made.audience, made.conditions) == (segment, None)
    page = page_of(editor.get(made.get_absolute_url()))
    assert "in “Payers”" in page
    assert f'<option value="{segment.pk}" selected>Payers</option>' in page


def test_an_unknown_segment_is_refused(save):
    response = save(who="999")
    assert response.status_code == 422
    assert "No segment here has the id 999" in page_of(response)


WRONG = [
    ({"name": ""}, "Name: The text is empty"),
    ({"event": ""}, "Event: The text is empty"),
    ({"nth": "third"}, "Only the nth time: Write a whole number"),
    ({"who": "conditions"}, "An empty filter is everyone"),
    ({"who": "conditions", "conditions.0.@verb": "did", "conditions.0.event@text": ""}, "Finish this condition"),
    ({"frequency": "once_per", "per": ""}, "At most once in: Write a whole number"),
    ({"most": "-1"}, "Times in all: Write a whole number"),
    ({"delay": "soon"}, "Wait: Write a whole number"),
    ({"same": "order_id"}, "Unless they did: The text is empty"),
    ({"starts_on": "2026-02-01", "stops_on": "2026-01-01"}, "The last day is before the first"),
    ({"at": "hours"}, "Days: The list is empty"),
    ({"channel": "webhook", "url": "example.org"}, "Address: Write an address"),
    ({"sender": "nobody@example.org"}, "No sender here"),
    ({"guard_per_hour": ""}, "Pauses itself above: Write a whole number"),
]


@pytest.mark.parametrize(("typed", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_told_and_everything_typed_is_kept(save, typed, words):
    response = save(**{"body": "typed for an hour", "per": "77", "url": "https://kept.example.org"} | typed)
    assert response.status_code == 422
    page = page_of(response)
    assert words in page
    assert "Not saved yet" in page
    shown = fields_of(page)
    for name, value in ({"body": "typed for an hour", "per": "77", "url": "https://kept.example.org"} | typed).items():
        assert value in shown.get(name, []), name
    assert not AutoMessage.objects.exists()


def test_a_text_with_an_error_is_saved_as_a_draft_and_going_live_says_what_is_missing(save, editor):
    response = save(subject="", body="{{ oops", action="live")
    page = page_of(editor.get(response.url))
    assert "Saved as it is, but not live: The subject is empty. The body: The text cannot be read" in page
    made = AutoMessage.objects.get()
    assert (made.state, made.body) == ("draft", "{{ oops")
    assert not made.versions.exists()


def test_a_live_rule_is_saved_as_a_new_version_by_whoever_saved_it(save, rule, editor):
    made = rule(live=True)
    save(made, subject="Many thanks")
    save(made, subject="Many thanks", name="Renamed")
    first, second = made.versions.all()
    assert (first.rule["subject"], second.rule["subject"], second.made_by) == ("Thanks", "Many thanks", editor.user)


def test_a_live_rule_that_could_send_nothing_is_not_saved_and_all_is_kept(save, rule):
    made = rule(live=True)
    response = save(made, name="Broken", body="")
    assert response.status_code == 422
    page = page_of(response)
    assert "The body is empty" in page
    assert 'value="Broken"' in page
    made.refresh_from_db()
    assert (made.name, made.body, made.versions.count()) == ("Thanks", "Hi", 1)


def test_pausing_is_at_once_whatever_is_wrong_with_the_fields(save, rule):
    made = rule(live=True)
    response = save(made, name="", body="half a tho", action="pause")
    assert response.status_code == 422
    assert "half a tho" in page_of(response)
    made.refresh_from_db()
    assert (made.state, made.name) == ("paused", "Thanks")


def test_a_duplicate_is_a_draft_that_says_the_same(editor, rule):
    made = rule(live=True, nth=2, delay_seconds=60)
    response = editor.post(made.get_absolute_url(), {"action": "duplicate"})
    copy = AutoMessage.objects.exclude(pk=made.pk).get()
    assert response.url == copy.get_absolute_url()
    assert (copy.name, copy.state, copy.nth, copy.delay_seconds) == ("Thanks (copy)", "draft", 2, 60)


def test_an_archived_rule_is_listed_apart_and_not_changed_any_more(editor, save, rule, shop):
    made = rule(live=True)
    editor.post(made.get_absolute_url(), {"action": "archive"})
    address = reverse("messages", args=[shop.app_id])
    assert made.get_absolute_url() not in page_of(editor.get(address))
    assert made.get_absolute_url() in page_of(editor.get(address, {"archived": ""}))
    assert save(made, name="Again").status_code == 302
    made.refresh_from_db()
    assert (made.state, made.name) == ("archived", "Thanks")


# Its rows -------------------------------------------------------------------------------------------------------------


def build(editor, shop, **typed):
    return page_of(
        editor.post(reverse("message_build", args=[shop.app_id]), TYPED | typed, headers={"hx-request": "true"})
    )


@pytest.mark.parametrize(
    ("act", "drawn"),
    [
        ("where  where", 'name="where.0.key@text"'),
        ("where  then.where", 'name="then.where.0.key@text"'),
        ("add  event", 'name="conditions.0.event@text"'),
        ("add  group", 'name="conditions.0.conditions.0.event@text"'),
    ],
)
def test_a_row_is_added_with_htmx_and_without_and_nothing_is_saved(editor, save, shop, act, drawn):
    part = build(editor, shop, act=act)
    assert drawn in part
    assert "autofocus" in part
    assert "<html" not in part
    whole = save(act=act, body="kept")
    assert whole.status_code == 200
    assert drawn in page_of(whole)
    assert "kept" in page_of(whole)
    assert not AutoMessage.objects.exists()


def test_typing_draws_no_row_anew(editor, shop):
    shape = re.search(r'name="shape" value="(\w+)"', build(editor, shop))[1]
    assert 'id="rows"' not in build(editor, shop, shape=shape, body="another text")
    assert 'id="rows"' in build(editor, shop, shape=shape, act="add  event")


def test_the_sentence_follows_what_is_written(editor, shop):
    assert "Sends an email 2 days after someone does signed-up, every time." in build(
        editor, shop, event="signed-up", delay="2", delay_unit="days"
    )


def test_unknown_variables_are_told_and_known_ones_offered(editor, shop, person, does):
    does(person("ada", plan="pro"), "placed-order", metadata={"code": "C-7", "a key": 1})
    page = build(editor, shop, body="{{ event.metadata.cod }} {{ event.metadata.code }} {{ contact.nme | upcase }}")
    assert "{{ event.metadata.cod }} in the body is not known here" in page
    assert "{{ contact.nme }} in the body" in page
    assert re.findall(r'data-field="(.*?)" data-written="(\[.*?\])"', page) == [
        ("body", '["contact.nme"]'),
        ("body", '["event.metadata.cod"]'),
    ]
    assert "{{ event.metadata.code }} in the body" not in page
    for known in ("event.metadata.code", 'event.metadata["a key"]', "contact.custom_attributes.plan"):
        assert f"{{{{ {known} }}}}" in page


def test_without_any_event_yet_no_key_is_called_unknown(editor, shop):
    assert "not known here" not in build(editor, shop, body="{{ event.metadata.anything }}")
    assert "cannot be read" in build(editor, shop, body="{{ oops")


# What it promises -----------------------------------------------------------------------------------------------------


def promised(editor, shop, **typed) -> list[int]:
    page = page_of(editor.post(reverse("message_promise", args=[shop.app_id]), TYPED | typed))
    page = re.sub("<[^>]*>", "", page)
    return [int(number) for number in re.findall(r"\d+", page)]


def test_it_says_how_many_events_of_the_last_week_would_have_triggered_and_who_may_get_it(
    editor, shop, buyer, person, does
):
    for amount in (1, 50, 60):
        does(buyer, "placed-order", metadata={"n": amount})
    does(person("late"), "placed-order", days_ago=6.9, metadata={"n": 70})
    does(person("old"), "placed-order", days_ago=8, metadata={"n": 80})
    # triggering, of, days, a day, people
    assert promised(editor, shop, name="") == [4, 4, 7, 1, 3]
    where = {"where.0.key@text": "n", "where.0.op@op-number": "gte", "where.0.value@number": "50"}
    assert promised(editor, shop, **where) == [3, 4, 7, 0, 3]
    assert promised(editor, shop, nth="2") == [1, 4, 7, 0, 3]
    audience = {"who": "conditions", "conditions.0.field@text": "Email", "conditions.0.op@op-text": "known"}
    assert promised(editor, shop, **audience) == [4, 4, 7, 1, 1]
    assert promised(editor, shop, event="never-seen") == [0, 0, 7, 0, 3]
    assert promised(editor, shop, nth="x") == []


# Trying it ------------------------------------------------------------------------------------------------------------


def preview(editor, shop, **typed):
    return page_of(editor.post(reverse("message_preview", args=[shop.app_id]), TYPED | typed))


def test_the_preview_takes_a_recent_event_or_json_of_ones_own(editor, shop, buyer, person, does):
    does(person("other", name="Grace"), "placed-order", days_ago=1, metadata={"code": "OLD"})
    does(buyer, "placed-order", metadata={"code": "NEW"})
    body = "{{ contact.name }}: {{ event.metadata.code }}"
    page = page_of(editor.get(reverse("new_message", args=[shop.app_id]), {"event": "placed-order"}))
    places = re.findall(r'<option value="([\d.-]+)"', page)
    assert len(places) == 2
    assert "Ada Buyer: NEW" in preview(editor, shop, body=body)
    assert "Ada Buyer: NEW" in preview(editor, shop, body=body, sample=places[0])
    assert "Grace: OLD" in preview(editor, shop, body=body, sample=places[1])
    own = '{"metadata": {"code": "MINE"}, "contact": {"name": "Me"}}'
    assert "Me: MINE" in preview(editor, shop, body=body, sample="json", sample_json=own)


@pytest.mark.parametrize(
    "own",
    [
        "",
        "{",
        "[]",
        "1",
        '{"metadata": 1}',
        '{"contact": []}',
        '{"contact": {"name": 3}}',
        '{"contact": 5}',
        '{"contact": {"custom_attributes": {"a": {"amount": 1e300, "currency": "x"}}}}',
        '{"metadata": {"total": {"amount": %s, "currency": "usd"}}}' % ("9" * 400),
        '{"metadata": {"n": NaN}}',
    ],
)
def test_a_sample_that_cannot_be_read_is_told_in_the_frame(editor, shop, own):
    assert "Not yet" in preview(editor, shop, sample="json", sample_json=own)


@pytest.mark.parametrize("place", ["1.2", "x.y.z", "1.2.3", f"{'9' * 19}.{'9' * 19}.{'9' * 19}", "-1.-2.-3"])
def test_a_sample_that_is_not_there_is_the_newest(editor, shop, buyer, does, place):
    does(buyer, "placed-order", metadata={"code": "C-7"})
    assert "C-7" in preview(editor, shop, sample=place)


def test_the_preview_shows_text_alone_and_a_webhooks_json(editor, shop):
    assert "<pre>Hello (https://example.org)" in preview(
        editor, shop, body='<p><a href="https://example.org">Hello</a></p>', **{"as": "text"}
    )
    page = preview(editor, shop, channel="webhook", url="https://example.org/hook")
    assert "https://example.org/hook" in page
    assert '"event_name": "placed-order"' in page


def test_a_test_goes_to_whoever_asked_for_it_with_the_chosen_sample(save, editor, mailoutbox):
    own = '{"metadata": {"code": "MINE"}}'
    save(action="test", sample="json", sample_json=own)
    [mail] = mailoutbox
    assert (mail.to, mail.subject) == ([editor.user.email], "[Test] Thanks")
    assert "MINE" in mail.body
    assert not Delivery.objects.exists()


def test_a_test_in_the_outbox_goes_with_the_person_of_its_sample(
    save, person, does, settings, tmp_path, django_capture_on_commit_callbacks
):
    settings.EMAIL_BACKEND, settings.EMAIL_OUTBOX = "messaging.outbox.OutboxBackend", tmp_path
    ada, berta = person("ada", name="Ada"), person("berta", name="Berta")
    for somebody in (ada, berta):
        does(somebody, "placed-order", at=int(time.time()) + len(list(tmp_path.glob("*.eml"))))
        save(action="test", subject="{{ contact.name }}")
    save(action="test", sample="json", sample_json='{"contact": {"name": "Ada"}}', subject="{{ contact.name }}")

    def subjects():
        return sorted(message_from_string(file.read_text())["Subject"] for file in tmp_path.glob("*.eml"))

    assert subjects() == ["[Test] Ada", "[Test] Ada", "[Test] Berta"]
    with django_capture_on_commit_callbacks(execute=True):
        erase(ada)
    # One that somebody wrote themselves tells of nobody here.
    assert subjects() == ["[Test] Ada", "[Test] Berta"]


# What it came to ------------------------------------------------------------------------------------------------------


@pytest.fixture
def delivered(buyer, shop):
    """Make deliveries of a rule in these states: `delivered(rule, ("failed", "refused"), …)`."""

    def make(rule, *ends, days_ago=0, **fields):
        made = []
        for number, (state, reason) in enumerate(ends):
            delivery = Delivery.objects.create(
                message=rule,
                contact=buyer,
                event_id=f"00000000-0000-4000-8000-{Delivery.objects.count():012}",
                event={"event_name": "placed-order", "created_at": 1760000000, "metadata": {"n": number}},
                state=state,
                reason=reason,
                version=rule.versions.last(),
                **fields,
            )
            Delivery.objects.filter(pk=delivery.pk).update(created_at=timezone.now() - timedelta(days=days_ago))
            made.append(delivery)
        return made

    return make


def test_the_last_thirty_days_are_counted_by_reason_and_by_day(rule, delivered, viewer, django_assert_num_queries):
    made = rule(live=True)
    delivered(made, ("sent", ""), ("sent", ""), opened_at=timezone.now())
    delivered(
        made, ("skipped", "frequency"), ("skipped", "frequency"), ("failed", "refused"), ("queued", ""), days_ago=3
    )
    delivered(made, ("sent", ""), days_ago=40)
    with django_assert_num_queries(2):
        found = statistics_of(made)
    assert (found.triggered, found.sent, found.opened, found.clicked, found.waiting) == (6, 2, 2, 0, 1)
    assert [(reason, number) for reason, _, number in found.not_sent] == [("frequency", 2), ("refused", 1)]
    days = [(triggered.count, sent.count) for triggered, sent in found.days]
    assert (len(days), days[-1], days[-4], sum(n for n, _ in days)) == (30, (2, 2), (4, 0), 6)
    page = page_of(viewer.get(made.get_absolute_url()))
    assert "2 × Already had this message" in page
    assert "4 triggered, 0 sent" in page


def test_a_page_of_many_deliveries_asks_no_more_than_one_of_few(rule, delivered, viewer, shop):
    made = rule(live=True)
    addresses = [
        made.get_absolute_url(),
        reverse("deliveries", args=[shop.app_id]),
        reverse("dead_letters", args=[shop.app_id, made.pk]),
    ]

    def asked():
        counts = []
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                viewer.get(address)
            counts.append(len(queries))
        return counts

    delivered(made, ("failed", "refused"))
    asked()
    few = asked()
    delivered(made, *[("failed", "refused")] * 9)
    assert asked() == few


def test_dead_letters_are_what_failed_and_what_is_held_and_go_together(rule, delivered, editor, viewer, shop):
    made = rule(live=True)
    delivered(made, ("failed", "refused"), ("failed", "gave_up"), ("held", "too_old"), ("held", "hours"), ("sent", ""))
    address = reverse("dead_letters", args=[shop.app_id, made.pk])
    page = page_of(editor.get(address))
    assert "2 failed" in page
    assert "1 held" in page
    assert page.count('class="pill ') == 3
    assert "Replay all" not in page_of(viewer.get(address))
    assert viewer.post(address, {"action": "release", "state": "failed"}).status_code == 403
    assert "Queued: 2 messages" in page_of(editor.post(address, {"action": "release", "state": "failed"}, follow=True))
    assert "Cancelled: 2 messages" in page_of(editor.post(address, {"action": "cancel", "state": "held"}, follow=True))
    assert sorted(Delivery.objects.values_list("state", flat=True)) == [
        "cancelled", "cancelled", "queued", "queued", "sent",
    ]  # fmt: skip
    assert editor.post(address, {"action": "release", "state": "sent"}).status_code == 404


def test_a_rule_that_paused_itself_says_so_and_releasing_all_lets_it_go_on(rule, delivered, editor, worker, mailoutbox):
    made = rule(live=True)
    rules.pause_itself(made)
    delivered(made, ("held", "not_live"), ("held", "not_live"))
    page = page_of(editor.get(made.get_absolute_url()))
    assert "It paused itself." in page
    assert "Release all 2 held" in page
    assert "Cancel all 2 held" in page
    editor.post(reverse("dead_letters", args=[made.workspace.app_id, made.pk]), {"action": "release", "state": "held"})
    worker()
    made.refresh_from_db()
    assert (made.state, len([mail for mail in mailoutbox if mail.subject == "Thanks"])) == ("live", 2)


def test_nothing_is_released_of_a_rule_that_staff_paused(rule, delivered, editor):
    made = rule(live=True)
    rules.pause(made)
    delivered(made, ("held", "not_live"))
    address = reverse("dead_letters", args=[made.workspace.app_id, made.pk])
    assert "Make the rule live first" in page_of(
        editor.post(address, {"action": "release", "state": "held"}, follow=True)
    )
    assert Delivery.objects.get().state == "held"


def test_a_delivery_names_its_version_and_is_cancelled(rule, delivered, editor, shop):
    made = rule(live=True)
    [delivery] = delivered(made, ("failed", "refused"), detail="550 no such user")
    page = page_of(editor.get(delivery.get_absolute_url()))
    assert f"{reverse('message_versions', args=[shop.app_id, made.pk])}#version-1" in page
    assert "550 no such user" in page
    assert "Replay" in page
    editor.post(delivery.get_absolute_url(), {"action": "cancel"})
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("cancelled", "by_staff")
    assert "Cancel it" not in page_of(editor.get(delivery.get_absolute_url()))


def test_a_webhooks_json_is_shown_as_text(rule, delivered, viewer, shop):
    made = rule(live=True, channel="webhook", url="https://example.org/hook")
    [delivery] = delivered(made, ("sent", ""), body='{"a": "<b>bold</b>"}')
    page = viewer.get(reverse("delivery_body", args=[shop.app_id, delivery.pk])).content.decode()
    assert "&lt;b&gt;bold" in page


def test_versions_say_what_changed_in_words(save, rule, viewer, shop):
    made = rule(live=True, body="Hello\nOld line")
    save(made, **ALL_FIELDS | {"sender": "", "body": "Hello\nNew line"})
    page = re.sub("<[^>]*>", "", page_of(viewer.get(reverse("message_versions", args=[shop.app_id, made.pk]))))
    assert "Version 2" in page
    assert "by editor-" in page
    for words in (
        "Where: none → total ≥ 49.00 USD",
        "Delay: none → 3 days",
        "How often: Every time → At most once in some time",
        "Unless: none → they do paid-order where code is known with the same order_id, code",
        "Audience: everyone → people who match: did placed-order at least 2 times",
        "Old line",
        "New line",
        "The first one.",
    ):
        assert words in page, words
    assert "Hello\n" not in page


def test_a_viewer_sees_all_and_changes_nothing(viewer, rule, shop):
    made = rule(live=True)
    page = page_of(viewer.get(made.get_absolute_url()))
    assert "Thanks" in page
    assert "Make live" not in page
    assert "Save</button>" not in page
    for address in (made.get_absolute_url(), reverse("new_message", args=[shop.app_id])):
        assert viewer.post(address, TYPED | {"action": "archive"}).status_code == 403
