"""The staff's pages over HTTP: who may see what, and that every page shows what it should."""

import json
import re
import time
import uuid

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone
from pyroaring import BitMap

from eventsapp.ingest import event_type
from eventsapp.models import ApiRequest, ApiToken, Contact, Heartbeat, Invitation, Membership, Tag
from eventsapp.uploads import upload
from messaging.models import AutoMessage, Delivery, Sender, Subscription, Suppression
from segments import tagging
from segments.models import Segment
from segments.urlstate import encode

pytestmark = pytest.mark.django_db


def definition(*conditions):
    return {"version": 1, "match": "all", "conditions": list(conditions)}


OF_A_PERSON = ("person", "edit_person", "tag_person", "export_person", "delete_person", "person_segments")
ORDERED = {"kind": "event", "event": "placed-order", "did": True}


@pytest.fixture
def things(shop, buyer, does):
    """One of everything in the shop: what its addresses are made of."""
    does(buyer, "placed-order", metadata={"code": "C-7"})
    segment = Segment.objects.create(workspace=shop, name="Buyers", definition=definition(ORDERED))
    rule = AutoMessage.objects.create(
        workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"), subject="Hi", body="Hi"
    )
    delivery = Delivery.objects.create(
        message=rule,
        contact=buyer,
        event_id="9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10",
        event={"event_name": "placed-order", "created_at": 1760000000, "metadata": {"code": "C-7"}},
        body="<p>secret body</p>",
    )
    token, _ = ApiToken.make(workspace=shop, name="app")
    colleague = get_user_model().objects.create(username="colleague")
    run = tagging.ask(Tag.objects.create(workspace=shop, name="VIP"), BitMap(), adds=True, question="", asked_by=None)
    asked = ApiRequest.objects.create(
        workspace=shop, request_id=uuid.uuid4(), at=timezone.now(), method="POST", path="/events", status=202
    )
    return {
        "segment": segment.pk,
        "segment_count": segment.pk,
        "tag_run": run.pk,
        "auto_message": rule.pk,
        "message_versions": rule.pk,
        "dead_letters": rule.pk,
        "delivery": delivery.pk,
        "delivery_body": delivery.pk,
        "revoke_token": token.pk,
        "live_request": asked.pk,
        "event_type": rule.trigger.pk,
        "people_import": (run := upload(shop, "people.csv", [b"email\n", b"ada@example.org\n"], by=colleague)).pk,
        "people_import_refused": run.pk,
        "remove_sender": Sender.objects.create(workspace=shop, email="shop@example.org").pk,
        "remove_identity_secret": shop.identity_secrets.create().pk,
        "lift_suppression": Suppression.objects.create(workspace=shop, email="gone@example.org", reason="bounce").pk,
        "webhook": Subscription.objects.create(workspace=shop, url="https://example.org/hook").pk,
        "attribute": shop.attributes.create(name="plan", data_type="string").pk,
        "change_colleague": Membership.objects.create(user=colleague, workspace=shop).pk,
    } | dict.fromkeys(OF_A_PERSON, buyer.public_id)


def workspace_patterns(patterns=None):
    """The name and own parameters of every URL pattern below /app/<app_id>/."""
    for pattern in patterns or get_resolver().url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from workspace_patterns(pattern.url_patterns)
        elif re.match(r"\^?app/", route := str(pattern.pattern)) and "app_id" in (
            parameters := set(re.findall(r"[<:](\w+)>", route))
        ):
            yield pattern.name, parameters - {"app_id"}


def addresses(app_id, things):
    for name, parameters in workspace_patterns():
        own = dict.fromkeys(parameters, things.get(name))
        yield name, reverse(name, kwargs={"app_id": app_id} | own)


def test_every_address_of_another_workspace_is_404(staff, shop, other_shop, things):
    stranger = staff("admin", other_shop)
    get_user_model().objects.filter(pk=stranger.user.pk).update(is_superuser=True)
    walked = 0
    for name, address in addresses(shop.app_id, things):
        for method in ("get", "post"):
            status = getattr(stranger, method)(address).status_code
            # A method that a page does not take says so to everybody.
            assert status in (404, 405), f"{method} {name} answers {status}"
            assert status == 404 or (method == "get")
        walked += 1
    assert walked >= 20


