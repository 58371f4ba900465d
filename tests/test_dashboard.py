"""Home, the search for everything, and the pages that say what is wrong."""

import re
import time
import uuid

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from eventsapp import views
from eventsapp.ingest import event_type
from eventsapp.models import ApiRequest, Contact, EventType, HandOver, Heartbeat
from eventsapp.volumes import roll_up
from messaging.models import AutoMessage, Delivery
from segments.models import Segment
from segments.urlstate import encode

pytestmark = pytest.mark.django_db

DAY = 86_400
ORDERED = {"kind": "event", "event": "placed-order", "did": True}


def definition(*conditions):
    return {"version": 1, "match": "all", "conditions": list(conditions)}


def text(response) -> str:
    """What is to be read on a page, without its side bar."""
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", main).replace("&#x27;", "'").split())


def attention(client, shop) -> dict[str, str]:
    """What needs attention: sentence → address."""
    page = client.get(reverse("dashboard", args=[shop.app_id])).content.decode()
    lists = "".join(re.findall(r'<ul class="attention">(.*?)</ul>', page, re.S))
    return {
        words: address.replace("&amp;", "&") for address, words in re.findall(r'<a href="([^"]+)">(.*?)</a>', lists)
    }


def deliver(rule, contact, state="sent", **fields):
    event = {"event_name": rule.trigger.name, "created_at": 1760000000, "metadata": {}}
    return Delivery.objects.create(
        message=rule, contact=contact, event_id=uuid.uuid4(), event=event, state=state, **fields
    )


@pytest.fixture
def rule(shop):
    return AutoMessage.objects.create(
        workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"), subject="Hi", body="Hi", state="live"
    )


# Home ----------------------------------------------------------------------------------------------------------------


def test_home_is_where_everything_begins(viewer, shop):
    home = reverse("dashboard", args=[shop.app_id])
    assert home == f"/app/{shop.app_id}/"
    for address in ("/", "/app/"):
        assert viewer.get(address).url == home
    assert viewer.get("/app/people/").url == reverse("people", args=[shop.app_id])
    assert shop.get_absolute_url() == home


def test_one_section_is_where_you_are(viewer, shop, buyer):
    for name, here in [("dashboard", ["Home"]), ("people", ["People"]), ("live", ["Events"]), ("search", [])]:
        page = viewer.get(reverse(name, args=[shop.app_id])).content.decode()
        assert re.findall(r'aria-current="page">.*?</svg> (.*?)</a>', page) == here
    assert 'aria-current="page"' in viewer.get(buyer.get_absolute_url()).content.decode()


def test_home_tells_how_much_happened_and_who_is_new(viewer, shop, other_shop, buyer, person, does):
    does(buyer, "placed-order", times=3, metadata={"total": {"amount": 4900, "currency": "usd"}})
    does(buyer, "opened-app", days_ago=3, times=2)
    does(buyer, "opened-app", days_ago=40)
    roll_up(timezone.now())
    does(buyer, "opened-app", days_ago=1)
    does(person("stranger", workspace=other_shop), "placed-order", times=5)
    long_ago = person("old")
    Contact.objects.filter(pk=long_ago.pk).update(created_at=int(time.time()) - 8 * DAY)
    Contact.objects.filter(pk=buyer.pk).update(created_at=int(time.time()) - 9 * DAY)
    person("new", email="new@example.org")
    person("gone", archived_at=1)
    person("seen", role="visitor")
    response = viewer.get(reverse("dashboard", args=[shop.app_id]))
    page = response.content.decode()
    assert "6 events, at most 3 a day" in text(response)
    assert page.partition("<main")[2].count("<rect") == 30
    assert "In all 3" in text(response)
    assert "New in 7 days 1" in text(response)
    assert "49.00 USD" in page
    assert "stranger" not in page
    # The number leads to the very people that it counts.
    link = re.search(r'New in 7 days</dt><dd><a href="([^"]+)"', page)[1]
    assert "new@example.org" in viewer.get(link).content.decode()
    assert "<strong>1</strong> person match" in viewer.get(link).content.decode()


