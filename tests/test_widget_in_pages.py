"""The library in pages of another origin, in a real browser: what they track arrives, what we say is shown."""

import json
import re
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from tests.live import CHROMIUM, Installation, wait_for
from tests.pages import HOSTILE, Site
from tests.test_browser import FLAGS, faults_of
from tests.test_sdks import skip_or_fail

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.beside]
TRACK = "Intercom('trackEvent', {name!r}, {metadata});"


@pytest.fixture(scope="module")
def shop():
    with Installation() as installation:
        installation.set_up()
        installation.start_web()
        installation.start_worker()
        yield installation


@pytest.fixture(scope="module")
def secret(shop):
    return shop.python(
        "from eventsapp.models import *;"
        f"print(Workspace.objects.get(app_id={shop.app_id!r}).identity_secrets.create().secret)"
    )


@pytest.fixture(scope="module")
def site(shop):
    with Site(shop.url, shop.app_id) as site:
        yield site


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page in a browser of its own, or in one that is there; what it complains of must be told in `aloud`."""
    contexts, complaints, aloud = [], [], []

    def open_(url, context=None, **options):
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    open_.aloud, open_.complaints = aloud, complaints
    yield open_
    for context in contexts:
        context.close()
    assert [said for said in complaints if not any(words in said for words in aloud)] == []


def asked(shop, sql: str, *values) -> list[tuple]:
    """What the shop's database says: quicker than a process of its own for each look."""
    with closing(sqlite3.connect(f"file:{shop.var / 'eventsapp.sqlite3'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def events_of(shop, name) -> list[list]:
    """The events of this name: who, their role, source, metadata."""
    rows = asked(
        shop,
        "select c.external_id, c.role, e.source, e.metadata from eventsapp_event e join eventsapp_eventtype t"
        " on t.id = e.type_id join eventsapp_contact c on c.id = e.contact_id where t.name = ? order by e.received_at",
        name,
    )
    return [[*row, json.loads(metadata)] for *row, metadata in rows]


def number_of(shop, name) -> int:
    return len(events_of(shop, name))


def settings_of(shop, user_id=None, secret=None, **more) -> dict:
    from eventsapp.identity import user_hash

    said = {"app_id": shop.app_id, "api_base": "https://api-iam.intercom.io"} | more
    if user_id:
        said["user_id"] = user_id
    return said | ({"user_hash": user_hash(secret, user_id)} if secret else {})


def test_what_was_queued_before_we_came_arrives_once_oldest_first(shop, site, visit):
    script = "".join(f"Intercom('trackEvent', 'early-{n}', {{n: {n}}});" for n in range(3))
    script += "Intercom('onUnreadCountChange', n => { window.unread = n; }); Intercom('startTour', 7);"
    page = visit(site.page(settings_of(shop, "early-bird"), script))
    page.wait_for_function("() => window.Intercom.booted === true")
    assert page.evaluate("window.unread") == 0
    for n in range(3):
        wait_for(lambda n=n: events_of(shop, f"early-{n}"), 5, "the event")
        assert events_of(shop, f"early-{n}") == [["early-bird", "user", "browser", {"n": n}]]
    page.reload()
    wait_for(lambda: len(events_of(shop, "early-0")) == 2, 5, "the next visit")


def test_intercoms_npm_package_loads_us_by_widget_url_alone(shop, site, visit, tmp_path):
    done = subprocess.run(
        ["npm", "pack", "--silent", "@intercom/messenger-js-sdk@0.0.20"], cwd=tmp_path, capture_output=True, text=True
    )
    if done.returncode:
        skip_or_fail(f"the npm package cannot be had: {done.stderr[-300:]}")
    subprocess.run(["tar", "xzf", done.stdout.split()[-1]], cwd=tmp_path, check=True)
    modules = ""
    for name in ("constants", "instance-manager", "index"):
        source = (tmp_path / "package" / "dist" / f"{name}.js").read_text()
        modules += f"modules['./{name}'] = function (exports) {{ {source} }};"
    bundle = (
        f"var modules = {{}}, made = {{}}; {modules}"
        "function require(name) { if (!made[name]) { made[name] = {}; modules[name](made[name]); } return made[name]; }"
        "var sdk = require('./index');"
        f"sdk.default({{app_id: {shop.app_id!r}, user_id: 'npm', widgetUrl: {site.library!r}}});"
        "setTimeout(() => sdk.trackEvent('from-npm', {ok: true}), 0);"
    )
    visit(site.page(None, loader=bundle))
    wait_for(lambda: events_of(shop, "from-npm"), 5, "the event")
    assert events_of(shop, "from-npm") == [["npm", "user", "browser", {"ok": True}]]


def test_what_happens_offline_arrives_once_and_so_does_what_two_tabs_hold(shop, site, visit):
    address = site.page(settings_of(shop, "traveller"))
    page = visit(address)
    page.wait_for_function("() => window.Intercom.booted")
    visit.aloud.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.evaluate("for (let n = 0; n < 20; n += 1) Intercom('trackEvent', 'offline', {n})")
    page.wait_for_timeout(1500)
    assert number_of(shop, "offline") == 0
    page.context.set_offline(False)
    other = visit(address, page.context)
    other.evaluate("Intercom('trackEvent', 'offline', {n: 20})")
    wait_for(lambda: number_of(shop, "offline") == 21, 10, "all of them")
    page.reload()
    other.close()
    page.wait_for_timeout(1500)
    assert number_of(shop, "offline") == 21


def test_what_a_page_that_is_left_could_not_send_is_sent_by_the_next(shop, site, visit):
    address = site.page(settings_of(shop, "leaver"))
    page = visit(address)
    page.wait_for_function("() => window.Intercom.booted")
    visit.aloud += ["ERR_INTERNET_DISCONNECTED", "ERR_FAILED"]
    page.route("**/widget/*/events", lambda route: route.abort())
    page.evaluate("Intercom('trackEvent', 'left-behind')")
    page.wait_for_timeout(600)
    page.unroute("**/widget/*/events")
    page.goto(address)
    wait_for(lambda: number_of(shop, "left-behind") == 1, 5, "the event")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('queue')).length") <= 1


def test_a_visitor_becomes_a_user_with_what_they_did_and_somebody_else_after_them(shop, site, visit):
    page = visit(site.page(settings_of(shop)))
    page.wait_for_function("() => Intercom('getVisitorId')")
    visitor_id = page.evaluate("Intercom('getVisitorId')")
    page.evaluate("Intercom('trackEvent', 'looked-around')")
    wait_for(lambda: events_of(shop, "looked-around") == [[visitor_id, "visitor", "browser", {}]], 5, "the event")
    page.evaluate("Intercom('update', {user_id: 'newcomer', email: 'new@example.org', plan: 'pro'})")
    wait_for(lambda: events_of(shop, "looked-around") == [["newcomer", "user", "browser", {}]], 5, "the user")
    page.evaluate("Intercom('shutdown')")
    assert page.evaluate(
        "[document.cookie, Object.keys(localStorage).filter((key) => !key.includes('queue')).length]"
    ) == ["", 0]
    page.evaluate(f"Intercom('boot', {{app_id: {shop.app_id!r}}})")
    page.evaluate("Intercom('trackEvent', 'looked-around')")
    wait_for(lambda: len(events_of(shop, "looked-around")) == 2, 5, "the next visitor")
    assert {who for who, *_ in events_of(shop, "looked-around")} - {"newcomer", visitor_id}


def test_a_wrong_proof_is_told_aloud_and_what_follows_is_dropped(shop, site, visit, secret):
    page = visit(site.page(settings_of(shop, "liar") | {"user_hash": "0" * 64}, "Intercom('trackEvent', 'lied');"))
    visit.aloud += ["Not booted", "dropped", "401"]
    page.wait_for_timeout(1500)
    assert any("user_hash is not that of this user" in said for said in visit.complaints)
    page.evaluate("Intercom('trackEvent', 'lied')")
    page.wait_for_timeout(500)
    assert any("lied is dropped" in said for said in visit.complaints)
    assert number_of(shop, "lied") == 0


def test_ten_thousand_in_a_second_arrive_and_the_next_is_refused_aloud(shop, site, visit):
    page = visit(site.page(settings_of(shop, "eager")))
    page.wait_for_function("() => window.Intercom.booted")
    visit.aloud.append("Too many events wait")
    took = page.evaluate(
        "() => { const began = performance.now();"
        "for (let n = 0; n < 10003; n += 1) Intercom('trackEvent', 'flood', {n});"
        "return performance.now() - began; }"
    )
    assert took < 1000
    assert len([said for said in visit.complaints if "Too many events wait" in said]) == 1
    wait_for(lambda: number_of(shop, "flood") >= 10_000, 60, "all of them", every=0.5)
    page.wait_for_timeout(300)
    assert number_of(shop, "flood") == 10_000
    page.evaluate("Intercom('trackEvent', 'flood')")
    wait_for(lambda: number_of(shop, "flood") == 10_001, 5, "one more")
    notes = "select count(*) from eventsapp_apirequest where notes like '%3 events were not taken in the browser%'"
    wait_for(lambda: asked(shop, notes)[0][0], 5, "the note for staff")


BODY = (
    "<p style='color:darkred' onclick='alert(1)'>Thanks, {{ contact.name }}: {{ event.metadata.item }}</p>"
    "<p><a href='https://example.org/more'>More</a> <img src=x onerror=alert(2)></p><script>alert(3)</script>"
)


@pytest.fixture(scope="module")
def rule(shop):
    shop.make_rule(
        event="bought-pen", name="Thanks", channel="in_app", frequency="every_time", subject="Thank you", body=BODY
    )


def test_a_message_is_shown_within_two_seconds_read_and_dismissed_by_keyboard(shop, site, visit, secret, rule):
    name = "<img src=x onerror=alert(4)>"
    settings = settings_of(shop, "reader", secret, name=name)
    page = visit(site.page(settings, css=HOSTILE, trusts_nobody=True))
    page.wait_for_function("() => window.Intercom.booted")
    page.evaluate(
        "Intercom('onUnreadCountChange', n => { window.unread = n; }); window.alert = () => { window.hacked = true; }; 0"
    )
    page.wait_for_timeout(1000)
    page.evaluate("Intercom('trackEvent', 'bought-pen', {item: '<script>alert(5)</script>'})")
    began = time.monotonic()
    card = page.get_by_role("status", name="Thank you")
    card.wait_for(timeout=5000)
    took = time.monotonic() - began
    assert took < 2
    assert card.is_visible()
    assert f"Thanks, {name}: <script>alert(5)</script>" in card.inner_text()
    assert card.locator("p").first.evaluate("element => element.style.color") == "darkred"
    link = card.get_by_role("link", name="More")
    assert (link.get_attribute("href"), link.get_attribute("rel")) == (
        "https://example.org/more",
        "noopener noreferrer",
    )
    assert not card.locator("script, [onclick], [onerror]").count()
    assert not page.evaluate("window.hacked")
    assert faults_of(page) == []
    page.evaluate("document.querySelector('h1').tabIndex = -1; document.querySelector('h1').focus()")
    for _ in range(6):
        page.keyboard.press("Tab")
        if (
            page.evaluate("(document.querySelector('#intercom-container').shadowRoot.activeElement || {}).className")
            == "close"
        ):
            break
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_timeout(1500)
    assert not page.get_by_role("status", name="Thank you").count()
    assert page.evaluate("window.unread") is None
    done = "select count(*) from messaging_delivery where opened_at is not null and dismissed_at is not null"
    wait_for(lambda: asked(shop, done) == [(1,)], 5, "the report")
    # A browser that remembers nothing, at once.
    again = visit(site.page(settings, trusts_nobody=True))
    again.wait_for_timeout(1500)
    assert not again.get_by_role("status", name="Thank you").count()


def test_the_panel_holds_what_was_sent_and_the_page_is_told(shop, site, visit, secret, rule):
    page = visit(site.page(settings_of(shop, "collector", secret, hide_notifications=True)))
    page.wait_for_function("() => window.Intercom.booted")
    page.evaluate(
        "window.said = []; Intercom('onShow', () => said.push('show')); Intercom('onHide', () => said.push('hide'));"
        "Intercom('onUnreadCountChange', n => said.push(n));"
    )
    page.evaluate(
        "Intercom('trackEvent', 'bought-pen', {item: 'one'}); Intercom('trackEvent', 'bought-pen', {item: 'two'})"
    )
    page.get_by_role("button", name="Messages, 2 unread").wait_for(timeout=8000)
    assert not page.get_by_role("status").count()
    page.get_by_role("button", name="Messages, 2 unread").press("Enter")
    panel = page.get_by_role("dialog", name="Messages")
    assert "one" in panel.inner_text()
    assert "two" in panel.inner_text()
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Messages").evaluate(
        "element => element === element.getRootNode().activeElement"
    )
    said = page.evaluate("window.said")
    assert [one for one in said if isinstance(one, str)] == ["show", "hide"]
    assert [one for one in said if isinstance(one, int)][-1] == 0