def test_ids_of_another_workspace_are_404_below_ones_own_address(staff, other_shop, things):
    stranger = staff("admin", other_shop)
    for name, address in addresses(other_shop.app_id, things):
        if name in things:
            answers = {stranger.get(address).status_code, stranger.post(address).status_code}
            assert 404 in answers and answers <= {404, 405}, name


def test_api_ids_of_another_workspace_are_404(client, other_shop, buyer):
    secret = ApiToken.make(workspace=other_shop, name="theirs", scope="admin")[1]
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get(f"/contacts/{buyer.public_id}", headers=headers).status_code == 404
    assert client.get(f"/events?type=user&intercom_user_id={buyer.public_id}", headers=headers).status_code == 404
    event = {"event_name": "x", "created_at": 1760000000, "id": buyer.public_id}
    assert client.post("/events", event, content_type="application/json", headers=headers).status_code == 404
    preview = {"definition": definition({"kind": "attribute", "field": "email", "op": "known"})}
    answer = client.post("/segments/preview", preview, content_type="application/json", headers=headers)
    assert answer.json() == {"count": 0, "contacts": []}


def test_without_a_login_every_page_leads_to_it(client, shop, things):
    for name, address in addresses(shop.app_id, things):
        response = client.get(address)
        assert response.status_code in (302, 405), name
        if response.status_code == 302:
            assert response["Location"].startswith("/login/?next=")
    response = client.get(reverse("people", args=[shop.app_id]), headers={"hx-request": "true"})
    assert response["HX-Redirect"].startswith("/login/")


def test_every_page_opens_for_an_admin_and_changes_nothing_by_get(admin, shop, things):
    before = [list(model.objects.values()) for model in (Segment, AutoMessage, Delivery, ApiToken, Contact)]
    for name, address in addresses(shop.app_id, things):
        response = admin.get(address)
        assert response.status_code in (200, 405), name
    assert before == [list(model.objects.values()) for model in (Segment, AutoMessage, Delivery, ApiToken, Contact)]


CHANGES = [
    ("new_segment", "editor", {"name": "New", "definition": json.dumps(definition(ORDERED))}),
    ("segment", "editor", {"name": "Renamed", "definition": json.dumps(definition(ORDERED))}),
    ("new_message", "editor", {"name": "New", "event": "x", "frequency": "once", "subject": "s", "body": "b"}),
    ("auto_message", "editor", {"name": "New", "event": "x", "frequency": "once", "subject": "s", "body": "b"}),
    ("message_preview", "editor", {"event": "x", "subject": "s", "body": "b"}),
    ("message_build", "editor", {"event": "x", "act": "add  event"}),
    ("message_promise", "editor", {"event": "x"}),
    ("dead_letters", "editor", {"state": "held", "action": "cancel"}),
    ("delivery", "editor", {}),
    ("person", "editor", {"action": "archive"}),
    ("tag_person", "editor", {"name": "VIP"}),
    ("delete_person", "admin", {"confirm": "buyer@example.org"}),
    (
        "change_workspace",
        "admin",
        {"name": "New", "time_zone": "UTC", "unknown_people": "create", "rate_limit": 9, "event_name_limit": 0},
    ),
    ("make_token", "admin", {"token-name": "x", "token-scope": "read"}),
    ("revoke_token", "admin", {}),
    ("invite", "admin", {"invite-role": "viewer"}),
    ("add_identity_secret", "admin", {}),
    ("remove_identity_secret", "admin", {}),
    ("change_identity", "admin", {"enforces_identity": "on", "protected_attributes": "plan"}),
    (
        "change_look",
        "admin",
        {
            "alignment": "left",
            "horizontal_padding": 1,
            "vertical_padding": 1,
            "action_color": "#000000",
            "theme_mode": "dark",
        },
    ),
    ("change_policy", "admin", {"policy-most": "3", "policy-most_days": "7"}),
    ("new_webhook_secret", "admin", {}),
    ("add_sender", "admin", {"sender-name": "New", "sender-email": "new@example.org"}),
    ("remove_sender", "admin", {}),
    ("lift_suppression", "editor", {}),
    ("webhooks", "admin", {"new-url": "https://example.org/hook", "new-event_names": "placed-order"}),
    ("webhook", "admin", {"act": "delete"}),
    ("attribute", "admin", {"data_type": "string", "description": "New"}),
]