def test_home_shows_the_latest_events_and_who_did_them(viewer, shop, buyer, does):
    does(buyer, "opened-app", times=9)
    does(buyer, "placed-order")
    page = viewer.get(reverse("dashboard", args=[shop.app_id])).content.decode()
    latest = page.partition("Latest events")[2].partition("</section>")[0]
    assert latest.count("<li>") == 6
    assert latest.index("placed-order") < latest.index("opened-app")
    assert buyer.get_absolute_url() in latest
    assert reverse("live", args=[shop.app_id]) in latest


def test_home_shows_the_segments_changed_last_and_asks_for_their_sizes_later(viewer, shop, buyer, does):
    does(buyer, "placed-order")
    for number in range(7):
        Segment.objects.create(workspace=shop, name=f"Segment {number}", definition=definition(ORDERED))
    Segment.objects.get(name="Segment 6").archive()
    page = viewer.get(reverse("dashboard", args=[shop.app_id])).content.decode()
    assert re.findall(r">(Segment \d)<", page) == [f"Segment {number}" for number in (5, 4, 3, 2, 1)]
    [*counts] = re.findall(r'hx-get="([^"]+/count/)"', page)
    assert viewer.get(counts[0]).content.decode().split()[0] == "1"


def test_home_tells_what_was_sent_and_what_was_not(viewer, shop, buyer, does, rule):
    does(buyer, "placed-order")
    for state in ("sent", "sent", "failed", "skipped", "held", "queued"):
        deliver(rule, buyer, state)
    old = deliver(rule, buyer, "sent")
    Delivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timezone.timedelta(days=31))
    told = text(viewer.get(reverse("dashboard", args=[shop.app_id])))
    assert "Sent 2 Not sent 3 of these failed 1 On their way 1" in told
    assert "1 live auto message" in told


def test_a_newcomer_is_told_the_next_three_steps(viewer, shop):
    response = viewer.get(reverse("dashboard", args=[shop.app_id]))
    page = response.content.decode()
    assert "curl -i" in page
    assert page.partition("steps")[2].partition("</ol>")[0].count("<li>") == 3
    for name in ("settings", "live", "people", "messages"):
        assert reverse(name, args=[shop.app_id]) in page.partition("<main")[2]
    assert "needs attention" not in page


def test_home_asks_few_questions_however_much_there_is(
    viewer, shop, buyer, person, does, django_assert_max_num_queries, django_assert_num_queries
):
    def fill(number):
        for one in range(number):
            ada = person(f"person-{one}-{number}")
            does(ada, f"event-{one}-{number}", times=3)
            tag = shop.tags.create(name=f"tag {one} {number}")
            conditions = [ORDERED, {"kind": "tag", "tag": tag.pk, "op": "has"}]
            if inner := shop.segments.first():
                conditions.append({"kind": "segment", "segment": inner.pk, "op": "in"})
            Segment.objects.create(workspace=shop, name=f"S {one} {number}", definition=definition(*conditions))
            rule = AutoMessage.objects.create(
                workspace=shop, name=f"R {one}", trigger=event_type(shop, f"never-{one}"), subject="s", state="live"
            )
            deliver(rule, ada, "failed")

    address = reverse("dashboard", args=[shop.app_id])
    fill(2)
    viewer.get(address)
    with django_assert_max_num_queries(22) as asked:
        viewer.get(address)
        number = len(asked)
    fill(12)
    viewer.get(address)
    with django_assert_num_queries(number):
        page = viewer.get(address).content.decode()
    assert "And more" in page


# What needs attention ------------------------------------------------------------------------------------------------


def test_when_nothing_is_wrong_one_calm_line_says_so(viewer, shop, buyer, does, rule):
    does(buyer, "placed-order")
    Delivery.objects.all().delete()
    HandOver.objects.all().delete()
    assert attention(viewer, shop) == {}
    assert "Nothing: messages go out" in text(viewer.get(reverse("dashboard", args=[shop.app_id])))


def test_a_standstill_is_told_once(viewer, shop, buyer, does, rule):
    deliver(rule, buyer, "queued", due_at=timezone.now() - timezone.timedelta(minutes=5))
    does(buyer, "placed-order")
    cache.clear()
    page = viewer.get(reverse("dashboard", args=[shop.app_id])).content.decode()
    assert page.count("Messages are standing still") == 1
    Heartbeat.beat("work")
    cache.clear()
    assert attention(viewer, shop) == {}


