"""Who belongs together."""

from collections.abc import Callable
from functools import cached_property

from django.conf import settings
from django.db import models
from django.db.models import Q, UniqueConstraint
from django.urls import reverse
from django.utils import timezone
from pyroaring import BitMap

from eventsapp.models import Tag, Workspace
from eventsapp.panels import Dependent
from segments.conditions import CUSTOM

# Each answers with what uses a segment; upper apps add theirs.
used_by: list[Callable[["Segment"], list[Dependent]]] = []


class SegmentQuerySet(models.QuerySet):
    def active(self):
        return self.filter(archived_at=None)

    def archived(self):
        return self.exclude(archived_at=None)


class Segment(models.Model):
    """A named, saved definition. Its members are whoever matches now."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="segments")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=255, blank=True)
    definition = models.JSONField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    measured_at = models.DateTimeField(null=True, editable=False, help_text="When its counting was begun last.")

    objects = SegmentQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            UniqueConstraint(
                fields=["workspace", "name"],
                condition=Q(archived_at=None),
                name="one_active_segment_per_name",
                violation_error_message="A segment of this name exists. Choose another name.",
            )
        ]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("segment", args=[self.workspace.app_id, self.pk])

    def users(self) -> list[Dependent]:
        """What would miss this segment."""
        return [user for users in used_by for user in users(self)]

    def archive(self):
        self.archived_at = timezone.now()
        self.save(update_fields=["archived_at"])

    def as_dependent(self) -> Dependent:
        return Dependent("Segment", self.name, self.get_absolute_url())


class SegmentSize(models.Model):
    """How many belonged to a segment at one moment, of how many people; `problem` says why nobody knows."""

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="sizes")
    at = models.DateTimeField(default=timezone.now)
    count = models.IntegerField(null=True)
    everyone = models.IntegerField(null=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self):
        return f"{self.segment_id} at {self.at:%c}: {self.problem or self.count}"


class TagRun(models.Model):
    """One act on many people: a tag that is put on, or taken off, everybody who matched when it was asked for.

    The worker goes through `members` some at a time. `changed` are those of them for whom it was another before: the
    undoing of the act is another act on these.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="tag_runs")
    tag = models.ForeignKey(Tag, models.SET_NULL, null=True, related_name="+")
    tag_name = models.CharField(max_length=255)
    adds = models.BooleanField(help_text="Whether the tag is put on, not taken off.")
    question = models.TextField(help_text="Who was asked for, in words.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    members = models.BinaryField(help_text="A roaring bitmap of contact ids.")
    size = models.IntegerField()
    position = models.IntegerField(default=0, help_text="How many of the members were gone through.")
    changed = models.BinaryField(default=bytes, help_text="A roaring bitmap of contact ids.")
    changed_size = models.IntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    undoes = models.OneToOneField("self", models.SET_NULL, null=True, related_name="undone_by")

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(done_at=None), name="tag_run_waiting"),
            models.Index(fields=["workspace", "-id"], name="tag_run_newest"),
        ]

    def __str__(self):
        return f"{'Tagged' if self.adds else 'Untagged'} {self.size:,} “{self.tag_name}”"

    @cached_property
    def changed_ids(self) -> BitMap:
        return BitMap.deserialize(bytes(self.changed)) if self.changed else BitMap()

    @property
    def is_undoable(self) -> bool:
        """Whether it is done, changed somebody, and was not undone yet."""
        return bool(self.done_at and self.changed_size and self.tag_id and not hasattr(self, "undone_by"))


def containing(segment: Segment) -> list[Dependent]:
    """The active segments whose definition refers to this one."""
    return _referring("segment", segment)


used_by.append(containing)


def asking_for(tag) -> list[Dependent]:
    """The active segments whose definition asks for a tag."""
    return _referring("tag", tag)


def _referring(kind: str, to) -> list[Dependent]:
    others = Segment.objects.active().filter(workspace=to.workspace_id).select_related("workspace")
    return [other.as_dependent() for other in others if to.pk in references_in(other.definition, kind)]


def comparing(attribute) -> list[Dependent]:
    """The active segments whose definition asks for a custom attribute."""
    active = Segment.objects.active().filter(workspace=attribute.workspace_id).select_related("workspace")
    return [segment.as_dependent() for segment in active if attribute.name in attributes_in(segment.definition)]


def naming(event_type) -> list[Dependent]:
    """The active segments whose definition names an event type."""
    active = Segment.objects.active().filter(workspace=event_type.workspace_id).select_related("workspace")
    return [segment.as_dependent() for segment in active if event_type.name in events_in(segment.definition)]


def events_in(part) -> set[str]:
    """Every event that a definition names, however deep. It was checked and normalised when it was saved."""
    if isinstance(part, list):
        return {name for inner in part for name in events_in(inner)}
    if not isinstance(part, dict):
        return set()
    own = {part["event"]} if isinstance(part.get("event"), str) else set()
    return own | {name for key in ("conditions", "first", "then") for name in events_in(part.get(key))}


def attributes_in(part: dict) -> set[str]:
    """The names of every custom attribute that a definition asks for itself."""
    field = part.get("field") or ""
    own = {field.removeprefix(CUSTOM)} if field.startswith(CUSTOM) else set()
    return own | {name for inner in part.get("conditions", ()) for name in attributes_in(inner)}


def references_in(part: dict, kind: str) -> set[int]:
    """The ids of every segment, or tag, that a definition refers to itself."""
    own = {part[kind]} if part.get("kind") == kind else set()
    return own | {pk for inner in part.get("conditions", ()) for pk in references_in(inner, kind)}