@pytest.mark.parametrize(("name", "role", "data"), CHANGES, ids=[name for name, *_ in CHANGES])
def test_a_change_needs_its_role(staff, shop, things, name, role, data):
    address = dict(addresses(shop.app_id, things))[name]
    roles = ["viewer", "editor", "admin"]
    for lower in roles[: roles.index(role)]:
        response = staff(lower).post(address, data)
        assert response.status_code == 403
        assert role.title() in response.content.decode()
    assert staff(role).post(address, data).status_code in (200, 302)


# The way in --------------------------------------------------------------------------------------------------------------


def test_staff_log_in_by_email_and_land_where_they_were_last(client, shop, other_shop, staff):
    user = staff("editor").user
    late = Membership.objects.create(user=user, workspace=other_shop, role="viewer")
    Membership.objects.filter(pk=late.pk).update(last_used_at=timezone.now())
    response = client.post("/login/", {"username": user.email.upper(), "password": "correct horse"}, follow=True)
    assert response.redirect_chain[-1][0] == reverse("dashboard", args=[other_shop.app_id])
    assert client.get("/app/segments/", follow=True).redirect_chain[-1][0] == reverse(
        "segments", args=[other_shop.app_id]
    )
    assert client.get("/app/people/?search=ada").url == reverse("people", args=[other_shop.app_id]) + "?search=ada"
    # The switcher leads to the other one.
    assert reverse("dashboard", args=[shop.app_id]) in client.get("/", follow=True).content.decode()


def test_somebody_without_a_workspace_is_told_what_to_do(client, django_user_model):
    client.force_login(
        django_user_model.objects.create_user("lone@example.org"), backend="django.contrib.auth.backends.ModelBackend"
    )
    assert "invitation" in client.get("/").content.decode()


def test_an_invitation_makes_one_colleague_once(admin, client, shop):
    page = admin.post(reverse("invite", args=[shop.app_id]), {"invite-role": "editor"}).content.decode()
    [link] = re.findall(r"/invite/[\w-]+/", page)
    assert Invitation.objects.get().digest not in link
    page = client.get(link)
    assert page.status_code == 200
    assert "The Shop" in page.content.decode()
    weak = client.post(link, {"email": "new@example.org", "password": "short"})
    assert weak.status_code == 422
    assert 'value="new@example.org"' in weak.content.decode()
    joined = client.post(link, {"email": "New@example.org", "password": "a long pass phrase"})
    assert joined.status_code == 302
    assert Membership.objects.get(user__email="new@example.org").role == "editor"
    assert client.get(reverse("people", args=[shop.app_id])).status_code == 200
    assert Client().get(link).status_code == 404


def test_the_last_admin_stays(admin, shop):
    own = Membership.objects.get(user=admin.user)
    address = reverse("change_colleague", args=[shop.app_id, own.pk])
    for data in ({"remove": "1"}, {"role": "viewer"}):
        assert "last admin" in admin.post(address, data, follow=True).content.decode()
    own.refresh_from_db()
    assert own.role == "admin"


def test_a_tokens_secret_is_shown_once_and_works_until_it_is_revoked(admin, client, shop):
    made = admin.post(reverse("make_token", args=[shop.app_id]), {"token-name": "web", "token-scope": "write"})
    [secret] = re.findall(r"ev_[\w-]{30,}", made.content.decode())
    assert secret not in admin.get(reverse("settings", args=[shop.app_id])).content.decode()
    token = ApiToken.objects.get()
    assert secret not in str(ApiToken.objects.values())

    def post():
        event = {"event_name": "x", "created_at": int(time.time()), "user_id": "1"}
        return client.post(
            "/events", event, content_type="application/json", headers={"authorization": f"Bearer {secret}"}
        )

    assert post().status_code == 202
    admin.post(reverse("revoke_token", args=[shop.app_id, token.pk]))
    assert post().status_code == 401


def test_settings_are_saved_and_a_wrong_time_zone_is_told(admin, shop):
    address = reverse("change_workspace", args=[shop.app_id])
    data = {
        "name": "Renamed",
        "time_zone": "Mars/Olympus",
        "unknown_people": "reject",
        "rate_limit": "500",
        "event_name_limit": "120",
    }
    wrong = admin.post(address, data)
    assert wrong.status_code == 422
    assert "Mars/Olympus" in wrong.content.decode()
    admin.post(address, data | {"time_zone": "Europe/Paris"})
    shop.refresh_from_db()
    assert (shop.name, shop.time_zone, shop.unknown_people) == ("Renamed", "Europe/Paris", "reject")


