"""What python-intercom 4 and 5 do with people and events. Reads where to from the environment; fails by assertion."""

import inspect
import json
import os
import sys

import intercom
from intercom import Intercom
from intercom.core.api_error import ApiError

ASKED = json.loads(os.environ["SDK"])
AT, METADATA = ASKED["at"], ASKED["metadata"]


def client(token="admin") -> Intercom:
    return Intercom(token=ASKED["tokens"][token], base_url=ASKED["url"])


def refused(call, status, code, kind=ApiError):
    """Call what has to be refused; check how the SDK tells it."""
    try:
        call()
    except ApiError as error:
        assert isinstance(error, kind), f"{type(error).__name__} instead of {kind.__name__}"
        errors = error.body["errors"] if isinstance(error.body, dict) else [one.dict() for one in error.body.errors]
        assert (error.status_code, errors[0]["code"]) == (status, code), (error.status_code, errors)
        return error
    raise AssertionError(f"not refused with {status}")


def event(user_id="sdk-user", number=0, name="placed-order", **more) -> dict:
    return {"user_id": user_id, "event_name": name, "created_at": AT + number} | more


def people(sdk):
    made = sdk.contacts.create(
        request={"external_id": "sdk-user", "email": "sdk@example.org", "custom_attributes": {"plan": "pro"}}
    )
    assert made.external_id == "sdk-user"
    changed = sdk.contacts.update(made.id, name="Ada", custom_attributes={"seats": 3})
    assert (changed.name, changed.custom_attributes) == ("Ada", {"plan": "pro", "seats": 3})
    assert sdk.contacts.find(made.id).email == "sdk@example.org"
    if hasattr(sdk.contacts, "show_contact_by_external_id"):
        assert sdk.contacts.show_contact_by_external_id("sdk-user").id == made.id
    for number in range(5):
        sdk.contacts.create(request={"external_id": f"other-{number}"})
    listed = [contact.external_id for contact in sdk.contacts.list(per_page=2)]
    assert sorted(listed) == sorted(["sdk-user", *(f"other-{number}" for number in range(5))])
    found = sdk.contacts.search(query={"field": "email", "operator": "=", "value": "sdk@example.org"})
    assert [contact.id for contact in found.items] == [made.id]
    lead = sdk.contacts.create(request={"role": "lead", "email": "lead@example.org"})
    return made, lead


def events(sdk, made, lead):
    for number in range(5):
        assert sdk.events.create(request=event(number=number, metadata=METADATA)) is None
    sdk.events.create(request={"event_name": "asked", "created_at": AT, "id": lead.id})
    sdk.events.create(request={"event_name": "signed-in", "created_at": AT, "email": "sdk@example.org"})
    seen, older = [], {}
    while True:
        page = sdk.events.list(
            type="user", user_id="sdk-user", per_page=2, request_options={"additional_query_parameters": older}
        )
        page = page.dict()
        found = page["events"]
        seen += [one["created_at"] for one in found if one["event_name"] == "placed-order"]
        following = (page.get("pages") or {}).get("next")
        if not following:
            break
        older = {"before": following.partition("before=")[2].partition("&")[0]}
    assert seen == [AT + number for number in (4, 3, 2, 1, 0)], seen
    assert found[-1]["intercom_user_id"] == made.id
    sdk.events.summaries(
        user_id="sdk-user",
        event_summaries={"event_name": "placed-order", "count": 7, "first": AT - 500, "last": AT - 400},
    )
    summary = sdk.events.list(type="user", user_id="sdk-user", summary=True).dict()
    [orders] = [one for one in summary["events"] if one["name"] == "placed-order"]
    assert orders["count"] == 12


def moving(sdk):
    """Who turns out to be somebody, who is deleted, and who asks."""
    lead = sdk.contacts.create(request={"role": "lead", "email": "moving@example.org"})
    user = sdk.contacts.create(request={"external_id": "moving"})
    sdk.events.create(request={"event_name": "asked", "created_at": AT, "id": lead.id})
    merged = sdk.contacts.merge_lead_in_user(lead_id=lead.id, contact_id=user.id)
    assert (merged.id, merged.email) == (user.id, "moving@example.org")
    refused(lambda: sdk.contacts.find(lead.id), 410, "contact_merged")
    found = sdk.events.list(type="user", user_id="moving").dict()["events"]
    assert [one["event_name"] for one in found] == ["asked"]
    segments = sdk.contacts.list_attached_segments(user.id).dict()
    assert segments["data"] == []
    assert sdk.contacts.archive(user.id).archived
    assert not sdk.contacts.unarchive(user.id).archived
    if hasattr(sdk.contacts, "block_contact"):
        assert sdk.contacts.block_contact(user.id).blocked
    assert sdk.contacts.delete(user.id).deleted
    refused(lambda: sdk.contacts.find(user.id), 404, "not_found")
    assert sdk.admins.identify().app.name == "SDK"
    assert sdk.admins.list().admins == []


