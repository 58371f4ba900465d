"""The whole road by clicking, and every page as a browser sees it: small, dark, strict and accessible."""

import csv
import io
import re
import time

import pytest

from segments.urlstate import decode, encode
from tests.live import CHROMIUM, Installation, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.beside]

FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync
""".split()
EMAIL = "sam@example.org"
ORDERED = {"kind": "event", "event": "placed-order", "did": True}
# With every part of the editor in use.
RULE = {
    "name": "Everything",
    "where": [{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}],
    "conditions": {"version": 1, "match": "all", "conditions": [ORDERED, {"match": "any", "conditions": [ORDERED]}]},
    "frequency": "once_per",
    "per_seconds": 86400,
    "delay_seconds": 7200,
    "unless": {"event": "cancelled-plan", "where": [{"key": "reason", "op": "known"}], "same": ["code"]},
    "hours": {"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "17:00"},
    "body": "<p>{{ event.metadata.unknown }}</p>",
}


@pytest.fixture(scope="module")
def shop():
    """A served installation with demo people, an admin and a worker."""
    with Installation() as installation:
        installation.set_up()
        installation.manage("demo", "--people", "120", "--events", "1500", "--workspace", installation.app_id)
        installation.password = installation.manage("create_staff", EMAIL)
        installation.make_rule(event="cancelled-plan", **RULE)
        installation.start_web()
        installation.start_worker()
        lately = {"version": 1, "match": "all", "conditions": [ORDERED | {"within": {"last_days": 30}}]}
        assert installation.request("POST", "/segments", {"name": "Lately", "definition": lately})[0] == 200
        yield installation


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, shop):
    """Open a logged-in page of this size and scheme; complaints of the console fail the test."""
    complaints, contexts = [], []

    def make(width=1440, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=f"{shop.url}/app/{shop.app_id}/"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login/")
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_label("Password").fill(shop.password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(re.compile(r"/app/\w+/$"))
        page.goto("people/")  # whichever workspace was looked at last
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def count(page) -> int:
    return int(re.search(r"[\d,]+", page.locator("#count").inner_text())[0].replace(",", ""))


def test_the_whole_road_by_clicking(open_page, shop):
    page = open_page()
    # Find a person by part of their email.
    assert shop.post_event("grace", email="grace.hopper@example.org", event_name="signed-up") == 202
    page.get_by_label("Find a person").fill("grace.ho")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("link", name="grace.hopper@example.org").click()
    assert page.get_by_role("heading", level=1).inner_text() == "grace.hopper@example.org"

    # Build a filter and watch the count change.
    page.get_by_role("link", name="People").click()
    everyone = count(page)
    page.get_by_role("button", name="+ Event").click()
    event = page.get_by_role("combobox", name="event")
    event.fill("placed")
    page.get_by_role("option", name=re.compile("placed-order")).click()
    page.wait_for_function("n => !document.querySelector('#count').textContent.includes(n)", arg=f"{everyone} people")
    ordered = count(page)
    assert 0 < ordered < everyone
    page.get_by_label("times", exact=True).fill("3")
    page.wait_for_function(f"() => !document.querySelector('#count strong').textContent.startsWith('{ordered}')")
    assert count(page) < ordered
    page.get_by_role("button", name="+ where").click()
    page.get_by_label("metadata key").fill("total")
    page.get_by_label("metadata key").press("Tab")
    page.get_by_label("operator").select_option("gte")
    page.get_by_label("value of total").fill("49 usd")
    page.wait_for_url(re.compile(r"q="))
    page.wait_for_timeout(1000)
    rich = page.url
    assert decode(rich.partition("q=")[2])["conditions"][0]["where"][0]["value"] == {"amount": 4900, "currency": "usd"}

    # Back undoes, forward brings it back.
    page.get_by_role("button", name="+ Attribute").click()
    page.get_by_role("combobox", name="attribute", exact=True).fill("plan")
    page.get_by_role("combobox", name="attribute", exact=True).press("Tab")
    page.get_by_label("value of plan").fill("pro")
    page.wait_for_timeout(800)
    assert page.url != rich
    page.get_by_label("Remove this condition").last.click()
    page.wait_for_timeout(400)
    assert page.url == rich

    # Save the segment.
    expected = count(page)
    page.get_by_role("button", name="Save segment").click()
    page.get_by_label("Name", exact=True).fill("Rich orders")
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/segments/*/")
    assert count(page) == expected
    page.get_by_role("link", name="Segments").click()
    row = page.get_by_role("row", name=re.compile("Rich orders"))
    wait_for(lambda: row.locator("[hx-get]").inner_text().split()[0] == str(expected), 5, "the same count in the list")

    # Make a rule live.
    page.get_by_role("link", name="Auto messages").click()
    page.get_by_role("link", name="New message").click()
    page.get_by_label("Name", exact=True).fill("Thanks")
    page.get_by_label("someone does").fill("placed-order")
    page.get_by_label("someone does").press("Tab")
    page.get_by_label("send it").select_option("every_time")
    page.get_by_label("Subject").fill("Thanks, {{ contact.name | fallback: 'friend' }}")
    page.get_by_label("Body").fill("<p>Code {{ event.metadata.code }}</p>")
    page.get_by_role("button", name="Show the preview").click()
    page.frame_locator("iframe[name=preview]").get_by_text("Thanks,").wait_for()
    page.get_by_role("button", name="Make live").click()
    page.get_by_text("Live: events received from now on count.").wait_for()

    # Post an event, read the delivery.
    code = f"CODE{time.time_ns()}"
    assert shop.post_event("grace", metadata={"code": code}) == 202
    wait_for(lambda: any(code in mail for mail in shop.outbox()), 5, "the message")
    page.get_by_role("link", name="Deliveries", exact=True).click()
    page.get_by_role("row", name=re.compile("grace.hopper")).get_by_role("link", name="Thanks").click()
    assert page.get_by_text("Sent", exact=True).first.is_visible()
    page.frame_locator("iframe").get_by_text(code).wait_for()


def test_a_rule_is_written_tried_made_live_and_mended(open_page, shop):
    page = open_page()
    assert shop.post_event("ada", event_name="paid-bill", metadata={"code": "C-1", "total": 3}) == 202
    page.goto("messages/new/")
    page.get_by_label("Name", exact=True).fill("Receipt")
    page.get_by_label("someone does").fill("paid-bill")
    page.get_by_label("someone does").press("Tab")
    page.locator("#promise").get_by_text("1 of 1").wait_for()

    # A row of metadata, taken by keyboard; the promise follows.
    page.locator("#when").get_by_role("button", name="+ where").click()
    focused(page, "metadata key")
    page.keyboard.type("tot")
    pick(page, "total")
    focused(page, "operator")
    page.get_by_label("operator").select_option("gte")
    page.get_by_label("value of total").fill("5")
    page.get_by_label("value of total").press("Tab")
    page.locator("#promise").get_by_text("0 of 1").wait_for()
    page.locator("#sentence").get_by_text("where total ≥ 5").wait_for()

    # An audience of its own, as the people page has it.
    assert not page.get_by_role("button", name="+ Attribute").is_visible()
    page.get_by_label("and is in").select_option("conditions")
    page.get_by_role("button", name="+ Attribute").click()
    focused(page, "attribute")
    page.keyboard.type("Email")
    pick(page, "Email text")
    page.locator("#who").get_by_label("operator").select_option("known")
    page.locator("#promise").get_by_text(re.compile("people in the audience")).wait_for()

    # What is shown goes by what is chosen.
    page.get_by_label("send it").select_option("every_time")
    assert not page.get_by_label("namely in").is_visible()
    for channel, there, not_there in (("webhook", "Address", "Body"), ("email", "Body", "Address")):
        page.get_by_label("sent as").select_option(channel)
        assert page.get_by_label(there, exact=channel == "email").is_visible()
        assert not page.get_by_label(not_there, exact=not_there == "Body").is_visible()

    # A variable goes to the caret, an unknown one is told, and the preview follows.
    page.get_by_label("Subject").fill("Receipt ")
    page.get_by_role("button", name="event.metadata.code").click()
    assert page.get_by_label("Subject").input_value() == "Receipt {{ event.metadata.code }}"
    page.get_by_label("Body", exact=True).fill("<p>{{ event.metadata.code | money }} {{ contact.nme }}</p>")
    page.locator("#warnings").get_by_text("{{ contact.nme }} in the body is not known here").wait_for()
    page.get_by_label("Body", exact=True).press("End")
    page.keyboard.type(" contact.nme {%if contact.nme%}1{% endif %}")
    layer = page.locator("#id_body + .marks")
    assert layer.text_content().strip() == page.get_by_label("Body", exact=True).input_value()
    assert layer.locator("mark").all_text_contents() == ["contact.nme"] * 2
    assert layer.bounding_box() == page.get_by_label("Body", exact=True).bounding_box()
    assert not page.locator("#id_subject + .marks mark").count()
    frame = page.frame_locator("iframe[name=preview]")
    page.get_by_role("button", name="Show the preview").click()
    frame.get_by_text("Not yet:").wait_for()
    page.get_by_label("Body", exact=True).fill("<p>Code {{ event.metadata.code }}</p>")
    frame.get_by_text("Code C-1").wait_for()
    page.get_by_label("with", exact=True).select_option("json")
    page.get_by_label("Sample as JSON").fill('{"metadata": {"code": "MINE"}}')
    frame.get_by_text("Code MINE").wait_for()
    page.get_by_label("Narrow").check()
    page.wait_for_function("() => document.querySelector('iframe').offsetWidth === 320")

    page.get_by_role("button", name="Send test to me").click()
    page.get_by_text(f"A test is on its way to {EMAIL}").wait_for()
    assert any("Code MINE" in mail and EMAIL in mail for mail in shop.outbox())

    # Live with a fault that only an event shows; mended, what failed is sent.
    page.get_by_label("Body", exact=True).fill("<p>Code {{ event.metadata.code | money }}</p>")
    page.get_by_role("button", name="Make live").click()
    page.get_by_text("Live: events received from now on count.").wait_for()
    code = f"CODE{time.time_ns()}"
    assert shop.post_event("ada", event_name="paid-bill", metadata={"code": code, "total": 9}) == 202
    rule = page.url
    wait_for(lambda: page.goto(rule) and page.get_by_text("1 failed").count(), 10, "the failure")
    page.get_by_label("Body", exact=True).fill("<p>Code {{ event.metadata.code }}</p>")
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("link", name="Version 2").click()
    page.get_by_text("{{ event.metadata.code | money }}").wait_for()
    page.goto(rule)
    page.get_by_role("row", name=re.compile("ada@")).get_by_role("link", name="Receipt").click()
    page.get_by_text("The filter “money” needs an amount").wait_for()
    page.get_by_role("button", name="Replay").click()
    wait_for(lambda: any(code in mail for mail in shop.outbox()), 10, "the message")
    page.reload()
    page.frame_locator("iframe").get_by_text(code).wait_for()
    page.get_by_role("link", name="Version 2").wait_for()


def test_an_unfinished_row_leaves_the_table_and_says_so(open_page):
    page = open_page()
    before = count(page)
    page.get_by_role("button", name="+ Event").click()
    page.keyboard.type("placed-order")
    page.keyboard.press("Escape")
    page.get_by_label("when", exact=True).select_option("last_days")
    page.get_by_label("days", exact=True).fill("0")
    page.wait_for_timeout(600)
    page.get_by_text("not finished", exact=True).wait_for()
    page.get_by_text("One condition is not finished, and not counted here.").wait_for()
    assert page.get_by_role("button", name="Save segment").is_disabled()
    assert page.get_by_label("days", exact=True).input_value() == "0"
    assert count(page) == before
    page.get_by_label("days", exact=True).fill("36501")
    page.get_by_role("alert").filter(has_text="36,500").wait_for()
    assert count(page) == before


def test_typing_is_never_redrawn_and_leaves_one_settled_count(open_page):
    page = open_page()
    page.get_by_role("button", name="+ Attribute").click()
    page.keyboard.type("email")
    page.get_by_role("option", name=re.compile("^Email")).wait_for()
    page.keyboard.press("Enter")
    page.get_by_label("operator").select_option("contains")
    value = page.get_by_label("value of Email")
    page.wait_for_load_state("networkidle")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/people/build/" in request.url else None)
    value.press_sequentially("@example.com", delay=20)
    assert value.input_value() == "@example.com"
    page.wait_for_timeout(700)
    assert count(page) >= 120
    assert 1 <= len(asked) <= 2


def test_thirty_quick_edits_leave_the_last_count_and_few_questions(open_page, shop):
    page = open_page()
    page.goto(
        "people/?q=" + encode({"version": 1, "match": "all", "conditions": [ORDERED | {"within": {"last_days": 90}}]})
    )
    page.wait_for_load_state("networkidle")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/people/build/" in request.url else None)
    days = page.get_by_label("days", exact=True)
    for number in range(1, 31):
        days.fill(str(number * 12))
        page.wait_for_timeout(20)
    page.wait_for_url(re.compile("q="))
    page.wait_for_timeout(1200)
    assert days.input_value() == "360"
    assert len(asked) <= 4
    [condition] = decode(page.url.partition("q=")[2])["conditions"]
    assert condition["within"] == {"last_days": 360}
    assert count(page) == shop.preview(condition)


def test_a_count_moves_nothing_on_the_page(open_page):
    """No layout shift while the number settles."""
    page = open_page()
    page.goto("people/?q=" + encode({"version": 1, "match": "all", "conditions": [ORDERED]}))
    page.wait_for_load_state("networkidle")
    page.evaluate("""() => {
        window.shifted = 0;
        new PerformanceObserver(list => list.getEntries().forEach(entry => {
            if (!entry.hadRecentInput) window.shifted += entry.value;
        })).observe({ type: "layout-shift", buffered: false });
    }""")
    before = count(page)
    # Not typed, so that no shift is forgiven as the doing of a key.
    page.evaluate("""() => {
        const field = document.querySelector("[aria-label=times]");
        field.value = "3";
        field.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    page.wait_for_function("n => !document.querySelector('#count').textContent.startsWith(n)", arg=f"{before:,} ")
    page.wait_for_timeout(800)
    assert count(page) < before
    assert page.evaluate("window.shifted") == 0


def test_a_nested_filter_is_built_and_saved_by_keyboard_alone(open_page, shop):
    page = open_page()
    keys = page.keyboard
    # A mouse is of no use from here on.
    keys.press("e")
    keys.type("placed")
    pick(page, "placed-order")
    keys.press("Tab")
    keys.type("2")
    keys.press("Tab")
    keys.type("in the last")
    focused(page, "when")
    page.get_by_label("days", exact=True).wait_for()
    keys.press("Tab")
    keys.type("90")
    # Who only comes by a button has not pressed it.
    keys.press("Tab")
    focused(page, "+ where")
    page.wait_for_timeout(600)
    assert page.get_by_label("metadata key").count() == 0
    keys.press("Enter")
    focused(page, "metadata key")
    keys.type("tot")
    pick(page, "total")
    focused(page, "operator")
    for _ in range(3):
        keys.press("ArrowDown")
    page.wait_for_timeout(400)
    keys.press("Tab")
    keys.type("20 usd")
    keys.press("Enter")
    focused(page, "+ where")

    keys.press("g")
    focused(page, "event")
    keys.type("signed")
    pick(page, "signed-up")
    keys.press("Shift+Tab")
    keys.press("Shift+Tab")
    focused(page, "what they did")
    keys.type("did this, then")
    page.get_by_label("then event").wait_for()
    focused(page, "what they did")
    keys.press("Tab")
    keys.press("Enter")
    focused(page, "then event")
    keys.type("placed")
    pick(page, "placed-order")
    focused(page, "days")
    keys.type("60")
    press_button(page, "+ Attribute")
    focused(page, "attribute")
    keys.type("pla")
    pick(page, "plan")
    keys.press("Tab")
    keys.type("pro")
    page.wait_for_timeout(800)
    expected = [
        ORDERED
        | {
            "count": {"op": "gte", "value": 2},
            "within": {"last_days": 90},
            "where": [{"key": "total", "op": "gte", "value": {"amount": 2000, "currency": "usd"}}],
        },
        {
            "match": "any",
            "conditions": [
                {
                    "kind": "sequence",
                    "first": {"event": "signed-up"},
                    "then": {"event": "placed-order"},
                    "did": True,
                    "within_days": 60,
                },
                {"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"},
            ],
        },
    ]
    assert asked_in(page) == expected
    whole = page.url
    assert 0 < count(page) == shop.preview(*expected)

    # A step is undone by Back.
    keys.press("Control+Backspace")
    page.wait_for_function("() => document.querySelectorAll('#rows .condition').length === 3")
    assert asked_in(page) == [expected[0], {"match": "any", "conditions": expected[1]["conditions"][:1]}]
    page.go_back()
    page.wait_for_url(whole)
    assert page.get_by_label("value of plan").input_value() == "pro"

    keys.press("Control+s")
    focused(page, "Name")
    keys.type("Good ones")
    keys.press("Enter")
    page.wait_for_url("**/segments/*/")
    assert count(page) == shop.preview(*expected)
    assert page.get_by_label("value of plan").input_value() == "pro"


def test_a_segment_is_exported_explained_tagged_and_untagged_by_keyboard_alone(open_page, shop):
    page = open_page()
    keys = page.keyboard
    shop.post_event("outsider", event_name="signed-up")
    page.goto("people/?q=" + encode({"version": 1, "match": "all", "conditions": [ORDERED]}))
    page.wait_for_load_state("networkidle")
    expected = count(page)
    keys.press("Control+s")
    focused(page, "Name")
    keys.type("Whoever ordered")
    keys.press("Enter")
    page.wait_for_url("**/segments/*/")
    address = page.url

    with page.expect_download() as download:
        press_button(page, "Export CSV")
    text = download.value.path().read_text("utf-8-sig")
    assert download.value.suggested_filename.startswith("whoever-ordered-")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len({row["user_id"] for row in rows}) == expected
    assert all(int(row["placed-order count"]) > 0 for row in rows)

    # Why somebody is in, and somebody else is not.
    page.wait_for_timeout(300)
    press_button(page, "Why?")
    page.get_by_role("dialog").get_by_role("heading", name=re.compile("is in$")).wait_for()
    assert faults_of(page) == []
    keys.press("Escape")
    for _ in range(200):
        keys.press("Tab")
        if page.evaluate("document.activeElement.id") == "who":
            break
    keys.type("outsider")
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("heading", name="outsider@example.org is not in").wait_for()
    assert "placed-order never" in dialog.inner_text()
    keys.press("Escape")

    # Tag all of them, and take it back.
    page.goto(address)
    page.wait_for_load_state("networkidle")
    press_button(page, "Tag all…")
    focused(page, "Tag")
    keys.type("Ordered")
    keys.press("Enter")
    page.wait_for_url("**/tagged/")
    row = page.get_by_role("row", name=re.compile("Ordered"))
    row.get_by_role("button", name="Undo").wait_for(timeout=10_000)
    tagged = {
        "kind": "tag",
        "tag": int(shop.python("from eventsapp.models import Tag; print(Tag.objects.get().pk)")),
        "op": "has",
    }
    assert shop.preview(tagged) == expected
    page.on("dialog", lambda question: question.accept())
    press_button(page, "Undo")
    page.get_by_text("Took").wait_for(timeout=10_000)
    wait_for(lambda: shop.preview(tagged) == 0, 10, "nobody to be tagged")

    # Opened again, it is as it was saved.
    page.goto(address)
    assert page.get_by_role("combobox", name="event").input_value() == "placed-order"
    assert count(page) == expected


def asked_in(page) -> list:
    return decode(page.url.partition("q=")[2])["conditions"]


def pick(page, name):
    """Take the suggestion that is marked, which must be this one."""
    page.get_by_role("option", name=re.compile(f"^{name}"), selected=True).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)


