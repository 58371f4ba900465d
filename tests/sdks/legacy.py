"""What python-intercom 3 does with users, events and bulk jobs. Reads where to from the environment; fails by assertion."""

import json
import os
import sys

from intercom import errors
from intercom.client import Client

ASKED = json.loads(os.environ["SDK"])
AT, METADATA = ASKED["at"], ASKED["metadata"]


def client(token="admin") -> Client:
    made = Client(personal_access_token=ASKED["tokens"][token])
    made.base_url = ASKED["url"]
    return made


def refused(call, kind, status=None):
    """Call what has to be refused; check how the SDK tells it."""
    try:
        call()
    except errors.IntercomError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        assert status in (None, error.context["http_code"])
        return
    raise AssertionError(f"not refused with {kind.__name__}")


def event(user_id="sdk-user", number=0, name="placed-order", **more) -> dict:
    return {"user_id": user_id, "event_name": name, "created_at": AT + number} | more


def people(sdk):
    made = sdk.users.create(user_id="sdk-user", email="sdk@example.org", custom_attributes={"plan": "pro"})
    assert made.user_id == "sdk-user"
    found = sdk.users.find(email="sdk@example.org")
    assert (found.id, sdk.users.find(user_id="sdk-user").id, sdk.users.find(id=made.id).id) == (made.id,) * 3
    found.name = "Ada"
    found.custom_attributes["seats"] = 3
    sdk.users.save(found)
    again = sdk.users.find(user_id="sdk-user")
    assert (again.name, again.custom_attributes) == ("Ada", {"plan": "pro", "seats": 3})
    sdk.users.create(user_id="gone")
    assert {one.user_id for one in sdk.users.all()} == {"sdk-user", "gone"}
    assert {one.user_id for one in sdk.users.scroll()} == {"sdk-user", "gone"}
    sdk.users.delete(sdk.users.find(user_id="gone"))
    assert [one.user_id for one in sdk.users.all()] == ["sdk-user"]
    assert list(sdk.admins.all()) == []
    return made, leads(sdk)


def leads(sdk):
    lead = sdk.leads.create(email="lead@example.org")
    assert [one.email for one in sdk.leads.all()] == ["lead@example.org"]
    lead.name = "Leah"
    sdk.leads.save(lead)
    assert (sdk.leads.find(id=lead.id).name, sdk.leads.find(user_id=lead.user_id).id) == ("Leah", lead.id)
    other = sdk.leads.create(email="lead@example.org")
    assert other.id != lead.id
    sdk.events.create(event_name="converted", created_at=AT, id=other.id)
    sdk.leads.convert(other, sdk.users.create(user_id="converted"))
    assert [one.event_name for one in sdk.events.find_all(type="user", user_id="converted")] == ["converted"]
    sdk.users.delete(sdk.users.find(user_id="converted"))
    return lead


def tags_and_segments(sdk, made):
    sdk.tags.tag(name="VIP", users=[{"user_id": made.user_id}, {"id": made.id}])
    assert [one.name for one in sdk.tags.all()] == ["VIP"]
    [vip] = sdk.tags.all()
    assert [one.id for one in sdk.users.find_all(tag_id=vip.id)] == [made.id]
    sdk.tags.untag(name="VIP", users=[{"user_id": made.user_id}])
    assert list(sdk.users.find_all(tag_id=vip.id)) == []
    segment = sdk.post(
        "/segments",
        {
            "name": "Known by email",
            "definition": {"conditions": [{"kind": "attribute", "field": "email", "op": "known"}]},
        },
    )
    assert [one.name for one in sdk.segments.all()] == ["Known by email"]
    assert [one.id for one in sdk.users.find_all(segment_id=segment["id"])] == [made.id]


def messages(sdk, made):
    sent = sdk.messages.create(
        message_type="inapp", body="Hello {{ contact.name }}", to={"type": "user", "id": made.id}
    )
    assert (sent.message_type, sent.body) == ("inapp", "Hello {{ contact.name }}")
    refused(
        lambda: sdk.messages.create(message_type="inapp", body="Hello", to={"type": "user", "user_id": "nobody"}),
        errors.ResourceNotFound,
        404,
    )
    refused(
        lambda: sdk.messages.create(message_type="inapp", to={"type": "user", "id": made.id}),
        errors.BadRequestError,
        400,
    )