def test_refused_requests_of_the_last_hour_need_attention(viewer, shop, other_shop):
    def ask(status, minutes_ago, workspace=shop):
        at = timezone.now() - timezone.timedelta(minutes=minutes_ago)
        ApiRequest.objects.create(
            workspace=workspace, request_id=uuid.uuid4(), at=at, method="POST", path="/events", status=status
        )

    ask(202, 1)
    ask(422, 61)
    ask(400, 1, other_shop)
    assert attention(viewer, shop) == {}
    ask(422, 59)
    [(words, address)] = attention(viewer, shop).items()
    assert words == "One API request was refused in the last hour."
    assert '<span class="pill failed">422</span>' in viewer.get(address).content.decode()
    ask(400, 5)
    assert list(attention(viewer, shop)) == ["2 API requests were refused in the last hour."]


def test_failed_deliveries_of_the_last_day_need_attention(viewer, shop, buyer, rule, does):
    does(buyer, "placed-order")
    deliver(rule, buyer, "failed", due_at=timezone.now() - timezone.timedelta(hours=25))
    deliver(rule, buyer, "skipped")
    assert attention(viewer, shop) == {}
    # It was tried for a day before it was given up.
    late = deliver(rule, buyer, "failed")
    Delivery.objects.filter(pk=late.pk).update(created_at=timezone.now() - timezone.timedelta(hours=30))
    [(words, address)] = attention(viewer, shop).items()
    assert words == "One delivery failed in the last 24 hours."
    assert "Ada Buyer" in viewer.get(address).content.decode()


def test_events_that_could_not_be_matched_need_attention(viewer, shop, buyer, does, rule):
    EventType.objects.update(watched=True)
    does(buyer, "placed-order", times=2)
    HandOver.objects.update(parked_at=timezone.now())
    [(words, address)] = attention(viewer, shop).items()
    assert words == "2 events could not be matched with the messages."
    assert "could not be matched" in viewer.get(address).content.decode()


def test_a_live_rule_whose_event_stays_away_needs_attention(viewer, shop, buyer, does, rule):
    assert attention(viewer, shop) == {
        "“Thanks” is live, but placed-order has never been seen.": rule.get_absolute_url()
    }
    does(buyer, "placed-order", days_ago=65)
    assert list(attention(viewer, shop)) == ["“Thanks” is live, but placed-order was last seen 2\xa0months ago."]
    AutoMessage.objects.update(state="paused")
    assert attention(viewer, shop) == {}
    AutoMessage.objects.update(state="live")
    does(buyer, "placed-order", days_ago=29)
    assert attention(viewer, shop) == {}


def test_a_segment_that_cannot_be_asked_any_more_needs_attention(viewer, shop, rule, buyer, does):
    does(buyer, "placed-order")
    vip = shop.tags.create(name="vip")
    conditions = [
        {"kind": "tag", "tag": vip.pk, "op": "has"},
        {"kind": "message", "message": rule.pk, "state": "sent"},
        ORDERED,
    ]
    inner = Segment.objects.create(workspace=shop, name="Inner", definition=definition(*conditions))
    within = {"kind": "segment", "segment": inner.pk, "op": "in"}
    outer = Segment.objects.create(workspace=shop, name="Outer", definition=definition(within))
    Segment.objects.create(workspace=shop, name="Fine", definition=definition(ORDERED))
    assert attention(viewer, shop) == {}
    vip.delete()
    found = attention(viewer, shop)
    assert list(found.values()) == [inner.get_absolute_url(), outer.get_absolute_url()]
    assert "The segment “Inner” cannot be asked any more. No tag here has the id" in next(iter(found))
    Segment.objects.filter(pk=inner.pk).update(definition={"version": 1, "conditions": [[], {"kind": []}]})
    assert len(attention(viewer, shop)) == 2


# The search ----------------------------------------------------------------------------------------------------------


def search(client, shop, words) -> dict[str, list[str]]:
    """What the dialog shows: kind → names."""
    answer = client.get(reverse("search", args=[shop.app_id]), {"words": words}, headers={"hx-request": "true"})
    found = re.findall(r"<section><h2>(.*?)</h2>(.*?)</section>", answer.content.decode(), re.S)
    return {kind: re.findall(r"<span>(.*?)</span>", links) for kind, links in found}


