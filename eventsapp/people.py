"""Finding and changing one person."""

from django.db import IntegrityError, transaction

from eventsapp import attributes
from eventsapp.errors import Fault, Merged, NotFound, Refused, shared
from eventsapp.ingest import TRIES
from eventsapp.models import Contact, Workspace, now_in_seconds
from eventsapp.sql import dialect
from eventsapp.text import fold


def contact_by_id(workspace: Workspace, public_id: str) -> Contact:
    """Return the contact with this id (24 hex digits). Raises NotFound, and Merged for who is another now."""
    if pk := workspace.contact_pk(public_id):
        contact = Contact.objects.filter(workspace=workspace, deleted_at=None, pk=pk).first()
        if contact and contact.merged_into_id:
            raise Merged(workspace.contact_id(contact.merged_into_id))
        if contact:
            contact.workspace = workspace
            return contact
    raise NotFound("User Not Found", "id")


MOST_SHARING = 50  # of those with one email, who are counted where nobody is meant by it


def contact_named(workspace: Workspace, *, id=None, user_id=None, email=None) -> Contact:
    """Return the one contact that a reading request names. Raises NotFound, or Refused (409) when several share the
    email and (400) when nobody is named."""
    if id:
        return contact_by_id(workspace, id)
    present = Contact.objects.filter(workspace=workspace).present()
    if user_id:
        found, field = list(present.filter(external_id=user_id)[:1]), "user_id"
    elif email:
        same = present.filter(email_folded=fold(email)).exclude(role=Contact.Role.VISITOR)
        found, field = list(same[:MOST_SHARING]), "email"
        found = [contact for contact in found if contact.role == Contact.Role.USER] or found
    else:
        raise Refused(
            Fault("parameter_not_found", "Say of whom: write one of user_id, email, intercom_user_id.", "user_id")
        )
    if not found:
        raise NotFound("User Not Found", field)
    if len(found) > 1:
        raise Refused(shared(email, len(found)), status=409)
    found[0].workspace = workspace
    return found[0]


def create_contact(workspace: Workspace, fields: dict, *, settles: bool = True) -> Contact:
    """Make a contact of checked `fields`. Raises Refused (409) when the user_id, or the email alone, is taken, and
    (400) for attributes of another type than theirs; `settles` is as in `attributes.Types`."""
    contact = Contact(workspace=workspace, **fields)
    contact.custom_attributes = without_nulls(contact.custom_attributes)
    contact.fold_texts()
    try:
        with transaction.atomic():
            if contact.email:
                dialect().lock_emails(workspace.pk, [contact.email_folded])
            if contact.role == Contact.Role.USER and (double := _same_user(contact)):
                raise doubles(double)
            attributes.check(workspace, contact.custom_attributes, settles=settles)
            contact.save(force_insert=True)
    except IntegrityError as error:
        # Another writer was faster between the question and the answer.
        if double := _same_user(contact):
            raise doubles(double) from error
        raise was_merged(contact.external_id) from error
    return contact


def change_or_create_user(
    workspace: Workspace, public_id: str | None, fields: dict, *, settles: bool = True
) -> Contact:
    """Do what `POST /users` of Intercom's API 1.x does: change the person with this id, else this external_id, else the
    user with this email; make one when nobody is found. Raises NotFound for an unknown id, Refused as `change_contact`,
    and (409) when several share the email."""
    if public_id:
        return change_contact(contact_by_id(workspace, public_id), fields, settles=settles)
    for _ in range(TRIES):
        if user := _user_named(workspace, fields.get("external_id"), fields.get("email")):
            return change_contact(user, fields, settles=settles)
        try:
            return create_contact(workspace, fields, settles=settles)
        except Refused as refused:
            # Somebody made this user just now: then there is one to change.
            conflict = refused
    raise conflict


