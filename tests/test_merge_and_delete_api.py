"""People over the API: who is deleted for good, who turns out to be whom, and who asks."""

import json
import time

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry

from eventsapp.ingest import event_type
from eventsapp.models import ApiRequest, Contact, Event, EventSummary
from eventsapp.request_log import log
from messaging import rules
from messaging.models import AutoMessage, Delivery, Suppression
from segments.models import Segment
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(person):
    return person("lead-1", role="lead", email="ada@example.org", name="Ada", plan="pro")


def event(name="asked", **who):
    return {"event_name": name, "created_at": int(time.time()) - 60} | who


def test_a_lead_is_merged_into_the_user_who_they_are(api, lead, buyer):
    for who in (lead, buyer):
        api.post("/events", event(id=who.public_id, metadata={"n": 1}))
    api.post("/events", event("signed-up", id=lead.public_id))
    answer = api.post("/contacts/merge", {"from": lead.public_id, "into": buyer.public_id})
    assert answer.status_code == 200
    merged = answer.json()
    assert (merged["id"], merged["role"], merged["email"]) == (buyer.public_id, "user", "buyer@example.org")
    assert merged["custom_attributes"] == {"plan": "pro"}
    # What both did in one second, with the same metadata, is one event.
    assert dict(EventSummary.objects.filter(contact=buyer).values_list("type__name", "count")) == {
        "asked": 1,
        "signed-up": 1,
    }
    gone = api.get(f"/contacts/{lead.public_id}")
    assert gone.status_code == 410
    assert gone["Link"].endswith(f'/contacts/{buyer.public_id}>; rel="canonical"')
    assert gone.json()["errors"][0]["code"] == "contact_merged"
    listed = {contact["id"] for contact in api.get("/contacts").json()["data"]}
    assert listed == {buyer.public_id}
    # Late retries, by whatever they are called.
    for late in ({"id": lead.public_id}, {"user_id": "lead-1"}):
        assert api.post("/events", event(metadata=late, **late)).status_code == 202
    assert set(Event.objects.values_list("contact", flat=True)) == {buyer.pk}
    assert api.post("/contacts/merge", {"from": lead.public_id, "into": buyer.public_id}).status_code == 410


def test_only_leads_are_merged_and_only_into_users(api, lead, buyer, person, other_shop):
    theirs = person("theirs", workspace=other_shop)
    other = person("other", role="lead")
    refused = {
        "body": [[], 7],
        "from": [{}, {"from": None}, {"from": 7, "into": buyer.public_id}, {"from": buyer.public_id}],
        "into": [{"from": lead.public_id}, {"from": lead.public_id, "into": other.public_id}],
    }
    refused["from"][3]["into"] = buyer.public_id
    for field, bodies in refused.items():
        for body in bodies:
            answer = api.post("/contacts/merge", body)
            assert answer.status_code == 400, body
            assert answer.json()["errors"][0]["field"] == field
    for pair in ((theirs, buyer), (lead, theirs)):
        body = dict(zip(("from", "into"), (one.public_id for one in pair), strict=True))
        assert api.post("/contacts/merge", body).status_code == 404
    assert not Contact.objects.exclude(merged_into=None).exists()


def test_somebody_is_deleted_for_good(api, buyer):
    api.post("/events", event(user_id="buyer"))
    answer = api.delete(f"/contacts/{buyer.public_id}")
    told = {"type": "contact", "id": buyer.public_id, "external_id": "buyer", "deleted": True}
    assert (answer.status_code, answer.json()) == (200, told)
    assert not Event.objects.exists()
    for method in (api.get, api.delete):
        assert method(f"/contacts/{buyer.public_id}").status_code == 404
    assert api.post("/events", event(id=buyer.public_id)).status_code == 404
    assert api.post("/events", event(user_id="buyer")).status_code == 202
    assert Contact.objects.get(external_id="buyer").pk != buyer.pk


def test_all_that_is_kept_of_somebody_is_theirs_to_have(api, buyer):
    api.post("/events", event(user_id="buyer", metadata={"ünï": "ok"}))
    answer = api.get(f"/contacts/{buyer.public_id}/export")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    told = json.loads(answer.getvalue())
    assert (told["profile"]["email"], told["events"][0]["metadata"]) == ("buyer@example.org", {"ünï": "ok"})
    assert told["deliveries"] == []
    assert api.get("/contacts/" + "0" * 24 + "/export").status_code == 404


def test_somebodys_segments_are_those_of_this_moment(api, shop, buyer):
    asked = {"version": 1, "match": "all", "conditions": [{"kind": "event", "event": "asked", "did": True}]}
    Segment.objects.create(workspace=shop, name="Asked", definition=asked)
    address = f"/contacts/{buyer.public_id}/segments"
    assert api.get(address).json() == {"type": "list", "data": []}
    api.post("/events", event(user_id="buyer"))
    [segment] = api.get(address).json()["data"]
    assert (segment["type"], segment["name"], segment["definition"]) == ("segment", "Asked", asked)


def test_a_user_is_deleted_as_older_sdks_do(api, buyer):
    answer = api.delete(f"/users/{buyer.public_id}")
    assert (answer.status_code, answer.json()["user_id"]) == (200, "buyer")
    assert api.get(f"/users/{buyer.public_id}").status_code == 404


