"""Tags: made once, put on people, taken off."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from django.db import IntegrityError, transaction

from eventsapp import signals
from eventsapp.errors import Fault, NotFound, Refused
from eventsapp.ingest import TRIES
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
        raise _gone()
    return tag


def _gone() -> NotFound:
    return NotFound("Tag not found", "id")


def fault_in_name(name: str) -> str | None:
    """Return what is wrong with the name of a tag, as a sentence, or None."""
    if not name or "\0" in name or len(name) > Tag._meta.get_field("name").max_length:
        return "Write the name of a tag, of up to 255 characters."


def find_or_create(workspace: Workspace, name: str) -> Tag:
    """Return the tag of this name, whatever its case; made if it is new."""
    for _ in range(TRIES):
        # Somebody may make it just before we do, and delete it just after.
        with suppress(IntegrityError):
            return _found_or_made(workspace, name)
    return _found_or_made(workspace, name)


def _found_or_made(workspace: Workspace, name: str) -> Tag:
    return workspace.tags.get_or_create(name_folded=fold(name), defaults={"name": name})[0]


def rename(tag: Tag, name: str) -> Tag:
    """Raises Refused (409) when another tag has the name, and NotFound when it was deleted a moment ago."""
    try:
        with transaction.atomic():
            renamed = Tag.objects.filter(pk=tag.pk).update(name=name, name_folded=fold(name))
    except IntegrityError as error:
        raise Refused(Fault("conflict", f"There is a tag “{name}” already.", "name"), status=409) from error
    if not renamed:
        raise _gone()
    tag.name = name
    return tag


@transaction.atomic
def delete(tag: Tag):
    """Delete a tag, and take it off everybody. Raises Refused (400) when something asks for it, and NotFound when it
    was deleted a moment ago."""
    # Nobody saves a segment that asks for it meanwhile, nor has many people tagged: see
    # segments.definition.parse_to_save and segments.tagging.ask.
    Workspace.objects.select_for_update(no_key=True).get(pk=tag.workspace_id)
    if users := [user for users in used_by for user in users(tag)]:
        message = f"“{tag}” is used by {listed(users)}. Change that first."
        raise Refused(Fault("tag_has_dependent_objects", message, "id"))
    # Whoever works on acts with this tag holds one of them, and then the tag.
    signals.tag_deleting.send(sender=Tag, tag=tag)
    # Whoever puts it on somebody, or takes it off many, holds it: they are before this, or too late.
    if not Tag.objects.select_for_update().filter(pk=tag.pk).first():
        raise _gone()
    tag.delete()


def put_on(tag: Tag, contact: Contact):
    """Twice is harmless. Raises NotFound when the tag was deleted a moment ago."""
    put_on_each(tag, [contact.pk])


@transaction.atomic
def put_on_each(tag: Tag, contacts: Collection[int]):
    """Put a tag on these people (ids), archived ones too. Twice is harmless. Raises NotFound when the tag was deleted a
    moment ago."""
    if not contacts:
        return
    if not dialect().hold(Tag, [tag.pk]):
        raise _gone()
    taggings = [Tagging(tag=tag, contact_id=contact) for contact in sorted(contacts)]
    Tagging.objects.bulk_create(taggings, ignore_conflicts=True)


def put_on_by_name(workspace: Workspace, name: str, contacts: Collection[int]) -> Tag:
    """Put the tag of this name, made if it is new, on these people (ids); return it."""
    for _ in range(TRIES):
        # Somebody may delete it just before it is put on.
        with suppress(NotFound):
            tag = find_or_create(workspace, name)
            put_on_each(tag, contacts)
            return tag
    raise _gone()


def take_off(tag: Tag, contact: Contact):
    """Raises NotFound when it was not on them."""
    deleted, _ = Tagging.objects.filter(tag=tag, contact=contact).delete()
    if not deleted:
        raise NotFound("The contact does not have this tag", "id")


def put_on_people(tag: Tag, contacts: Iterable[int]) -> list[int]:
    """Put a tag on many people at once; return the ids of those who did not have it. Who is no longer among People is
    left out, and if the tag was deleted meanwhile, everybody is."""
    people = Contact.objects.filter(workspace=tag.workspace_id, pk__in=contacts).people()
    with transaction.atomic():
        tags = dialect().hold(Tag, [tag.pk])
        return dialect().put_tag(tag.pk, people.values_list("pk", flat=True)) if tags else []


def take_off_people(tag: Tag, contacts: Iterable[int]) -> list[int]:
    """Take a tag off many people at once; return the ids of those who had it."""
    with transaction.atomic():
        # Two who take it off the same people, one of them by deleting it, would do so in different orders.
        tags = dialect().hold(Tag, [tag.pk])
        return dialect().take_tag(tag.pk, contacts) if tags else []