def focused(page, label):
    """Wait until the focus is on what is called this."""
    page.wait_for_function(
        """label => {
            const here = document.activeElement;
            return [here.ariaLabel, here.labels?.[0]?.textContent.trim(), here.textContent.trim()].includes(label);
        }""",
        arg=label,
        timeout=5000,
    )


def press_button(page, words):
    """Go on with Tab to the next button or link of these words, and press it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == words:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab leads to no button “{words}”")


def test_a_timeline_is_filtered_and_back_undoes_it(open_page, shop):
    page = open_page()
    for event in ("signed-up", "opened-app", "opened-app"):
        assert shop.post_event("timeline", event_name=event) == 202
    page.get_by_label("Find a person").fill("timeline")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("link", name="timeline@example.org").click()
    events = page.locator("#timeline .event")
    assert events.count() == 3
    page.get_by_role("combobox", name="Event").fill("Signed.Up")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelectorAll('#timeline .event').length === 1")
    assert "event_name=Signed.Up" in page.url
    page.reload()
    assert events.count() == 1
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('#timeline .event').length === 3")
    assert page.get_by_role("heading", level=1).inner_text() == "timeline@example.org"


def test_a_person_is_tagged_edited_and_unsubscribed_by_clicking(open_page, shop):
    page = open_page()
    assert shop.post_event("clicked", event_name="signed-up") == 202
    page.get_by_label("Find a person").fill("clicked")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("link", name="clicked@example.org").click()
    page.get_by_text("In none of those that are saved.").wait_for()
    page.get_by_label("Add a tag").fill("VIP")
    page.keyboard.press("Enter")
    page.get_by_label("Take off VIP").wait_for()
    page.get_by_label("Add a tag").fill("Lapsed")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Take off Lapsed").wait_for()
    page.get_by_label("Take off VIP").click()
    page.get_by_label("Take off VIP").wait_for(state="detached")
    assert page.locator("#tags li").inner_text().startswith("Lapsed")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name (optional)").fill("Cleo")
    page.get_by_label("Name of a new attribute").first.fill("renewal_at")
    page.get_by_label("Kind of a new attribute").first.select_option("date")
    page.get_by_label("Value of a new attribute").first.fill("2026-03-31")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Cleo"
    assert page.get_by_text("31 Mar 2026").is_visible()

    page.get_by_text("More", exact=True).click()
    assert faults_of(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    assert '"Cleo"' in download.value.path().read_text()
    page.get_by_role("button", name="Unsubscribe").click()
    page.get_by_text("unsubscribed", exact=True).wait_for()


def test_everything_is_found_by_keyboard_alone(open_page):
    page = open_page()
    keys, found = page.keyboard, page.locator("#found")
    page.goto("events/")
    page.get_by_role("link", name="Segments").focus()
    keys.press("/")
    field = page.get_by_label("People, segments, events, messages or pages")
    found.get_by_role("link", name="Home").wait_for()
    keys.type("placed")
    found.get_by_role("link", name="placed-order").wait_for()
    # Esc closes it, and the focus is where it was.
    keys.press("Escape")
    assert not field.is_visible()
    assert page.evaluate("document.activeElement.textContent.trim()") == "Segments"

    # What stood there is marked, so that typing begins anew; arrows go through what is found, and round.
    keys.press("/")
    keys.type("se")
    found.get_by_role("link", name="Segments").wait_for()
    links = found.get_by_role("link").count()
    assert links > 1
    for _ in range(links):
        keys.press("ArrowDown")
    assert found.get_by_role("link").last.evaluate("link => link === document.activeElement")
    keys.press("ArrowDown")
    assert field.evaluate("field => field === document.activeElement")
    keys.press("ArrowUp")
    keys.press("ArrowUp")
    target = page.evaluate("document.activeElement.href")
    keys.press("Enter")
    page.wait_for_url(target)

    # Enter in the field opens the first, or, before there is an answer, the page that will have it.
    keys.press("/")
    keys.type("placed-ord")
    found.get_by_role("link", name="placed-order").wait_for()
    keys.press("Enter")
    page.wait_for_url(re.compile(r"/events/\d+/"))
    keys.press("/")
    keys.type("placed-order")
    keys.press("Enter")
    page.wait_for_url(re.compile(r"/search/\?words=placed-order"))
    assert page.get_by_role("region", name="Found").get_by_role("link", name="placed-order").is_visible()
    # In a field the key is a letter.
    page.get_by_label("What to search for").press("/")
    assert not field.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_is_at_hand_on_a_phone(open_page, scheme):
    page = open_page(390, scheme)
    page.get_by_role("button", name="Search").click()
    page.locator("#found").get_by_role("link", name="Home").wait_for()
    page.keyboard.type("zzz")
    page.get_by_text("Nothing here is called “zzz”").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("order")
    page.locator("#found").get_by_role("link", name="placed-order").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert faults_of(page) == []
    page.get_by_role("button", name="Close").click()
    assert page.get_by_role("button", name="Search").evaluate("button => button === document.activeElement")


def test_single_keys_can_be_switched_off(open_page):
    page = open_page()
    keys, opened = page.keyboard, page.locator("dialog[open]")
    keys.press("?")
    page.get_by_label("Single keys").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    for _ in range(2):
        for key in "?/eg":
            keys.press(key)
        page.wait_for_timeout(400)
        assert opened.count() == 0
        assert page.locator("#rows .condition").count() == 0
        page.reload()
    page.goto("settings/")
    assert not page.get_by_label("Single keys").is_checked()
    page.get_by_label("Single keys").check()
    page.get_by_role("heading", name="This browser").click()
    keys.press("/")
    assert opened.count() == 1


def test_the_colours_are_chosen_and_remembered(open_page):
    page = open_page()

    def is_dark():
        return page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 24)"

    assert not is_dark()
    page.get_by_label("Colours").select_option("dark")
    assert is_dark()
    # It is so before anything is painted: no module has a part in it.
    page.route("**/ui/app*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto("events/")
    assert is_dark()
    page.unroute("**/ui/app*.js")
    page.goto("events/")
    assert page.get_by_label("Colours").input_value() == "dark"
    page.get_by_label("Colours").select_option("")
    page.reload()
    assert not is_dark()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_light_turns_green_with_the_first_event(open_page, shop, scheme):
    app_id, token = new_workspace(shop, scheme)
    page = open_page(390, scheme)
    page.goto(f"/app/{app_id}/people/")
    page.get_by_role("link", name="Watch it arrive").click()
    light = page.get_by_role("status")
    assert light.inner_text() == "Waiting for the first event"
    assert faults_of(page) == []
    assert shop.post_event("ada", token=token) == 202
    page.get_by_role("region", name="Events").get_by_role("link", name="ada@example.org").wait_for(timeout=2000)
    assert light.inner_text() == "First event received"
    page.get_by_role("region", name="API requests").get_by_text("person created").wait_for(timeout=3000)
    assert faults_of(page) == []


def test_the_live_lists_follow_and_hold_still_under_a_reader(open_page, shop):
    app_id, token = new_workspace(shop, "Followed")
    assert shop.post_event("opened", token=token) == 202
    page = open_page()
    page.goto(f"/app/{app_id}/events/live/")
    events, light = page.get_by_role("region", name="Events"), page.get_by_role("status")
    requests = page.get_by_role("region", name="API requests")

    def post(user_id):
        assert shop.post_event(user_id, token=token) == 202

    # What is opened stays open and in its place; closed again, the list goes on.
    requests.locator("summary").first.wait_for()
    requests.locator("summary").first.click()
    requests.get_by_text("opened@example.org").wait_for()
    post("while-open")
    events.get_by_role("link", name="while-open@example.org").wait_for(timeout=2000)
    light.get_by_text("New rows wait while you read").wait_for()
    assert requests.get_by_text("opened@example.org").is_visible()
    requests.locator("summary").first.click()
    page.get_by_role("heading", name="Live").click()
    page.wait_for_function("() => document.querySelectorAll('.asked details').length > 1")
    light.get_by_text("Live", exact=True).wait_for()

    # Who has the focus in a list keeps it.
    link = events.get_by_role("link", name="while-open@example.org")
    link.focus()
    post("while-focused")
    light.get_by_text("New rows wait while you read").wait_for()
    assert link.evaluate("link => link === document.activeElement")
    page.get_by_role("heading", name="Live").click()
    link.evaluate("link => link.blur()")
    events.get_by_role("link", name="while-focused@example.org").wait_for(timeout=2000)

    # Paused, it asks nothing.
    page.get_by_role("button", name="Pause").click()
    assert light.inner_text() == "Paused"
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    post("while-paused")
    page.wait_for_timeout(2500)
    assert asked == []
    page.get_by_role("button", name="Go on").click()
    events.get_by_role("link", name="while-paused@example.org").wait_for(timeout=2000)
    assert light.inner_text() == "Live"

    # Nor does it when nobody sees it.
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate("delete document.hidden")

    # A filter is in the address, and the list goes on with it.
    page.get_by_label("Show").select_option("refused")
    page.wait_for_url(re.compile("show=refused"))
    assert shop.post_event("refused", created_at=1, token=token) == 202
    assert shop.post_event("refused", created_at=None, token=token) == 400
    requests.get_by_text("created_at is missing").wait_for(timeout=3500)
    assert requests.locator("summary").count() == 1

    # Back takes it away again, and everything goes on.
    page.go_back()
    requests.locator("summary").nth(1).wait_for()
    page.get_by_role("button", name="Pause").click()
    assert light.inner_text() == "Paused"
    page.get_by_role("button", name="Go on").click()
    post("after-back")
    events.get_by_role("link", name="after-back@example.org").wait_for(timeout=2000)


def new_workspace(shop, name) -> tuple[str, str]:
    """Make another workspace of the same staff; return its app_id and a token's secret."""
    app_id = shop.manage("create_workspace", name)
    shop.python(f"""
from eventsapp.models import Membership, Workspace
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(email={EMAIL!r})
Membership.objects.create(user=user, workspace=Workspace.objects.get(app_id={app_id!r}), role="viewer")
""")
    return app_id, shop.manage("create_token", "--name", "app", "--workspace", app_id)