def visitors(sdk):
    """Who was in a page without a name, and what they did there."""
    found = sdk.visitors.find(user_id=ASKED["visitor"])
    assert (found.type, found.user_id) == ("visitor", ASKED["visitor"])
    assert sdk.visitors.update(request={"id": found.id, "name": "Vera"}).name == "Vera"
    user = sdk.visitors.merge_to_contact(
        type="user", user={"user_id": "was-a-visitor"}, visitor={"user_id": ASKED["visitor"]}
    )
    assert (user.external_id, user.name) == ("was-a-visitor", "Vera")
    found = sdk.events.list(type="user", user_id="was-a-visitor").dict()["events"]
    assert [one["event_name"] for one in found] == ["viewed"]


def attributes_tags_and_messages(sdk, made):
    fields = {"name": "plan_level", "model": "contact", "data_type": "string"}
    # Version 4 takes the fields themselves.
    is_old = "request" not in inspect.signature(sdk.data_attributes.create).parameters
    one = sdk.data_attributes.create(**fields) if is_old else sdk.data_attributes.create(request=fields)
    assert one.full_name == "custom_attributes.plan_level"
    change = {"archived": True}
    changed = sdk.data_attributes.update(one.id, **change if is_old else {"request": change})
    assert changed.archived
    names = [found.name for found in sdk.data_attributes.list(model="contact", include_archived=True).data]
    assert {"email", "plan", "plan_level"} <= {*names}
    assert "plan_level" not in [found.name for found in sdk.data_attributes.list(model="contact").data]

    vip = sdk.tags.create(request={"name": "VIP"})
    many = sdk.tags.create(request={"name": "VIP", "users": [{"id": made.id}]})
    assert (vip.id, vip.name) == (many.id, "VIP")
    assert [tag.id for tag in sdk.contacts.list_attached_tags(made.id).data] == [vip.id]
    assert sdk.tags.untag_contact(made.id, vip.id).id == vip.id
    assert sdk.tags.tag_contact(made.id, tag_id=vip.id).id == vip.id
    assert [tag.name for tag in sdk.tags.list().data] == ["VIP"]

    message = {"message_type": "inapp", "body": "Hello {{ contact.name }}", "to": {"type": "user", "id": made.id}}
    sent = sdk.messages.create(request=message)
    assert (sent.type, sent.message_type) == ("admin_message", "inapp")
    refused(lambda: sdk.messages.create(request=message | {"message_type": "email"}), 422, "parameter_not_found")


def errors(sdk, made):
    error_classes = intercom.errors
    refused(
        lambda: client("wrong").events.create(request=event()), 401, "unauthorized", error_classes.UnauthorizedError
    )
    refused(lambda: sdk.contacts.find("f" * 24), 404, "not_found")
    refused(lambda: sdk.events.create(request=event(created_at="now")), 400, "parameter_invalid")
    refused(lambda: sdk.events.create(request={"event_name": "x", "created_at": AT, "id": "f" * 24}), 404, "not_found")
    refused(lambda: client("read").events.create(request=event()), 403, "forbidden")
    refused(lambda: sdk.contacts.create(request={"external_id": "sdk-user"}), 409, "conflict")
    for number in range(2):
        sdk.contacts.create(request={"external_id": f"twin-{number}", "email": "twins@example.org"})
    refused(
        lambda: sdk.events.create(request={"event_name": "x", "created_at": AT, "email": "twins@example.org"}),
        409,
        "conflict",
    )
    client("few_names").events.create(request=event(name="one"))
    refused(lambda: client("few_names").events.create(request=event(name="two")), 422, "422")
    slow = client("slow")
    error = None
    for number in range(4):
        try:
            slow.events.create(request=event(number=number), request_options={"max_retries": 0})
        except ApiError as caught:
            error = caught
    assert error is not None and error.status_code == 429
    if getattr(error, "headers", None):
        headers = {name.lower(): value for name, value in error.headers.items()}
        assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= headers.keys()


if __name__ == "__main__":
    sdk = client()
    made, lead = people(sdk)
    events(sdk, made, lead)
    moving(sdk)
    visitors(sdk)
    attributes_tags_and_messages(sdk, made)
    errors(sdk, made)
    json.dump({"id": made.id, "lead": lead.id}, sys.stdout)
