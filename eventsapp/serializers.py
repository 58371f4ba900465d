"""How people and events look in the API, and what may be written of a person."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import or_

from django.conf import settings
from django.db.models import prefetch_related_objects
from rest_framework import serializers

from eventsapp.attributes import fault_in_name
from eventsapp.errors import Refused, invalid, missing
from eventsapp.incoming import EMAIL, FUTURE, fault_in_value
from eventsapp.models import BulkJob, Contact, Tag, now_in_seconds


def event_as_json(event, contact) -> dict:
    """One entry of an `event.list`. Ruby's SDK needs the `type`."""
    return {
        "type": "event",
        "id": str(event.public_id),
        "created_at": event.created_at,
        "event_name": event.type.name,
        "user_id": contact.external_id,
        "email": contact.email,
        "intercom_user_id": contact.public_id,
        "metadata": event.metadata,
    }


def summary_as_json(summaries, contact) -> dict:
    """An `event.summary`; `summaries` come from `EventSummary.objects.with_totals()`."""
    return {
        "type": "event.summary",
        "email": contact.email,
        "intercom_user_id": contact.public_id,
        "user_id": contact.external_id,
        "events": [
            {
                "name": summary.type.name,
                "first": _iso(summary.first),
                "last": _iso(summary.last),
                "count": summary.total,
                "description": summary.type.description or None,
            }
            for summary in summaries
        ],
    }


def _iso(seconds: int | None) -> str | None:
    """Intercom's form: milliseconds and an offset."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


NOBODY_KNOWS = """
    phone avatar owner_id last_replied_at last_contacted_at last_email_opened_at last_email_clicked_at
    language_override browser browser_version browser_language os referrer utm_campaign utm_content utm_medium
    utm_source utm_term ios_app_name ios_app_version ios_device ios_os_version ios_sdk_version ios_last_seen_at
    android_app_name android_app_version android_device android_os_version android_sdk_version
    android_last_seen_at enabled_push_messaging