PAGES = (
    "",
    "search/?words=a",
    "search/?words=zzz",
    "people/",
    "people/?search=a",
    "people/tagged/",
    "people/import/",
    "segments/?archived",
    "segments/",
    "events/",
    "events/live/",
    "messages/",
    "messages/new/",
    "deliveries/",
    "settings/",
    "settings/attributes/",
    "settings/browser/",
    "settings/webhooks/",
    "/docs/api/",
)


PEOPLE = (
    "User ID;E-mail;Plan;Notes\nimp-1;imp-1@example.org;pro;x\nimp-2;nobody;free;y\nimp-3;imp-3@example.org;free;z\n"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_people_are_imported_from_a_file(open_page, shop, tmp_path, width, scheme):
    page, file, tag = open_page(width, scheme), tmp_path / "customers.csv", f"Fair {width} {scheme}"
    file.write_text(PEOPLE.replace("imp-", f"{width}-{scheme}-"))

    def is_well():
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert faults_of(page) == []

    page.get_by_role("link", name="Import", exact=True).click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at the file").click()

    # What is taken for what, changed by keyboard; a name is asked for where there is to be one.
    use = page.get_by_label("What “Notes” is")
    assert page.get_by_label("What “E-mail” is").input_value() == "email"
    name = page.get_by_label("Name of the attribute for “Notes”")
    assert name.input_value() == "Notes"
    use.focus()
    use.press("ArrowUp")
    assert (use.input_value(), name.is_visible()) == ("", False)
    is_well()
    page.get_by_label("Tags for everybody").fill(tag)
    page.get_by_role("button", name="Import 3 rows").click()

    # It goes on by itself, and ends with a report.
    page.get_by_role("heading", name="Done").wait_for(timeout=15_000)
    page.get_by_role("row", name=re.compile("3 email: “nobody” is not an email address")).wait_for()
    is_well()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the refused rows").click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [len(rows), rows[1][1]] == [2, "nobody"]
    page.get_by_role("link", name=f"People tagged “{tag}”").click()
    page.wait_for_load_state("networkidle")
    assert count(page) == 2


def test_without_javascript_people_are_imported_too(browser, shop, open_page, tmp_path):
    login, file = open_page().context.storage_state(), tmp_path / "plain.csv"
    file.write_text(PEOPLE.replace("imp-", "plain-"))
    context = browser.new_context(
        java_script_enabled=False, storage_state=login, base_url=f"{shop.url}/app/{shop.app_id}/"
    )
    page = context.new_page()
    page.goto("people/import/")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_label("What “E-mail” is").select_option("user_id")
    page.get_by_role("button", name="Import 3 rows").click()
    page.get_by_text("Another column is user_id already.").wait_for()
    page.get_by_label("What “E-mail” is").select_option("email")
    page.get_by_role("button", name="Import 3 rows").click()

    def is_done():
        if page.get_by_role("link", name="Look again").is_visible():
            page.get_by_role("link", name="Look again").click()
        return page.get_by_role("heading", name="Done").is_visible()

    wait_for(is_done, 15, "the import")
    context.close()


def every_page(page) -> list[str]:
    """The addresses of all pages of a workspace, as somebody who is logged in finds them."""
    addresses = [*PAGES]
    page.goto("people/?search=a")
    addresses.append(page.locator("tbody a").first.get_attribute("href"))
    addresses += [addresses[-1] + part for part in ("edit/", "delete/", "segments/")]
    for listed in ("settings/attributes/", "events/", "segments/", "messages/"):
        page.goto(listed)
        addresses.append(page.locator("tbody a").first.get_attribute("href"))
    addresses += [addresses[-1] + part for part in ("versions/", "dead-letters/")]
    q = encode({"version": 1, "match": "all", "conditions": [ORDERED]})
    addresses += [f"people/{name}/?q={q}&who=demo-1" for name in ("why", "tag")]
    return [*addresses, "people/?q=" + _builder_with_every_row()]


def test_an_admin_subscribes_another_system_by_clicking(open_page):
    page = open_page()
    page.goto("settings/")
    page.get_by_role("link", name="Webhooks", exact=True).click()
    new = page.locator("#new")
    new.get_by_label("Address").fill("https://nobody.invalid/hook")
    new.get_by_label("Events").fill("placed-order\nsigned-up")
    new.get_by_role("button", name="Subscribe").click()
    one = page.get_by_role("region", name="https://nobody.invalid/hook", exact=True)
    assert one.get_by_text("Active").count() == 1
    one.get_by_role("button", name="Turn").click()
    one.get_by_text("Off", exact=True).wait_for()
    one.get_by_role("button", name="Resume").click()
    one.get_by_text("Active").wait_for()
    # What it was not told stands there with its reason.
    assert one.get_by_text("The subscription was stopped").count() == 1
    one.locator("summary").click()
    assert faults_of(page) == []
    page.on("dialog", lambda dialog: dialog.accept())
    one.get_by_role("button", name="Delete").click()
    page.get_by_text("is deleted").wait_for()
    assert one.count() == 0


@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_fits_and_is_accessible_light_and_dark(open_page, width):
    page = open_page(width)
    for address in every_page(page):
        page.goto(address)
        # The live page never falls silent.
        page.wait_for_load_state("load" if "live" in address else "networkidle")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") == width, (address, scheme)
            assert faults_of(page) == [], (address, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_people_leave_mails_without_a_login_on_pages_that_fit(browser, shop, width, scheme):
    code = "from messaging.unsubscribing import *; print(link_for(Contact.objects.exclude(email=None)[0]))"
    link = shop.manage("shell", "--verbosity", "0", "--command", code)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(link)
    assert faults_of(page) == []
    for button, heading in (("Unsubscribe", "You are unsubscribed"), ("Undo", "You get them again")):
        page.get_by_role("button", name=button).click()
        page.get_by_role("heading", name=heading).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert faults_of(page) == []
    assert complaints == []
    page.goto(f"{shop.url}/u/x/")
    assert faults_of(page) == []
    context.close()


def faults_of(page) -> list[str]:
    """What axe has to say about a page."""
    from axe_playwright_python.sync_playwright import Axe

    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    # Of what passes it tells nothing, which is most of its work.
    results = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    return [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in results.response["violations"]]


def _builder_with_every_row() -> str:
    total = {"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}
    histories = [
        {"kind": "aggregate", "event": "placed-order", "key": "total", "function": "sum", "op": "gte", "value": 5},
        {
            "kind": "sequence",
            "first": {"event": "signed-up"},
            "then": {"event": "placed-order"},
            "did": False,
            "within_days": 9,
        },
    ]
    conditions = [
        {"kind": "event", "event": "placed-order", "did": True, "count": {"op": "gte", "value": 2}, "where": [total]},
        {"kind": "event", "event": "invited-friend", "did": False, "within": {"last_days": 90}},
        {"kind": "event_time", "event": "opened-app", "occurrence": "last", "op": "less_than_days_ago", "value": 30},
        {"kind": "attribute", "field": "custom_attributes.plan", "op": "in", "value": ["pro", "team"]},
        {"match": "any", "conditions": [{"kind": "attribute", "field": "email", "op": "known"}, *histories]},
    ]
    return encode({"version": 1, "match": "all", "conditions": conditions})