def _user_named(workspace, external_id, email) -> Contact | None:
    """A lead with the email is somebody else, to 1.x."""
    present = Contact.objects.filter(workspace=workspace).present()
    if external_id and (user := present.filter(external_id=external_id).first()):
        return user
    same = present.filter(role=Contact.Role.USER, email_folded=fold(email)) if email else present.none()
    if external_id:
        # As with events, who is known by the email alone becomes the one with the new user_id.
        return same.filter(external_id=None).first()
    users = list(same[:MOST_SHARING])
    if len(users) > 1:
        raise Refused(shared(email, len(users)), status=409)
    return users[0] if users else None


def archive(contact: Contact, *, archived: bool) -> Contact:
    """Take somebody out of People, or bring them back, blocked or not. Their history stays, and events of theirs are
    still stored. Raises NotFound for somebody who was deleted, or merged into another, a moment ago."""
    contact.archived_at = (contact.archived_at or now_in_seconds()) if archived else None
    contact.blocked_at = contact.blocked_at if archived else None
    contact.updated_at = now_in_seconds()
    changed = {name: getattr(contact, name) for name in ("archived_at", "blocked_at", "updated_at")}
    if not Contact.objects.present().filter(pk=contact.pk).update(**changed):
        raise NotFound("User Not Found", "id")
    return contact


def block(contact: Contact) -> Contact:
    """Archive somebody, and store no more events that their browsers send. `archive(archived=False)` ends both."""
    contact.blocked_at = contact.blocked_at or now_in_seconds()
    return archive(contact, archived=True)


def changed_attributes(before: dict, fields: dict) -> dict:
    """Return which custom attributes among `fields` become others than `before`: SDKs send back all that they read, be
    it from before it had a type."""
    return {
        key: value
        for key, value in fields.get("custom_attributes", {}).items()
        if key not in before or type(before[key]) is not type(value) or before[key] != value
    }


def without_nulls(attributes: dict) -> dict:
    """Return the attributes that somebody has: a null takes one away."""
    return {key: value for key, value in attributes.items() if value is not None}


def _same_user(contact: Contact) -> Contact | None:
    """Intercom refuses a second user of one external_id or one email, not a second lead."""
    present = Contact.objects.filter(workspace=contact.workspace).present()
    by_id = present.filter(external_id=contact.external_id) if contact.external_id else present.none()
    users = present.filter(role=Contact.Role.USER)
    by_email = users.filter(email_folded=contact.email_folded) if contact.email else present.none()
    if contact.external_id:
        # The same address under another user_id is another person.
        by_email = by_email.filter(external_id=None)
    return by_id.first() or by_email.first()


def change_contact(contact: Contact, fields: dict, *, settles: bool = True) -> Contact:
    """Change what `fields` names; custom attributes are merged, and null takes one away. Raises Refused (409) for what
    is another's, (400) for attributes of another type than theirs, and NotFound for somebody who was deleted a moment
    ago. `settles` is as in `attributes.Types`."""
    with transaction.atomic():
        present = Contact.objects.present().select_for_update(of=("self",)).select_related("workspace")
        contact = present.filter(pk=contact.pk).first()
        if contact is None:
            raise NotFound("User Not Found", "id")
        fields = dict(fields)
        written = changed_attributes(contact.custom_attributes, fields)
        fields.pop("custom_attributes", None)
        attributes.check(contact.workspace, written, settles=settles)
        contact.custom_attributes = without_nulls(contact.custom_attributes | written)
        for field, value in fields.items():
            setattr(contact, field, value)
        contact.updated_at = now_in_seconds()
        contact.fold_texts()
        try:
            with transaction.atomic():
                contact.save()
        except IntegrityError as error:
            double = _same_user(contact)
            if double and double.pk != contact.pk:
                raise doubles(double) from error
            raise is_taken() from error
    return contact


# What bars it ---------------------------------------------------------------------------------------------------------


def doubles(double: Contact) -> Refused:
    archived = " It is archived." if double.archived_at else ""
    message = f"A contact matching those details already exists with id={double.public_id}.{archived}"
    return Refused(Fault("conflict", message), status=409)


def was_merged(external_id: str) -> Refused:
    message = f"The external_id “{external_id}” is of somebody who was merged into another contact."
    return Refused(Fault("conflict", message), status=409)


def is_taken() -> Refused:
    return Refused(Fault("conflict", "Another contact has this external_id or email."), status=409)