""".split()


# Each answers with fields of the contact object that only upper apps know, by the contact's id; they add theirs.
known_above: list[Callable[[Sequence[Contact]], dict[int, dict]]] = []


def tag_as_json(tag: Tag) -> dict:
    return {"type": "tag", "id": str(tag.pk), "name": tag.name}


def list_of_contact(contact: Contact, what: str, data: list) -> dict:
    """A list within a contact object, and by itself at its url."""
    url = f"/contacts/{contact.public_id}/{what}"
    return {"type": "list", "data": data, "url": url, "total_count": len(data), "has_more": False}


def contacts_as_json(contacts: list[Contact]) -> list[dict]:
    """Contact objects, with one look-up for the tags of all of them, and one for each of `known_above`."""
    prefetch_related_objects(contacts, "taggings")
    above = [ask(contacts) for ask in known_above]
    return [reduce(or_, (told[one.pk] for told in above), _contact_as_json(one)) for one in contacts]


def contact_as_json(contact: Contact) -> dict:
    """The contact object of Intercom's API 2.x; what we don't keep is null there."""
    return contacts_as_json([contact])[0]


def _contact_as_json(contact: Contact) -> dict:
    tags = sorted(tagging.tag_id for tagging in contact.taggings.all())
    place = dict.fromkeys(("country", "region", "city", "country_code", "continent_code"))
    return dict.fromkeys(NOBODY_KNOWS) | {
        "type": "contact",
        "id": contact.public_id,
        "workspace_id": contact.workspace.app_id,
        "external_id": contact.external_id,
        "role": contact.role,
        "email": contact.email,
        "phone": contact.phone,
        "name": contact.name,
        "social_profiles": {"type": "list", "data": []},
        "unsubscribed_from_emails": contact.unsubscribed_from_emails,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
        "signed_up_at": contact.signed_up_at,
        "last_seen_at": contact.last_seen_at,
        "location": {"type": "location"} | place,
        "custom_attributes": contact.custom_attributes,
        "tags": list_of_contact(contact, "tags", [{"type": "tag", "id": str(pk), "url": f"/tags/{pk}"} for pk in tags]),
        "notes": list_of_contact(contact, "notes", []),
        "companies": list_of_contact(contact, "companies", []),
        "opted_out_subscription_types": list_of_contact(contact, "subscriptions", []),
        "opted_in_subscription_types": list_of_contact(contact, "subscriptions", []),
    }


def users_as_json(contacts: list[Contact]) -> list[dict]:
    """User objects, with one look-up for the tags of all of them."""
    prefetch_related_objects(contacts, "taggings__tag")
    return [_user_as_json(contact) for contact in contacts]


def user_as_json(contact: Contact) -> dict:
    """The user object of Intercom's API 1.x (a lead's is called a contact there)."""
    return users_as_json([contact])[0]


def _user_as_json(contact: Contact) -> dict:
    tags = sorted((tagging.tag for tagging in contact.taggings.all()), key=lambda tag: tag.name_folded)
    return {
        "type": "contact" if contact.role == Contact.Role.LEAD else "user",
        "id": contact.public_id,
        "user_id": contact.external_id,
        "anonymous": contact.role == Contact.Role.LEAD,
        "email": contact.email,
        "phone": contact.phone,
        "name": contact.name,
        "pseudonym": None,
        "avatar": {"type": "avatar", "image_url": None},
        "app_id": contact.workspace.app_id,
        "companies": {"type": "company.list", "companies": []},
        "location_data": {},
        "last_request_at": contact.last_seen_at,
        "last_seen_ip": None,
        "created_at": contact.created_at,
        "remote_created_at": contact.signed_up_at,
        "signed_up_at": contact.signed_up_at,
        "updated_at": contact.updated_at,
        "session_count": 0,
        "social_profiles": {"type": "social_profile.list", "social_profiles": []},
        "unsubscribed_from_emails": contact.unsubscribed_from_emails,
        "user_agent_data": None,
        "tags": {
            "type": "tag.list",
            "tags": [tag_as_json(tag) for tag in tags],
        },
        "segments": {"type": "segment.list", "segments": []},
        "custom_attributes": contact.custom_attributes,
    }


def job_as_json(job: BulkJob) -> dict:
    """The job object of Intercom's API 1.x. Ours are done as soon as they are answered."""
    url = f"{settings.BASE_URL}/jobs/{job.public_id}"
    failed = any(task["failed"] for task in job.tasks)
    return {
        "type": "job",
        "id": job.public_id,
        "app_id": job.workspace.app_id,
        "created_at": int(job.created_at.timestamp()),
        "updated_at": int(job.updated_at.timestamp()),
        "completed_at": int(job.updated_at.timestamp()),
        "closing_at": int(job.closing_at.timestamp()),
        "name": None,
        "state": "completed_with_errors" if failed else "completed",
        "links": {"self": url, "error": f"{url}/error"},
        "tasks": [
            {
                "id": f"task_{place}",
                "item_count": task["item_count"],
                "state": "completed_with_errors" if task["failed"] else "completed",
            }
            for place, task in enumerate(job.tasks, start=1)
        ],
    }


def job_errors_as_json(job: BulkJob) -> dict:
    """The items of a job that failed, each as it was sent with its first error, and all of them under `errors`."""
    items = []
    for text in job.failed:
        # What failed may hold a number beyond 64 bits, which no encoder of ours writes.
        failed = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else float(digits))
        item, errors = failed["item"], failed["errors"]
        items.append((item if isinstance(item, dict) else {"data": item}) | {"error": errors[0], "errors": errors})
    return {"app_id": job.workspace.app_id, "job_id": job.public_id, "pages": {}, "items": items}