def test_deleting_and_merging_need_to_write_people_of_the_workspace(api_with, client, other_shop, lead, buyer):
    merge = {"from": lead.public_id, "into": buyer.public_id}
    for scope in ("read", "events:write"):
        assert api_with(scope).delete(f"/contacts/{buyer.public_id}").status_code == 403
        assert api_with(scope).post("/contacts/merge", merge).status_code == 403
    stranger = api_with("admin", other_shop)
    assert stranger.delete(f"/contacts/{buyer.public_id}").status_code == 404
    assert stranger.post("/contacts/merge", merge).status_code == 404
    assert Contact.objects.filter(deleted_at=None, merged_into=None).count() == 2


def test_a_merged_persons_page_leads_to_the_heir(api, viewer, admin, lead, buyer):
    api.post("/contacts/merge", {"from": lead.public_id, "into": buyer.public_id})
    assert viewer.get(lead.get_absolute_url())["Location"] == buyer.get_absolute_url()
    assert admin.get(lead.get_absolute_url() + "export/").status_code == 404


def test_a_token_tells_its_workspace_and_who_works_there(api, admin, viewer, shop, client):
    me = api.get("/me").json()
    assert (me["type"], me["email"]) == ("admin", admin.user.email)
    assert (me["app"]["id_code"], me["app"]["name"], me["app"]["timezone"]) == (shop.app_id, "The Shop", "UTC")
    admins = api.get("/admins/").json()["admins"]
    assert [one["email"] for one in admins] == [admin.user.email, viewer.user.email]
    assert Api(client, "ev_nobody").get("/me").status_code == 401


def test_a_workspace_without_an_admin_has_a_me_all_the_same(api, shop):
    assert api.get("/me").json()["app"]["id_code"] == shop.app_id


def everything() -> str:
    """All that the database holds."""
    tables = (json.dumps(list(model.objects.values()), default=str) for model in apps.get_models())
    return "\n".join(tables)


def test_nothing_anywhere_holds_the_address_of_somebody_deleted(
    api, shop, buyer, worker, settings, tmp_path, django_capture_on_commit_callbacks
):
    settings.EMAIL_BACKEND, settings.EMAIL_OUTBOX = "messaging.outbox.OutboxBackend", tmp_path / "outbox"
    rule = AutoMessage.objects.create(
        workspace=shop, name="R", trigger=event_type(shop, "asked"), subject="{{ contact.email }}", body="B"
    )
    rules.go_live(rule)
    api.post("/events", event(user_id="buyer", email="buyer@example.org"))
    worker()
    [mail] = (tmp_path / "outbox").glob("*.eml")
    assert "buyer@example.org" in mail.read_text()
    Suppression.objects.create(workspace=shop, email="buyer@example.org", reason="bounce", note="buyer@example.org?")
    assert "buyer@example.org" in everything()
    with django_capture_on_commit_callbacks(execute=True):
        assert api.delete(f"/contacts/{buyer.public_id}").status_code == 200
    assert "buyer@example.org" not in everything().lower()
    assert not mail.exists()
    # Who comes back with the address gets no mail there all the same.
    api.post("/events", event(user_id="again", email="Buyer@Example.org"))
    worker()
    assert Delivery.objects.get().reason == "suppressed"


def test_requests_that_nobody_has_written_down_yet_are_forgotten_with_the_person(
    api, buyer, django_capture_on_commit_callbacks
):
    api.get("/users?email=buyer%40example.org")
    api.post("/events", event(user_id="other"))
    api.get("/contacts?email=nobody")
    with django_capture_on_commit_callbacks() as forgetting:
        api.delete(f"/contacts/{buyer.public_id}")
        # Somebody writes them down at this very moment.
        api.get("/users?user_id=buyer")
        log.write()
        api.get("/contacts/find_by_external_id/buyer")
    assert "buyer" in everything()
    for act in forgetting:
        act()
    log.write()
    assert "buyer" not in everything()
    assert set(ApiRequest.objects.values_list("path", flat=True)) == {"/events", "/contacts?email=nobody"}


def test_what_a_superuser_changed_is_noted_no_more_of_somebody_deleted(api, admin_client, buyer, person):
    other = person("other", email="other@example.org")
    for contact in (buyer, other):
        form = {"workspace": contact.workspace_id, "role": "user", "external_id": contact.external_id}
        form |= {"email": contact.email, "name": "", "custom_attributes": "{}"}
        answer = admin_client.post(f"/admin/eventsapp/contact/{contact.pk}/change/", form)
        assert answer.status_code == 302, answer.context["errors"]
    assert LogEntry.objects.count() == 2
    api.delete(f"/contacts/{buyer.public_id}")
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["other@example.org"]


def test_an_address_that_another_has_stays_suppressed_as_it_is(api, shop, buyer, person):
    person("same", email="buyer@example.org")
    Suppression.objects.create(workspace=shop, email="buyer@example.org", reason="bounce")
    api.delete(f"/contacts/{buyer.public_id}")
    assert Suppression.objects.get().email == "buyer@example.org"