def events(sdk, made, lead):
    for number in range(5):
        sdk.events.create(**event(number=number, metadata=METADATA))
    sdk.events.create(event_name="asked", created_at=AT, id=lead.id)
    sdk.events.create(event_name="signed-in", created_at=AT, email="sdk@example.org")
    found = list(sdk.events.find_all(type="user", user_id="sdk-user", per_page=2))
    assert [one.event_name for one in found].count("placed-order") == 5
    assert len(found) == 6
    # It makes a time of whatever ends in _at.
    assert [one.created_at.timestamp() for one in found if one.event_name == "placed-order"][0] == AT + 4
    sdk.post(
        "/events/summaries",
        {
            "user_id": "sdk-user",
            "event_summaries": {"event_name": "placed-order", "count": 7, "first": AT - 500, "last": AT - 400},
        },
    )
    summary = sdk.get("/events", {"type": "user", "user_id": "sdk-user", "summary": "true"})
    assert {one["name"]: one["count"] for one in summary["events"]}["placed-order"] == 12


def subscriptions(sdk):
    made = sdk.subscriptions.create(
        service_type="web",
        url="https://example.org/hook",
        topics=["event.created"],
        metadata={"event_names": ["Placed.Order"]},
    )
    assert (made.active, made.metadata) == (True, {"event_names": ["placed-order"]})
    found = sdk.subscriptions.find(id=made.id)
    assert (found.id, found.url, found.topics) == (made.id, "https://example.org/hook", ["event.created"])
    found.url = "https://example.org/other"
    sdk.subscriptions.save(found)
    [listed] = sdk.subscriptions.all()
    assert (listed.id, listed.url, listed.metadata) == (made.id, found.url, made.metadata)
    sdk.subscriptions.delete(listed)
    assert list(sdk.subscriptions.all()) == []
    refused(lambda: sdk.subscriptions.create(url="https://example.org/hook"), errors.BadRequestError, 400)


def bulk(sdk):
    items = [event("bulk-user", number, "imported-order") for number in range(3)]
    job = sdk.events.submit_bulk_job(create_items=[*items, {"event_name": "imported-order"}])
    assert [task["item_count"] for task in job.tasks] == [4]
    sdk.events.submit_bulk_job(create_items=[event("bulk-user", 9, "imported-order")], job_id=job.id)
    feed = sdk.jobs.errors(job.id)
    assert [item["error"]["code"] for item in feed.items] == ["parameter_not_found"]
    assert len(list(sdk.events.find_all(type="user", user_id="bulk-user"))) == 4
    some = [{"user_id": f"bulk-{number}", "email": f"bulk-{number}@example.org"} for number in range(3)]
    job = sdk.users.submit_bulk_job(create_items=[*some, {"name": "Nobody"}], delete_items=[{"user_id": "bulk-1"}])
    assert [task["item_count"] for task in job.tasks] == [5]
    assert [item["error"]["field"] for item in sdk.jobs.errors(job.id).items] == ["user_id"]
    assert sdk.users.find(email="bulk-2@example.org").user_id == "bulk-2"
    refused(lambda: sdk.users.find(user_id="bulk-1"), errors.ResourceNotFound)


def all_errors(sdk):
    refused(lambda: client("wrong").events.create(**event()), errors.AuthenticationError)
    refused(lambda: client("read").events.create(**event()), errors.AuthenticationError)
    refused(lambda: sdk.users.find(user_id="nobody"), errors.ResourceNotFound)
    refused(lambda: sdk.events.create(**event(created_at="now")), errors.BadRequestError, 400)
    refused(lambda: sdk.events.create(event_name="x", created_at=AT), errors.BadRequestError, 400)
    for number in range(2):
        sdk.users.create(user_id=f"twin-{number}", email="twins@example.org")
    refused(lambda: sdk.users.find(email="twins@example.org"), errors.MultipleMatchingUsersError, 409)
    client("few_names").events.create(**event(name="one"))
    refused(lambda: client("few_names").events.create(**event(name="two")), errors.UnexpectedError, 422)
    slow = client("slow")
    slow.events.create(**event())
    assert slow.rate_limit_details["limit"] == 2
    slow.events.create(**event(number=1))
    refused(
        lambda: [slow.events.create(**event(number=number)) for number in range(2, 5)], errors.RateLimitExceeded, 429
    )


if __name__ == "__main__":
    sdk = client()
    made, lead = people(sdk)
    tags_and_segments(sdk, made)
    messages(sdk, made)
    events(sdk, made, lead)
    subscriptions(sdk)
    bulk(sdk)
    all_errors(sdk)
    json.dump({"id": made.id, "lead": lead.id}, sys.stdout)