class UnixTime(serializers.IntegerField):
    """Whole Unix seconds, not in the far future."""

    default_error_messages = {"invalid": "Write whole Unix seconds (UTC), such as 1760000000."}

    def to_internal_value(self, data):
        if isinstance(data, bool | str):
            self.fail("invalid")
        seconds = super().to_internal_value(data)
        if not 0 <= seconds <= now_in_seconds() + FUTURE:
            raise serializers.ValidationError("Write Unix seconds (UTC) between 1970 and now.")
        return seconds


class Truth(serializers.BooleanField):
    """True or false: DRF would take numbers and words."""

    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Text(serializers.CharField):
    """A text that is a text: DRF would take numbers and trim."""

    def __init__(self, **kwargs):
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().to_internal_value(data)


class ContactIn(serializers.Serializer):
    """What an app may write of a person."""

    role = serializers.ChoiceField(choices=["user", "lead"], required=False, allow_null=True)
    external_id = Text(max_length=255, required=False, allow_null=True)
    email = Text(max_length=255, required=False, allow_null=True)
    name = Text(max_length=255, required=False, allow_null=True, allow_blank=True)
    phone = Text(max_length=64, required=False, allow_null=True, allow_blank=True)
    signed_up_at = UnixTime(required=False, allow_null=True)
    last_seen_at = UnixTime(required=False, allow_null=True)
    unsubscribed_from_emails = Truth(required=False, allow_null=True)
    custom_attributes = serializers.DictField(required=False, allow_null=True)
    # Where a null, as typed SDKs send it, says nothing.
    SILENT = ("role", "unsubscribed_from_emails", "custom_attributes")

    def to_internal_value(self, data):
        if isinstance(data, dict) and (user_id := data.get("user_id")) is not None:
            if isinstance(user_id, bool) or not isinstance(user_id, str | int):
                raise serializers.ValidationError({"user_id": "user_id must be a text."})
            data = {"external_id": str(user_id)} | data
        told = super().to_internal_value(data)
        return {name: value for name, value in told.items() if value is not None or name not in self.SILENT}

    def validate_email(self, email):
        if email is not None and not EMAIL.match(email):
            raise serializers.ValidationError(f"“{email}” is not an email address. Write one, such as ada@example.org.")
        return email

    def validate_custom_attributes(self, attributes):
        faults = {}
        for key, value in (attributes or {}).items():
            if isinstance(value, dict | list):
                faults[key] = ["An attribute is a text, a number or a boolean, not an object or a list."]
            elif fault := fault_in_value(key, value) or fault_in_name(key):
                faults[key] = [fault]
        if faults:
            raise serializers.ValidationError(faults)
        return attributes


class UserIn(ContactIn):
    """What an app may write of a user in API 1.x; what we do not keep (companies, avatar, user agents …) is ignored."""

    role = None
    last_request_at = UnixTime(source="last_seen_at", required=False, allow_null=True)
    update_last_request_at = Truth(required=False, allow_null=True)
    new_session = Truth(required=False, allow_null=True)

    @classmethod
    def read(cls, data, *, needs_a_name: bool = True) -> tuple[str | None, dict]:
        """Return the id that decoded JSON names, if any, and the fields of a contact. Raises Refused, or DRF's
        ValidationError."""
        if not isinstance(data, dict):
            raise Refused(invalid("body", "Write a JSON object with the fields of the user."))
        # Ruby's and Python's SDKs send back what they read, nulls and all; a null here says nothing.
        data = {key: value for key, value in data.items() if value is not None}
        public_id = data.get("id")
        if public_id is not None and not isinstance(public_id, str):
            raise Refused(invalid("id", "id must be a text."))
        incoming = cls(data=data)
        incoming.is_valid(raise_exception=True)
        fields = dict(incoming.validated_data)
        if fields.pop("update_last_request_at", False) or fields.pop("new_session", False):
            fields["last_seen_at"] = now_in_seconds()
        fields.pop("new_session", None)
        if needs_a_name and not any((public_id, fields.get("external_id"), fields.get("email"))):
            raise Refused(missing("user_id", "Say who it is: write one of user_id, email or id."))
        return public_id, fields
