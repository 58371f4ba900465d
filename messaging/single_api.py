"""Messages to one person over the API, as Intercom has them."""

from rest_framework.response import Response

from eventsapp.errors import Fault, NotFound, Refused, invalid, missing
from eventsapp.incoming import MAX_TEXT
from eventsapp.models import CONTACT_ID, Contact, Membership, Scope, key_in
from eventsapp.openapi import header, in_path, operation
from eventsapp.people import contact_named
from eventsapp.staff_api import admin_as_json
from eventsapp.transport import ApiView
from messaging import shapes
from messaging.api import delivery_as_json
from messaging.models import AutoMessage, Delivery
from messaging.single import send_now
from messaging.text import LONGEST

# Intercom writes the first in both ways.
CHANNELS = {
    "inapp": AutoMessage.Channel.IN_APP,
    "in_app": AutoMessage.Channel.IN_APP,
    "email": AutoMessage.Channel.EMAIL,
}
MESSAGE_ID = in_path("message_id", "The message's id.", shapes.MESSAGE_ID)
LONGEST_SUBJECT, LONGEST_KEY = 255, 255


class Messages(ApiView):
    """`POST /messages` sends a message to one person."""

    scopes = {"POST": Scope.ADMIN}

    @operation(
        "send_message",
        "Messages",
        asks=shapes.ONE_MESSAGE_IN,
        answers={200: ("The message, on its way.", shapes.ONE_MESSAGE)},
        refuses=(404, 409, 410, 422),
        parameters=[
            header(
                "Idempotency-Key", "The same key again sends nothing new.", {"type": "string", "maxLength": LONGEST_KEY}
            )
        ],
    )
    def post(self, request):
        """Send a message to one person, now.

        By email, or in the pages of your app. Subject and body may use {{ contact.name }} and what else is known of
        them. It goes out like those of auto-messages, whatever limit these have per person. Somebody who could not get
        it is a 422.
        """
        sent = self.sent()
        if not isinstance(sent, dict):
            raise Refused(invalid("body", "Write a JSON object: message_type, body, from and to."))
        channel, subject, body = _content(sent)
        owner = _owner(self.workspace, sent.get("from"))
        contact = _reader(self.workspace, sent.get("to"))
        key = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
        if len(key) > LONGEST_KEY:
            message = f"Idempotency-Key has {len(key):,} characters. Write at most {LONGEST_KEY}."
            raise Refused(invalid("Idempotency-Key", message))
        delivery = send_now(
            self.workspace, contact, channel=channel, subject=subject, body=body, owner=owner, key=key or None
        )
        return Response(_as_json(delivery))


class OneMessage(ApiView):
    """`GET /messages/{id}`."""

    scopes = {"GET": Scope.READ}

    @operation(
        "get_message",
        "Messages",
        answers={200: ("The message, and what became of it.", shapes.ONE_MESSAGE)},
        refuses=(404,),
        parameters=[MESSAGE_ID],
    )
    def get(self, request, message_id):
        """Ask what became of a message to one person."""
        single = Delivery.objects.filter(message__workspace=self.workspace, message__trigger=None)
        related = single.select_related("message__owner", "contact__workspace", "version")
        delivery = related.filter(message=int(message_id)).first()
        if delivery is None:
            raise NotFound("Resource Not Found", "id")
        return Response(_as_json(delivery))


def _content(sent: dict) -> tuple[str, str, str]:
    """Return channel, subject and body. Raises Refused, with Intercom's own words where it has some."""
    kind = sent.get("message_type")
    channel = CHANNELS.get(kind) if isinstance(kind, str) else None
    if channel is None:
        raise Refused(invalid("message_type", "message_type must be email or inapp."))
    if not isinstance(sent.get("template", ""), str):
        raise Refused(invalid("template", "template must be a text. It is ignored: leave it out."))
    subject, body = ("" if sent.get(name) is None else sent[name] for name in ("subject", "body"))
    if not isinstance(body, str) or not body.strip():
        raise Refused(invalid("body", "Body is required"))
    if not isinstance(subject, str):
        raise Refused(invalid("subject", "subject must be a text."))
    for name, written, most in (("subject", subject, LONGEST_SUBJECT), ("body", body, LONGEST)):
        if len(written) > most:
            raise Refused(invalid(name, f"{name} has {len(written):,} characters. Write at most {most:,}."))
        if "\0" in written:
            raise Refused(invalid(name, f"{name} holds a NUL character. Leave it out."))
    if channel == AutoMessage.Channel.EMAIL and not subject.strip():
        raise Refused(missing("subject", "No subject supplied for email message"), status=422)
    return channel, subject, body


def _owner(workspace, named) -> Membership | None:
    """Return the colleague that it comes from; nobody is named by nothing. Raises Refused, NotFound."""
    if named is None:
        return None
    if not isinstance(named, dict):
        raise Refused(invalid("from", 'from must be an object: {"type": "admin", "id": "1"}.'))
    if named.get("type", "admin") != "admin":
        message = "Messages go from you to people here; those from people are not kept. Write type: admin."
        raise Refused(Fault("parameter_invalid", message, "from.type"), status=422)
    # Some SDKs send ids as numbers.
    owner = workspace.memberships.select_related("user").filter(user=key_in(str(named.get("id")))).first()
    if owner is None:
        raise Refused(Fault("admin_not_found", "No colleague has this id: see GET /admins.", "from.id"), status=404)
    return owner


def _reader(workspace, named) -> Contact:
    if not isinstance(named, dict):
        raise Refused(missing("to", 'Say to whom: {"type": "user", "id": …}, or user_id, or email.'))
    if not isinstance(named.get("type", ""), str):
        raise Refused(invalid("to.type", "type must be a text, such as user. It is ignored: leave it out."))
    names = {name: named[name] for name in ("id", "user_id", "email") if named.get(name) is not None}
    if isinstance(names.get("user_id"), int) and not isinstance(names["user_id"], bool):
        names["user_id"] = str(names["user_id"])
    for name, value in names.items():
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or "\0" in value:
            raise Refused(invalid(f"to.{name}", f"{name} must be a text of at most {MAX_TEXT} characters."))
        if name == "id" and not CONTACT_ID.match(value.lower()):
            raise NotFound("User Not Found", "to.id")
    if not names:
        raise Refused(missing("to.id", "Say to whom: write one of id, user_id and email."))
    return contact_named(workspace, **names)


def _as_json(delivery: Delivery) -> dict:
    message = delivery.message
    owner = message.owner and Membership(user=message.owner, workspace_id=message.workspace_id)
    return {
        "type": "admin_message",
        "id": str(message.pk),
        "created_at": int(message.created_at.timestamp()),
        "subject": message.subject,
        "body": message.body,
        "message_type": "inapp" if message.channel == AutoMessage.Channel.IN_APP else "email",
        "owner": admin_as_json(owner) if owner else None,
        "delivery": delivery_as_json(delivery),
    }