def test_updates_are_limited_as_documented(shop, site, visit):
    page = visit(site.page(settings_of(shop, "updater")))
    page.wait_for_function("() => window.Intercom.booted")
    visit.aloud.append("update was called more than 20 times")
    page.evaluate("for (let n = 0; n < 25; n += 1) Intercom('update', {visits: n})")
    attributes = "select custom_attributes from eventsapp_contact where external_id = 'updater'"
    wait_for(lambda: asked(shop, attributes) == [('{"visits": 19}',)], 5, "the last update that was heard")
    assert len([said for said in visit.complaints if "update was called" in said]) == 5


@pytest.mark.parametrize(
    "path", ["unknown", "startTour", "showArticle", "whoami", "constructor", "__proto__", "hasOwnProperty"]
)
def test_what_is_not_ours_quietly_does_nothing(shop, site, visit, path):
    page = visit(site.page(settings_of(shop, "calm")))
    page.wait_for_function("() => window.Intercom.booted")
    assert page.evaluate(f"Intercom({path!r}, 1)") is None
    assert re.search("booted", page.evaluate("Object.keys(window.Intercom).join()"))


def test_in_the_demo_shop_a_click_is_an_event_a_segment_and_a_message(shop, visit):
    assert shop.request("GET", "/demo-shop/")[0] == 404
    kept = json.loads(shop.python("import json; from messaging import demo; print(json.dumps(demo.set_up()))"))
    for width, scheme in ((390, "dark"), (1440, "light")):
        page = visit(f"{shop.url}/demo-shop/", viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.get_by_role("button", name="Add to cart").first.click()
        page.get_by_role("status", name="The lamp is in your cart").wait_for(timeout=5000)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert faults_of(page) == []
    shopper = page.locator("header code").first.inner_text()
    page.get_by_role("link", name="Filled a cart").click()
    page.get_by_label("Email").fill(kept["email"])
    page.get_by_label("Password").fill(kept["password"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="You, in the demo shop").first.wait_for()
    assert page.locator("#count").inner_text().startswith("2 people")
    page.get_by_role("link", name="You, in the demo shop").first.click()
    assert shopper.startswith("shopper-")
    page.get_by_text("A word about your cart").first.wait_for()


@pytest.mark.parametrize(
    ("first", "next_", "owner"),
    [
        ("", "Intercom('shutdown');", None),
        ("user_id: 'anna'", "Intercom('shutdown');", "anna"),
        ("user_id: 'berta'", "", "berta"),
        ("user_id: 'carla', name: 'C'", "", "carla"),
    ],
    ids=["visitor", "user, logged out", "user, not logged out", "with a name"],
)
@pytest.mark.parametrize("then", ["user_id: 'another'", ""], ids=["another", "nobody"])
def test_what_somebody_did_offline_is_theirs_whoever_comes_next(shop, site, visit, first, next_, owner, then):
    name = f"own-{owner or 'nobody'}-{len(then)}-{len(next_)}"
    page = visit(site.page(None))
    visit.aloud += ["ERR_FAILED", "ERR_INTERNET_DISCONNECTED"]
    page.wait_for_function("() => window.Intercom && window.Intercom.isEventsapp")
    page.route("**/widget/*/boot", lambda route: route.abort())
    page.evaluate(
        f"Intercom('boot', {{app_id: {shop.app_id!r}, {first}}}); Intercom('trackEvent', {name!r});"
        f"{next_} Intercom('boot', {{app_id: {shop.app_id!r}, {then}}}); 0"
    )
    page.wait_for_timeout(300)
    page.unroute("**/widget/*/boot")
    wait_for(lambda: number_of(shop, name) == 1, 15, "the event")
    page.wait_for_timeout(500)
    [[who, role, *_]] = events_of(shop, name)
    assert (who, role) == (owner, "user") if owner else role == "visitor"


def test_two_jwts_are_two_people(shop, site, visit, secret):
    import jwt

    anna, berta = (jwt.encode({"user_id": who}, secret, algorithm="HS256") for who in ("jwt-anna", "jwt-berta"))
    page = visit(site.page(None))
    page.wait_for_function("() => window.Intercom && window.Intercom.isEventsapp")
    page.evaluate(
        f"for (const [name, jwt] of [['jwt-a', {anna!r}], ['jwt-b', {berta!r}]]) {{"
        f"Intercom('boot', {{app_id: {shop.app_id!r}, intercom_user_jwt: jwt}}); Intercom('trackEvent', name); }}"
    )
    for name, who in (("jwt-a", "jwt-anna"), ("jwt-b", "jwt-berta")):
        wait_for(lambda name=name: events_of(shop, name), 5, "the event")
        assert events_of(shop, name) == [[who, "user", "browser-verified", {}]]


def test_odd_calls_hold_up_nothing(shop, site, visit):
    script = (
        "Intercom('show'); Intercom('hide'); Intercom(); Intercom('shutdown'); Intercom('onShow', 7);"
        "Intercom('update', {big: 10n, ok: 1}); Intercom('trackEvent'); Intercom('trackEvent', '');"
        "const round = {}; round.round = round; Intercom('trackEvent', 'round', round);"
        "Intercom('trackEvent', 'wide', {t: '漢'.repeat(25000)}); Intercom('trackEvent', 'after-all');"
    )
    page = visit(site.page(settings_of(shop, "odd"), script))
    visit.aloud += ["big cannot be sent", "needs the name", "round cannot be sent", "wide was refused", "custom attrib"]
    wait_for(lambda: events_of(shop, "after-all"), 10, "the event after all these")
    assert page.evaluate("Intercom.booted")


def test_a_page_whose_browser_keeps_nothing_works_while_it_is_open(shop, site, visit):
    page = visit(site.page(settings_of(shop, "forgetful")))
    page.context.add_init_script(
        "Object.defineProperty(document, 'cookie', {get() { throw new Error('none'); }, set() { throw new Error('none'); }});"
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none'); }});"
    )
    page.reload()
    page.wait_for_function("() => window.Intercom.booted")
    page.evaluate(
        "Intercom('trackEvent', 'kept-nothing'); Intercom('update', {ok: true}); Intercom('trackEvent', 'kept-nothing')"
    )
    wait_for(lambda: number_of(shop, "kept-nothing") == 2, 5, "both")
