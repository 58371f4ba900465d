"""Tags: made once, put on people, taken off."""

from collections.abc import Callable, Iterable

from django.db import IntegrityError, transaction

from eventsapp.errors import Fault, NotFound, Refused
from eventsapp.models import Contact, Tag, Tagging, Workspace, key_in
from eventsapp.panels import Dependent, listed
from eventsapp.sql import dialect
from eventsapp.text import fold

# Each answers with what would miss a tag; upper apps add theirs.
used_by: list[Callable[[Tag], list[Dependent]]] = []


def tag_by_id(workspace: Workspace, id: str) -> Tag:
    """Return the tag with this id, as the API has it. Raises NotFound."""
    tag = workspace.tags.filter(pk=key_in(id)).first()
    if tag is None:
        raise NotFound("Tag not found", "id")
    return tag


def fault_in_name(name: str) -> str | None:
    """Return what is wrong with the name of a tag, as a sentence, or None."""
    if not name or "\0" in name or len(name) > Tag._meta.get_field("name").max_length:
        return "Write the name of a tag, of up to 255 characters."


def find_or_create(workspace: Workspace, name: str) -> Tag:
    """Return the tag of this name, whatever its case; made if it is new."""
    return workspace.tags.get_or_create(name_folded=fold(name), defaults={"name": name})[0]


def rename(tag: Tag, name: str) -> Tag:
    """Raises Refused (409) when another tag has the name."""
    tag.name = name
    try:
        with transaction.atomic():
            tag.save(update_fields=["name", "name_folded"])
    except IntegrityError as error:
        raise Refused(Fault("conflict", f"There is a tag “{name}” already.", "name"), status=409) from error
    return tag


@transaction.atomic
def delete(tag: Tag):
    """Delete a tag, and take it off everybody. Raises Refused (400) when something asks for it."""
    # Nobody saves a segment that asks for it meanwhile: see segments.definition.parse_to_save.
    Workspace.objects.select_for_update(no_key=True).get(pk=tag.workspace_id)
    if users := [user for users in used_by for user in users(tag)]:
        message = f"“{tag}” is used by {listed(users)}. Change that first."
        raise Refused(Fault("tag_has_dependent_objects", message, "id"))
    tag.delete()


def put_on(tag: Tag, contact: Contact):
    """Twice is harmless."""
    put_on_each(tag, [contact.pk])


def put_on_each(tag: Tag, contacts: Iterable[int]):
    """Put a tag on these people (ids), archived ones too. Twice is harmless."""
    taggings = [Tagging(tag=tag, contact_id=contact) for contact in sorted(contacts)]
    Tagging.objects.bulk_create(taggings, ignore_conflicts=True)


def take_off(tag: Tag, contact: Contact):
    """Raises NotFound when it was not on them."""
    deleted, _ = Tagging.objects.filter(tag=tag, contact=contact).delete()
    if not deleted:
        raise NotFound("The contact does not have this tag", "id")


def put_on_people(tag: Tag, contacts: Iterable[int]) -> list[int]:
    """Put a tag on many people at once; return the ids of those who did not have it. Who is no longer among People is
    left out."""
    people = Contact.objects.filter(workspace=tag.workspace_id, pk__in=contacts).people()
    return dialect().put_tag(tag.pk, people.values_list("pk", flat=True))


def take_off_people(tag: Tag, contacts: Iterable[int]) -> list[int]:
    """Take a tag off many people at once; return the ids of those who had it."""
    return dialect().take_tag(tag.pk, contacts)