@pytest.fixture
def many_things(shop, other_shop, person, does, rule):
    ada = person("ada-1", name="Ada Lovelace", email="ada@example.org")
    does(ada, "placed-order")
    does(ada, "adapted-plan")
    Segment.objects.create(workspace=shop, name="Écoles d’Ada", definition=definition(ORDERED))
    AutoMessage.objects.create(
        workspace=shop, name="Hello Ada", trigger=event_type(shop, "signed-up"), subject="s", body="b"
    )
    theirs = person("ada-2", name="Ada Next Door", workspace=other_shop)
    does(theirs, "adapted-theirs")
    Segment.objects.create(workspace=other_shop, name="Their Ada", definition=definition(ORDERED))
    AutoMessage.objects.create(
        workspace=other_shop, name="Their Ada", trigger=event_type(other_shop, "x"), subject="s", body="b"
    )
    return ada


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (
            "ada",
            {
                "People": ["Ada Lovelace"],
                "Events": ["adapted-plan"],
                "Segments": ["Écoles d’Ada"],
                "Auto messages": ["Hello Ada"],
            },
        ),
        ("ÉCOLES", {"Segments": ["Écoles d’Ada"]}),
        ("ada@ex", {"People": ["Ada Lovelace"]}),
        ("Placed.Order", {"Events": ["placed-order"]}),
        ("tokens", {"Pages": ["Settings"]}),
        ("api ref", {"Pages": ["API reference"]}),
        ("%", {}),
        ("<script>", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_search_finds_everything_of_the_workspace_by_words(viewer, shop, many_things, words, found):
    assert search(viewer, shop, words) == found


def test_without_words_the_search_leads_to_every_page(viewer, shop, many_things):
    found = search(viewer, shop, "  ")
    assert list(found) == ["Pages"]
    assert {"Home", "People", "Segments", "Events", "Auto messages", "Settings"} <= set(found["Pages"])


def test_the_search_takes_an_exact_id_and_shows_a_few(viewer, shop, many_things, person):
    assert search(viewer, shop, many_things.public_id) == {"People": ["Ada Lovelace"]}
    for number in range(9):
        person(f"bob-{number}")
    found = search(viewer, shop, "bob-")["People"]
    assert found == ["bob-8", "bob-7", "bob-6", "bob-5", "bob-4", "More people"]


def test_what_is_archived_is_not_found(viewer, shop, many_things):
    Segment.objects.get(workspace=shop).archive()
    EventType.objects.update(archived_at=timezone.now())
    Contact.objects.update(archived_at=1)
    assert search(viewer, shop, "ada") == {"Auto messages": ["Hello Ada"]}


def test_the_search_is_a_page_of_its_own_without_javascript(viewer, shop, many_things):
    page = viewer.get(reverse("search", args=[shop.app_id]), {"words": 'ada "'}).content.decode()
    assert 'value="ada &quot;"' in page
    assert "Nothing here is called “ada &quot;”" in page
    page = viewer.get(reverse("search", args=[shop.app_id]), {"words": "lovelace"}).content.decode()
    assert "Ada Lovelace" in page
    page = viewer.get(reverse("search", args=[shop.app_id]), {"words": "ada"}).content.decode()
    assert many_things.get_absolute_url() in page
    # Every page leads there.
    assert f'action="{reverse("search", args=[shop.app_id])}"' in viewer.get("/", follow=True).content.decode()


def test_a_search_asks_few_questions(viewer, shop, many_things, django_assert_max_num_queries):
    search(viewer, shop, "ada")
    with django_assert_max_num_queries(9):
        search(viewer, shop, "ada")


# When something is wrong ---------------------------------------------------------------------------------------------


def test_what_is_not_there_leaves_the_way_back(viewer, staff, other_shop, client, shop):
    for address in ("segments/999/", "no/such/page/"):
        response = viewer.get(f"/app/{shop.app_id}/{address}")
        assert response.status_code == 404
        assert "There is nothing here" in response.content.decode()
        assert reverse("people", args=[shop.app_id]) in response.content.decode()
    # To strangers it is as if the workspace were not there either.
    stranger = staff("admin", other_shop)
    assert shop.name not in stranger.get(f"/app/{shop.app_id}/no/such/page/").content.decode()
    assert "There is nothing here" in client.get(f"/app/{shop.app_id}/no/such/page/").content.decode()


def test_who_may_not_is_told_who_may_and_keeps_the_side_bar(viewer, shop):
    response = viewer.post(reverse("make_token", args=[shop.app_id]))
    assert response.status_code == 403
    page = response.content.decode()
    assert "needs the role Admin" in page
    assert reverse("people", args=[shop.app_id]) in page


def test_a_form_that_was_open_for_too_long_leads_back_to_its_page(editor, shop):
    client = Client(enforce_csrf_checks=True)
    client.cookies = editor.cookies
    own = f"http://testserver{reverse('people', args=[shop.app_id])}"
    address = reverse("new_segment", args=[shop.app_id])
    response = client.post(address, {"name": "x"}, headers={"referer": own})
    assert response.status_code == 403
    assert "open for too long" in response.content.decode()
    assert f'href="{own}"' in response.content.decode()
    response = client.post(address, {"name": "x"}, headers={"referer": "https://evil.example/"})
    assert "evil.example" not in response.content.decode()


def test_when_something_breaks_the_page_needs_nothing_that_may_be_broken(rf, django_assert_num_queries):
    request = rf.get("/app/people/")
    request.request_id = "3f6c"
    with django_assert_num_queries(0):
        response = views.server_error(request)
    page = response.content.decode()
    assert response.status_code == 500
    assert "Something broke here" in page
    assert "3f6c" in page
    assert "app.css" in page


def test_who_guesses_passwords_is_told_that_it_is_locked(settings, client, staff):
    settings.AXES_ENABLED = True
    email = staff("viewer").user.email
    for _ in range(10):
        response = client.post("/login/", {"username": email, "password": "wrong"})
    assert response.status_code == 429
    page = response.content.decode()
    assert "Too many tries" in page
    assert email in page
    assert client.post("/login/", {"username": email, "password": "correct horse"}).status_code == 429


@pytest.mark.parametrize("trusted", [True, False])
def test_who_guesses_passwords_behind_a_trusted_proxy_locks_out_nobody_else(settings, client, staff, trusted):
    settings.AXES_ENABLED, settings.TRUST_PROXY = True, trusted
    email = staff("viewer").user.email
    for number in range(10):
        # What the client writes itself comes first, whatever it is.
        guesser = {"X-Forwarded-For": f"198.51.100.{number}, 192.0.2.7"}
        client.post("/login/", {"username": email, "password": "wrong"}, headers=guesser)
    known = {"username": email, "password": "correct horse"}
    assert client.post("/login/", known, headers=guesser).status_code == 429
    status = client.post("/login/", known, headers={"X-Forwarded-For": "192.0.2.8"}).status_code
    assert status == (302 if trusted else 429)


# Empty lists ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_would_be_there(viewer, shop, rule):
    address = reverse("deliveries", args=[shop.app_id])
    assert "one for each event that a live message answers" in text(viewer.get(address))
    assert "No delivery like that" in text(viewer.get(address, {"state": "sent"}))
    EventType.objects.update(archived_at=timezone.now())
    assert "All are archived" in text(viewer.get(reverse("events", args=[shop.app_id])))


def test_attributes_in_the_table_of_people_read_as_people_write(viewer, shop, person):
    person("ada", plan={"a": [True]}, vip=True, renewal_at=1760000000)
    fields = [f"custom_attributes.{name}" for name in ("plan", "vip", "renewal_at")]
    conditions = [{"kind": "attribute", "field": field, "op": "known"} for field in fields]
    page = viewer.get(reverse("people", args=[shop.app_id]), {"q": encode(definition(*conditions))}).content.decode()
    assert re.findall(r'<span class="pill">(.*?)</span>', page) == ["a: (true)", "true", "9 Oct 2025"]


# What the browser remembers ------------------------------------------------------------------------------------------


def test_colours_and_keys_are_chosen_before_anything_is_painted(viewer, shop, client):
    for page in (viewer.get("/", follow=True), client.get("/login/")):
        head = page.content.decode().partition("</head>")[0]
        assert head.index("ui/early.js") < head.index("ui/app.css")
    home = viewer.get("/", follow=True).content.decode()
    assert re.findall(r'<option value="(\w*)">', home.partition('data-choice="theme"')[2]) == ["", "light", "dark"]
    assert 'data-choice="keys"' in viewer.get(reverse("people", args=[shop.app_id])).content.decode()
    assert 'data-choice="keys"' in viewer.get(reverse("settings", args=[shop.app_id])).content.decode()
