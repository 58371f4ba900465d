"""Visitors over the API: the anonymous people of browsers, and who they, or leads, turn out to be."""

from django.db import transaction
from rest_framework.response import Response

from eventsapp import legacy_shapes as shapes
from eventsapp.errors import Fault, NotFound, Refused, invalid, missing
from eventsapp.merging import merge
from eventsapp.models import Contact, Scope
from eventsapp.openapi import operation, query
from eventsapp.people import change_contact, change_or_create_user, contact_by_id
from eventsapp.serializers import ContactIn, contact_as_json, user_as_json
from eventsapp.shapes import CONTACT
from eventsapp.text import fold
from eventsapp.transport import ApiView

TYPES = {"user": Contact.Role.USER, "lead": Contact.Role.LEAD, "contact": Contact.Role.LEAD}
OF_A_VISITOR = ("name", "email", "phone", "custom_attributes")


class Visitors(ApiView):
    """`GET /visitors?user_id=` finds one, `PUT /visitors` changes one."""

    scopes = {"GET": Scope.READ, "PUT": Scope.PEOPLE_WRITE}

    @operation(
        "find_visitor",
        "People",
        answers={200: ("The visitor.", shapes.VISITOR)},
        refuses=(404, 410),
        parameters=[
            query(
                "user_id", "What getVisitorId() returns in a page.", {"type": "string", "examples": [shapes.A_VISITOR]}
            ),
            query("id", "The contact's id instead.", {"type": "string"}),
        ],
    )
    def get(self, request):
        """Find a visitor.

        There is one from the first event on.
        """
        return Response(_as_json(_visitor(self.workspace, request.query_params)))

    @operation(
        "change_visitor",
        "People",
        asks=shapes.VISITOR_IN,
        answers={200: ("The visitor, changed.", shapes.VISITOR)},
        refuses=(404, 410),
    )
    def put(self, request):
        """Change what is known of a visitor.

        What is not named stays. Custom attributes are merged; null takes one away.
        """
        sent = _object(self.sent(), "body")
        visitor = _visitor(self.workspace, sent)
        incoming = ContactIn(data={name: sent[name] for name in OF_A_VISITOR if name in sent})
        incoming.is_valid(raise_exception=True)
        return Response(_as_json(change_contact(visitor, dict(incoming.validated_data))))


class ConvertVisitor(ApiView):
    """`POST /visitors/convert`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "convert_visitor",
        "People",
        asks=shapes.CONVERT_IN,
        answers={200: ("Who they are now.", CONTACT)},
        refuses=(404, 409, 410),
    )
    def post(self, request):
        """Make a visitor a lead or a user.

        A user is found by id, else user_id, else email, or made; what the visitor did is theirs from then on. A lead is
        the visitor, with the fields that `user` has.
        """
        sent = _object(self.sent(), "body")
        role = TYPES.get(sent.get("type")) if isinstance(sent.get("type"), str) else None
        if role is None:
            raise Refused(invalid("type", "type must be user or lead."))
        visitor = _visitor(self.workspace, _object(sent.get("visitor"), "visitor"))
        user = _object(sent.get("user", {}), "user")
        if role == Contact.Role.LEAD:
            _, fields = _fields(user)
            return Response(contact_as_json(change_contact(visitor, fields | {"role": role})))
        return Response(contact_as_json(_become_a_user(visitor, user)))


class ConvertLead(ApiView):
    """`POST /contacts/convert`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "convert_lead",
        "API 1.x",
        asks=shapes.CONVERT_LEAD_IN,
        answers={200: ("The user.", shapes.USER)},
        refuses=(404, 409, 410),
    )
    def post(self, request):
        """Make a lead a user.

        The user is found by id, else user_id, else email, or made; what the lead did is theirs from then on.
        """
        sent = _object(self.sent(), "body")
        lead = _visitor(self.workspace, _object(sent.get("contact"), "contact"), role=Contact.Role.LEAD)
        return Response(user_as_json(_become_a_user(lead, _object(sent.get("user", {}), "user"))))


def _become_a_user(contact: Contact, sent: dict) -> Contact:
    """Let what a visitor or a lead did be what the user did whom `sent` names; return that one. A lead that it names,
    be it the same, is a user from then on. Raises Refused and its kind, or DRF's ValidationError."""
    public_id, fields = _fields(sent)
    if not any((public_id, fields.get("external_id"), fields.get("email"))):
        raise Refused(missing("user", "Say who they are: write user with one of id, user_id or email."))
    with transaction.atomic():
        if not public_id and not fields.get("external_id") and _is_their_email(contact, fields["email"]):
            return change_contact(contact, fields | {"role": Contact.Role.USER})
        user = change_or_create_user(contact.workspace, public_id, fields)
        if user.role == Contact.Role.VISITOR:
            # What was just written of them is undone.
            raise Refused(invalid("user", "user names a visitor. Write the user_id that you give to your users."))
        if user.role == Contact.Role.LEAD:
            user = change_contact(user, {"role": Contact.Role.USER})
    return user if user.pk == contact.pk else merge(contact, user)


def _is_their_email(lead: Contact, email: str) -> bool:
    """Whether an email is a lead's, and no user's yet."""
    users = Contact.objects.filter(workspace=lead.workspace, role=Contact.Role.USER, email_folded=fold(email)).present()
    return lead.role == Contact.Role.LEAD and lead.email_folded == fold(email) and not users.exists()


def _object(sent, field: str) -> dict:
    if not isinstance(sent, dict):
        raise Refused(invalid(field, f"{field} must be an object."))
    return sent


def _fields(sent: dict) -> tuple[str | None, dict]:
    """Return the id that names a user, if any, and the checked fields. Raises Refused, or DRF's ValidationError."""
    public_id = sent.get("id")
    if public_id is not None and not isinstance(public_id, str):
        raise Refused(invalid("user.id", "id must be a text."))
    incoming = ContactIn(data={name: value for name, value in sent.items() if value is not None and name != "role"})
    incoming.is_valid(raise_exception=True)
    return public_id, dict(incoming.validated_data)


def _visitor(workspace, named, *, role: str = Contact.Role.VISITOR) -> Contact:
    """Return the visitor, or the lead, with the `id` or `user_id` in a mapping. Raises NotFound, Merged, and Refused
    for neither."""
    public_id, user_id = named.get("id"), named.get("user_id")
    if not any(isinstance(one, str) and one for one in (public_id, user_id)):
        raise Refused(Fault("parameter_not_found", f"Say which {role}: write one of user_id, id.", "user_id"))
    if not isinstance(public_id, str):
        named = Contact.objects.filter(workspace=workspace, external_id=user_id, deleted_at=None)
        # PostgreSQL is not even asked for a NUL.
        found = None if "\0" in user_id else named.only("pk").first()
        if found is None:
            raise NotFound(f"{role.capitalize()} Not Found", "user_id")
        public_id = workspace.contact_id(found.pk)
    contact = contact_by_id(workspace, public_id)
    if contact.role != role:
        raise NotFound(f"{role.capitalize()} Not Found", "user_id")
    return contact


def _as_json(visitor: Contact) -> dict:
    return user_as_json(visitor) | {"type": "visitor", "anonymous": True}