# People ------------------------------------------------------------------------------------------------------------------


def test_the_page_counts_what_its_address_asks(viewer, shop, buyer, person, does):
    person("other", email="other@example.org")
    does(buyer, "placed-order", times=2)
    address = reverse("people", args=[shop.app_id])
    assert "<strong>2</strong>" in viewer.get(address).content.decode()
    page = viewer.get(address, {"q": encode(definition(ORDERED))}).content.decode()
    assert "<strong>1</strong>" in page
    assert "Ada Buyer" in page
    fragment = viewer.get(address, {"q": encode(definition(ORDERED))}, headers={"hx-request": "true"}).content.decode()
    assert "<strong>1</strong>" in fragment
    assert "<html" not in fragment


def test_a_link_that_cannot_be_asked_or_read_says_so(viewer, shop):
    wrong = encode(definition(ORDERED | {"within": {"last_days": 0}}))
    address = reverse("people", args=[shop.app_id])
    assert viewer.get(address, {"q": wrong}, headers={"hx-request": "true"}).status_code == 204
    page = viewer.get(address, {"q": wrong})
    assert page.status_code == 200
    assert "Write a whole number from 1 to 36,500." in page.content.decode()
    for unreadable in ("%%%", "abc", "x" * 9000):
        assert "could not be read" in viewer.get(address, {"q": unreadable}).content.decode()


def test_pages_go_older_and_newer_without_gaps(viewer, shop, person):
    everyone = {person(f"u{number}").public_id for number in range(120)}
    address, seen, hops = reverse("people", args=[shop.app_id]), [], 0
    link = "?"
    while link:
        page = viewer.get(address + link).content.decode()
        seen += re.findall(r"people/([0-9a-f]{24})/", page)
        found = re.search(r'href="[^"?]*(\?[^"]*)"[^>]*>Older', page)
        link, hops = found and found[1].replace("&amp;", "&"), hops + 1
    assert hops == 3
    assert len(seen) == 120
    assert set(seen) == everyone
    newer = re.search(r'href="[^"?]*(\?[^"]*)"[^>]*>Newer', page)[1].replace("&amp;", "&")
    assert re.findall(r"people/([0-9a-f]{24})/", viewer.get(address + newer).content.decode()) == seen[50:100]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("buyer", {"buyer"}),
        ("BUYER@", {"buyer"}),
        ("ada b", {"buyer"}),
        ("other-", {"other-1", "other-2"}),
        ("other-1", {"other-1"}),
        ("100%", {"100%sure"}),
        ("nobody", set()),
    ],
)
def test_the_search_box_finds_the_exact_id_first_then_beginnings(viewer, shop, other_shop, buyer, person, words, found):
    for external_id in ("other-1", "other-2", "100%sure", "1000", "zed"):
        person(external_id)
    person("buyer-next-door", workspace=other_shop)
    page = viewer.get(reverse("people", args=[shop.app_id]), {"search": words}).content.decode()
    ids = re.findall(r"people/([0-9a-f]{24})/", page)
    assert {Contact.objects.get(pk=int(pk[8:], 16)).external_id for pk in ids} == found


def test_the_search_takes_our_own_id(viewer, shop, buyer):
    page = viewer.get(reverse("people", args=[shop.app_id]), {"search": buyer.public_id}).content.decode()
    assert "Ada Buyer" in page


def test_a_persons_page_shows_what_they_did_as_people_read_it(viewer, shop, person, does):
    ada = person("ada", plan="pro", renewal_at=1760000000)
    metadata = {
        "total": {"amount": 4900, "currency": "usd"},
        "order": {"url": "https://example.org/o/1", "value": "1"},
        "due_date": 1760000000,
        "gift": True,
        "page": "javascript:alert(1)",
        "html": "<script>alert(1)</script>",
        "deep": {"a": [1, None]},
    }
    does(ada, "placed-order", metadata=metadata)
    page = viewer.get(ada.get_absolute_url()).content.decode()
    assert "49.00 USD" in page
    assert "9 Oct 2025" in page
    assert 'href="https://example.org/o/1" rel="noopener' in page
    assert 'href="javascript' not in page
    assert "<script>alert" not in page
    assert "{&#x27;" not in page  # no raw Python
    # Each value leads to the people with it.
    condition = ORDERED | {"where": [{"key": "total", "op": "eq", "value": {"amount": 4900, "currency": "usd"}}]}
    link = f"{reverse('people', args=[shop.app_id])}?q={encode(definition(condition))}"
    assert link in page
    assert "<strong>1</strong>" in viewer.get(link).content.decode()


