"""Leads, as Intercom's API 1.x has them: there, /contacts means them alone."""

from uuid import uuid4

from eventsapp.contact_pages import legacy_page_of
from eventsapp.errors import NotFound
from eventsapp.models import Contact, Workspace
from eventsapp.people import change_contact, contact_named, create_contact
from eventsapp.serializers import UserIn, user_as_json
from eventsapp.text import fold


def make_or_change_lead(workspace: Workspace, sent) -> Contact:
    """Do what `POST /contacts` does in 1.x: change the lead with this id or user_id; without one make a lead, whose
    user_id is ours. Raises NotFound, Refused, or DRF's ValidationError."""
    public_id, fields = UserIn.read(sent, needs_a_name=False)
    if public_id or fields.get("external_id"):
        return change_contact(_lead(contact_named(workspace, id=public_id, user_id=fields.get("external_id"))), fields)
    return create_contact(workspace, fields | {"role": Contact.Role.LEAD, "external_id": str(uuid4())})


def leads_asked_for(workspace: Workspace, asked) -> dict:
    """Return what `GET /contacts` answers in 1.x: one lead by user_id, else a page of those with an email, or of all.
    Raises NotFound and Refused."""
    if asked.get("user_id"):
        return user_as_json(_lead(contact_named(workspace, user_id=asked["user_id"])))
    leads, same = Contact.objects.filter(workspace=workspace, role=Contact.Role.LEAD).people(), {}
    if asked.get("email"):
        leads, same = leads.filter(email_folded=fold(asked["email"])), {"email": asked["email"]}
    return legacy_page_of(leads, asked, "contact", same)


def _lead(contact: Contact) -> Contact:
    if contact.role != Contact.Role.LEAD:
        raise NotFound("Contact Not Found", "user_id")
    return contact
