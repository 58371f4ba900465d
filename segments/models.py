"""Who belongs together."""

from collections.abc import Callable

from django.conf import settings
from django.db import models
from django.db.models import Q, UniqueConstraint
from django.urls import reverse
from django.utils import timezone

from eventsapp.models import Workspace

# Each answers with the names of what uses a segment; upper apps add theirs.
used_by: list[Callable[["Segment"], list[str]]] = []


class SegmentQuerySet(models.QuerySet):
    def active(self):
        return self.filter(archived_at=None)


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

    def users(self) -> list[str]:
        """The names of what would miss this segment."""
        return [name for names in used_by for name in names(self)]

    def archive(self):
        self.archived_at = timezone.now()
        self.save(update_fields=["archived_at"])


def containing(segment: Segment) -> list[str]:
    """The names of active segments whose definition refers to this one."""
    return _referring("segment", segment)


used_by.append(containing)


def asking_for(tag) -> list[str]:
    """The names of active segments whose definition asks for a tag."""
    return _referring("tag", tag)


def _referring(kind: str, to) -> list[str]:
    others = Segment.objects.active().filter(workspace=to.workspace_id)
    return [f"the segment “{other}”" for other in others if to.pk in _references(other.definition, kind)]


def naming(event_type) -> list[tuple[str, str, str]]:
    """The active segments whose definition names an event type: (what it is, its name, its address)."""
    active = Segment.objects.active().filter(workspace=event_type.workspace_id).select_related("workspace")
    return [
        ("Segment", segment.name, segment.get_absolute_url())
        for segment in active
        if event_type.name in _events_in(segment.definition)
    ]


def _events_in(part) -> set[str]:
    """Every event that a definition names, however deep. It was checked and normalised when it was saved."""
    if isinstance(part, list):
        return {name for inner in part for name in _events_in(inner)}
    if not isinstance(part, dict):
        return set()
    own = {part["event"]} if isinstance(part.get("event"), str) else set()
    return own | {name for key in ("conditions", "first", "then") for name in _events_in(part.get(key))}


def _references(part, kind: str) -> set[int]:
    """The ids of every segment, or tag, that a definition refers to itself."""
    own = {part[kind]} if part.get("kind") == kind else set()
    return own | {pk for inner in part.get("conditions", ()) for pk in _references(inner, kind)}