def test_a_long_history_loads_older_events(viewer, person, does):
    ada = person("ada")
    does(ada, "opened-app", times=120)
    page = viewer.get(ada.get_absolute_url()).content.decode()
    counted = page.count('class="event"')
    while older := re.search(r'hx-get="(\?before=[^"]+)"', page):
        page = viewer.get(ada.get_absolute_url() + older[1], headers={"hx-request": "true"}).content.decode()
        assert "<html" not in page
        counted += page.count('class="event"')
    assert counted == 120
    assert viewer.get(ada.get_absolute_url() + "?before=x").status_code == 404


def test_event_types_show_volume_people_and_last_seen(viewer, shop, buyer, person, does):
    does(buyer, "placed-order", times=3)
    does(person("other"), "placed-order", days_ago=40)
    page = viewer.get(reverse("events", args=[shop.app_id])).content.decode()
    row = re.search(r"<tr><th.*?placed-order.*?</tr>", page, re.S)[0]
    assert re.findall(r'<td class="number">(\d+)</td>', row) == ["3", "2"]
    assert "just now" in row
    assert "No event" in viewer.get(reverse("events", args=[shop.app_id]), {"search": "zzz"}).content.decode()


def test_an_empty_workspace_shows_the_curl(viewer, shop):
    for name in ("people", "events"):
        assert "curl -i" in viewer.get(reverse(name, args=[shop.app_id])).content.decode()


# Segments ----------------------------------------------------------------------------------------------------------------


def test_a_filter_is_saved_listed_opened_changed_and_archived(editor, shop, buyer, does):
    does(buyer, "placed-order")
    data = {"name": "Buyers", "definition": json.dumps(definition(ORDERED))}
    response = editor.post(reverse("new_segment", args=[shop.app_id]), data)
    saved = Segment.objects.get()
    assert response.url == saved.get_absolute_url()
    assert "Buyers" in editor.get(reverse("segments", args=[shop.app_id])).content.decode()
    assert editor.get(reverse("segment_count", args=[shop.app_id, saved.pk])).content.decode().split()[0] == "1"
    assert "<strong>1</strong>" in editor.get(saved.get_absolute_url()).content.decode()
    editor.post(saved.get_absolute_url(), data | {"name": "Customers"})
    saved.refresh_from_db()
    assert saved.name == "Customers"
    editor.post(saved.get_absolute_url(), {"action": "archive"})
    assert editor.get(saved.get_absolute_url()).status_code == 404


def test_what_cannot_be_saved_is_told_and_kept(editor, shop):
    address = reverse("new_segment", args=[shop.app_id])
    assert (
        "is everyone" in editor.post(address, {"name": "All", "definition": json.dumps(definition())}).content.decode()
    )
    Segment.objects.create(workspace=shop, name="Taken", definition=definition(ORDERED))
    response = editor.post(address, {"name": "Taken", "definition": json.dumps(definition(ORDERED))})
    assert response.status_code == 422
    page = response.content.decode()
    assert "Choose another name" in page
    assert 'value="Taken"' in page
    assert 'name="conditions.0.event@text" value="placed-order"' in page
    assert Segment.objects.count() == 1


def test_a_segment_in_use_is_not_archived(editor, shop, things):
    segment = Segment.objects.get()
    AutoMessage.objects.update(audience=segment)
    page = editor.post(segment.get_absolute_url(), {"action": "archive"}, follow=True).content.decode()
    assert "is used by the auto-message “Thanks”" in page
    assert Segment.objects.active().exists()


# Messages ----------------------------------------------------------------------------------------------------------------


def test_a_rule_is_written_previewed_tested_and_made_live(editor, shop, buyer, does, mailoutbox):
    does(buyer, "placed-order", metadata={"code": "C-7"})
    data = {
        "name": "Thanks",
        "event": "Placed.Order",
        "where.0.key@text": "code",
        "where.0.op@op-any": "known",
        "frequency": "every_time",
        "subject": "Thanks {{ contact.name }}",
        "body": "<p>{{ event.metadata.code }}</p>",
    }
    preview = editor.post(reverse("message_preview", args=[shop.app_id]), data)
    assert "C-7" in preview.content.decode()
    assert "sandbox" in preview["Content-Security-Policy"]
    assert preview["X-Frame-Options"] == "SAMEORIGIN"
    response = editor.post(reverse("new_message", args=[shop.app_id]), data | {"action": "test"})
    rule = AutoMessage.objects.get()
    assert response.url == rule.get_absolute_url()
    assert rule.state == "draft"
    assert rule.trigger.name == "placed-order"
    assert [(mail.to, mail.subject) for mail in mailoutbox] == [([editor.user.email], "[Test] Thanks Ada Buyer")]
    editor.post(rule.get_absolute_url(), data | {"action": "live"})
    rule.refresh_from_db()
    assert rule.state == "live"
    assert "where code is known" in editor.get(rule.get_absolute_url()).content.decode()
    editor.post(rule.get_absolute_url(), data | {"action": "pause"})
    rule.refresh_from_db()
    assert rule.state == "paused"


def test_a_wrong_rule_is_told_and_what_was_typed_stays(editor, shop):
    data = {
        "name": "Thanks",
        "event": "placed-order",
        "where.0.key@text": "a",
        "where.0.op@op-any": "is",
        "where.0.value@text": "",
        "frequency": "once",
        "subject": "{{ oops",
        "body": "typed for an hour",
    }
    response = editor.post(reverse("new_message", args=[shop.app_id]), data)
    assert response.status_code == 422
    page = response.content.decode()
    assert "typed for an hour" in page
    assert "where[0].value" in page
    assert "cannot be read" in page
    assert not AutoMessage.objects.exists()


def test_a_delivery_shows_its_reason_and_can_be_released(editor, viewer, things):
    Delivery.objects.update(state="held", reason="too_old")
    delivery = Delivery.objects.get()
    page = viewer.get(delivery.get_absolute_url()).content.decode()
    assert "24 hours" in page
    assert "Send it after all" not in page
    assert "Send it after all" in editor.get(delivery.get_absolute_url()).content.decode()
    editor.post(delivery.get_absolute_url())
    delivery.refresh_from_db()
    assert delivery.state == "queued"


def test_the_list_of_deliveries_filters(viewer, shop, things):
    address = reverse("deliveries", args=[shop.app_id])
    assert "Ada Buyer" in viewer.get(address, {"state": "queued"}).content.decode()
    assert "Ada Buyer" not in viewer.get(address, {"state": "sent"}).content.decode()


# When something is wrong --------------------------------------------------------------------------------------------------


def test_standing_still_is_said_on_every_page(viewer, shop, things):
    Delivery.objects.update(due_at=timezone.now() - timezone.timedelta(minutes=5))
    cache.clear()
    page = viewer.get(reverse("segments", args=[shop.app_id])).content.decode()
    assert "Messages are standing still" in page
    assert "never been seen" in page
    Heartbeat.beat("work")
    cache.clear()
    assert "standing still" not in viewer.get(reverse("segments", args=[shop.app_id])).content.decode()


def test_an_unknown_page_helps(viewer):
    response = viewer.get("/app/zzzzzzzz/people/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_pages_carry_a_strict_policy(viewer, shop):
    policy = viewer.get(reverse("people", args=[shop.app_id]))["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_superusers_have_the_admin_and_nobody_else(staff, shop, things):
    client = staff("admin")
    assert client.get("/admin/").status_code == 302
    get_user_model().objects.filter(pk=client.user.pk).update(is_superuser=True, is_staff=True)
    index = client.get("/admin/").content.decode()
    lists = set(re.findall(r'href="(/admin/(?:eventsapp|segments|messaging)/\w+/)"', index))
    assert len(lists) == 9
    for address in lists:
        assert client.get(address).status_code == 200, address
    contact = Contact.objects.get()
    assert client.get(f"/admin/eventsapp/contact/{contact.pk}/change/").status_code == 200
