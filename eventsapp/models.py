"""People and what they did, and the workspace that holds them: the vocabulary of everything above.

Times of people and of events are Unix seconds (UTC), as the API has them; times of our own work are datetimes.
"""

import hashlib
import json
import re
import secrets
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from operator import or_
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import CompositePrimaryKey, F, OuterRef, Q, Subquery, UniqueConstraint
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Greatest, Least
from django.urls import reverse
from django.utils import timezone

from eventsapp.text import fold

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT = 1000  # requests of a workspace that stay to be looked at
CONTACT_ID = re.compile(r"(?P<key>[0-9a-f]{8})(?P<pk>[0-9a-f]{16})\Z")


def new_app_id() -> str:
    """Return eight characters that nobody confuses when reading them aloud."""
    return "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(8))


def new_workspace_key() -> str:
    return secrets.token_hex(4)


def new_identity_secret() -> str:
    return secrets.token_urlsafe(32)


def new_job_id() -> str:
    return f"job_{secrets.token_hex(12)}"


def key_in(id: str) -> int | None:
    """Return the key of the row that an id of the API (digits) stands for, None for what can be none."""
    return int(id) if id.isascii() and id.isdecimal() and len(id) <= 9 else None


def now_in_seconds() -> int:
    """Return this second as Unix seconds."""
    return int(timezone.now().timestamp())


class Utf8Json(json.JSONEncoder):
    """Writes JSON as ingest does, without \\u escapes: SQLite compares keys as they are written."""

    def __init__(self, **options):
        super().__init__(**options | {"ensure_ascii": False})


def check_time_zone(name: str):
    """Refuse what is not an IANA name. Raises ValidationError."""
    from django.core.exceptions import ValidationError

    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Write its IANA name, such as Europe/Paris or UTC.")


class Workspace(models.Model):
    """One set of people and events; nobody sees another's."""

    class UnknownPeople(models.TextChoices):
        CREATE = "create", "Create them"
        REJECT = "reject", "Refuse the event (404)"

    app_id = models.CharField(max_length=20, unique=True, default=new_app_id, editable=False)
    key = models.CharField(max_length=8, unique=True, default=new_workspace_key, editable=False)
    name = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    unknown_people = models.CharField(
        "people we don't know yet",
        max_length=10,
        choices=UnknownPeople,
        default=UnknownPeople.CREATE,
        help_text="What happens to an event for a user_id or email that nobody here has.",
    )
    rate_limit = models.PositiveIntegerField(
        default=100_000, help_text="Requests that each token may send in ten seconds; more are answered with 429."
    )
    event_name_limit = models.PositiveIntegerField(
        "most event names",
        default=0,
        help_text="Events of more names than this are refused (422); archived names do not count. 0 is no limit.",
    )
    enforces_identity = models.BooleanField(
        "refuse browsers that prove nothing",
        default=False,
        help_text="A browser that says who its user is must prove it, with user_hash or a JWT. Visitors need not.",
    )
    protected_attributes = models.TextField(
        blank=True,
        help_text="Names of attributes that a browser cannot change without a JWT that holds them, one a line: "
        "custom ones, or email, name, phone.",
    )
    browser_seen_at = models.DateTimeField(null=True, editable=False, help_text="When its first browser sent an event.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("dashboard", args=[self.app_id])

    def contact_pk(self, public_id: str) -> int | None:
        """Return the key of the contact that has this id in the API, if it can be one of this workspace."""
        match = CONTACT_ID.match(public_id.lower())
        if match and match["key"] == self.key and (pk := int(match["pk"], 16)) < 2**31:
            return pk

    def contact_id(self, pk: int) -> str:
        """Return the id in the API of the contact with this key."""
        return f"{self.key}{pk:016x}"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone in which its staff count days."""
        return zoneinfo.ZoneInfo(self.time_zone)

    @property
    def protected(self) -> set[str]:
        """The names of what a browser cannot change by itself."""
        return {name.strip() for name in self.protected_attributes.split("\n")} - {""}


# Staff and apps ----------------------------------------------------------------------------------------------------


class Role(models.TextChoices):
    """What staff may do: a viewer looks, an editor changes people, segments and rules, an admin also the settings."""

    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    ADMIN = "admin", "Admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Membership(models.Model):
    """A Django user in a workspace, with a role."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    last_used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [UniqueConstraint(fields=["user", "workspace"], name="one_membership_per_user_and_workspace")]

    def __str__(self):
        return f"{self.user} in {self.workspace}, {self.get_role_display()}"

    def may(self, role: str) -> bool:
        """Whether this member has the rights of `role`."""
        return Role(self.role).rank >= Role(role).rank


class Invitation(models.Model):
    """A link that makes its bearer a colleague, once, within a week."""

    LIFETIME = timedelta(days=7)

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"{self.get_role_display()} in {self.workspace}"

    @classmethod
    def make(cls, **fields) -> str:
        """Store an invitation; return its secret, which is kept nowhere else."""
        secret = secrets.token_urlsafe(24)
        cls.objects.create(digest=digest_of(secret), **fields)
        return secret

    @classmethod
    def open(cls, secret: str):
        """Return the queryset of the invitation with this secret, empty when it is used up, old or unknown."""
        return cls.objects.filter(digest=digest_of(secret), created_at__gt=timezone.now() - cls.LIFETIME)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a random secret in hex: such secrets are long, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Scope(models.TextChoices):
    """What an app's token may do."""

    WRITE = "write", "Write events and people, read"
    EVENTS_WRITE = "events:write", "Write events"
    PEOPLE_WRITE = "people:write", "Write people"
    READ = "read", "Read, segment previews too"
    ADMIN = "admin", "Everything"


class ApiTokenQuerySet(models.QuerySet):
    def usable(self):
        return self.filter(revoked_at=None)


class ApiToken(models.Model):
    """The secret of an app, stored hashed and shown once."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=20, choices=Scope, default=Scope.WRITE)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False, help_text="How the secret begins, to tell tokens apart.")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self):
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def make(cls, *, secret: str | None = None, **fields) -> tuple["ApiToken", str]:
        """Store a token; return it with its secret, which is kept nowhere else."""
        secret = secret or f"ev_{secrets.token_urlsafe(32)}"
        return cls.objects.create(digest=digest_of(secret), hint=secret[:8], **fields), secret

    def allows(self, scope: str) -> bool:
        """Whether this token may do what needs `scope`."""
        granted = {self.scope}
        if self.scope == Scope.WRITE:
            granted = {Scope.EVENTS_WRITE, Scope.PEOPLE_WRITE, Scope.READ}
        return self.scope == Scope.ADMIN or scope in granted

    def revoke(self):
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])


class IdentitySecret(models.Model):
    """What signs who the user of a browser is; the customer's servers have it too. Kept as it is, since an HMAC needs
    it so. While one replaces another, both hold."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="identity_secrets")
    secret = models.CharField(max_length=64, default=new_identity_secret, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return f"Identity secret {self.pk} of {self.workspace}"


class ApiRequestQuerySet(models.QuerySet):
    def refused(self):
        return self.filter(status__gte=400)

    def with_notes(self):
        return self.exclude(notes=[])

    def newest(self, number: int, *, before: int | None = None):
        """The `number` newest, or the newest of those older than the one with the id `before`."""
        return (self.filter(pk__lt=before) if before else self).order_by("-pk")[:number]

    def forget_old(self, workspaces):
        """Delete all but the newest `KEPT` of each of these workspaces (by id)."""
        newest = ApiRequest.objects.filter(workspace=OuterRef("pk")).order_by("-pk").values("pk")
        beyond = Workspace.objects.filter(pk__in=workspaces).annotate(last=Subquery(newest[KEPT : KEPT + 1]))
        too_old = [Q(workspace=pk, pk__lte=last) for pk, last in beyond.values_list("pk", "last") if last]
        if too_old:
            self.filter(reduce(or_, too_old)).delete()


class ApiRequest(models.Model):
    """What an app asked and was answered: one of the latest requests of a workspace, for those who look for theirs.

    Nothing in it is a secret: see `eventsapp.redaction`.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="api_requests", db_index=False)
    request_id = models.UUIDField()
    at = models.DateTimeField(help_text="When it was answered.")
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500, help_text="With its query.")
    status = models.PositiveSmallIntegerField()
    token_name = models.CharField(max_length=100)
    body = models.TextField(blank=True, help_text="How it begins.")
    errors = models.JSONField(default=list, encoder=Utf8Json, help_text="The errors of the answer's error.list.")
    notes = models.JSONField(default=list, encoder=Utf8Json, help_text="Sentences: what the answer does not say.")
    left_out = models.PositiveIntegerField(
        default=0, help_text="How many other requests came before this one in a flood and were not kept."
    )

    objects = ApiRequestQuerySet.as_manager()

    class Meta:
        indexes = [
            # The newest of one workspace, to show them and to forget the older ones.
            models.Index(fields=["workspace", "id"], name="api_request_newest")
        ]

    def __str__(self):
        return f"{self.method} {self.path}: {self.status}"

    def get_absolute_url(self):
        return reverse("live_request", args=[self.workspace.app_id, self.pk])

    @property
    def is_refused(self) -> bool:
        return self.status >= 400


# People ------------------------------------------------------------------------------------------------------------


# Users and leads who are neither archived, merged away nor deleted.
PEOPLE = Q(role__in=("user", "lead"), archived_at=None, merged_into=None, deleted_at=None)
# The same, for questions: SQLite uses an index of PEOPLE only where the words of its condition stand in the statement.
AMONG_PEOPLE = Q(
    role__in=(RawSQL("'user'", ()), RawSQL("'lead'", ())), archived_at=None, merged_into=None, deleted_at=None
)


class ContactQuerySet(models.QuerySet):
    def people(self):
        """Those among People: the universe of every segment."""
        return self.filter(AMONG_PEOPLE)

    def present(self):
        """Everyone the API still knows, archived ones too."""
        return self.filter(merged_into=None, deleted_at=None)

    def found_by(self, words: str):
        """People whose id is `words`; else those whose name, email or user_id begins with them; else those whose name
        has a later word that does."""
        exact = self.filter(external_id=words)
        if match := CONTACT_ID.match(words.lower()):
            exact |= self.filter(workspace__key=match["key"], pk=int(match["pk"], 16))
        if exact.exists():
            return exact
        start = fold(words)
        beginning = self.filter(
            Q(email_folded__begins=start) | Q(name_folded__begins=start) | Q(external_id_folded__begins=start)
        )
        # No index knows the words within a name: they are looked for once there are some letters to tell them apart.
        is_enough = len(start) < 3 or beginning.exists()
        return beginning if is_enough else self.filter(name_folded__contains=f" {start}")


class Contact(models.Model):
    """A person (or a visitor, who is not shown) in a workspace."""

    class Role(models.TextChoices):
        USER = "user", "User"
        LEAD = "lead", "Lead"
        VISITOR = "visitor", "Visitor"

    id = models.AutoField(primary_key=True)  # four bytes on purpose: sets of people are bitmaps of 32-bit ids
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="contacts", db_index=False)
    role = models.CharField(max_length=10, choices=Role, default=Role.USER)
    external_id = models.CharField("user_id", max_length=255, null=True, blank=True)
    email = models.CharField(max_length=255, null=True, blank=True)
    name = models.CharField(max_length=255, null=True, blank=True)
    phone = models.CharField(max_length=64, null=True, blank=True)
    custom_attributes = models.JSONField(default=dict, blank=True, encoder=Utf8Json)
    created_at = models.BigIntegerField(default=now_in_seconds, editable=False)
    updated_at = models.BigIntegerField(default=now_in_seconds, editable=False)
    signed_up_at = models.BigIntegerField(null=True, blank=True)
    last_seen_at = models.BigIntegerField(null=True, blank=True)
    unsubscribed_from_emails = models.BooleanField(default=False)
    archived_at = models.BigIntegerField(null=True, editable=False)
    blocked_at = models.BigIntegerField(null=True, editable=False, help_text="Archived, and their browsers unheard.")
    deleted_at = models.BigIntegerField(null=True, editable=False)
    merged_into = models.ForeignKey("self", models.CASCADE, null=True, editable=False, related_name="merged")

    # What comparisons see; written by `fold_texts` and by ingest, never by hand. Folding may lengthen a text.
    external_id_folded = models.CharField(max_length=765, null=True, editable=False)
    email_folded = models.CharField(max_length=765, null=True, editable=False)
    name_folded = models.CharField(max_length=765, null=True, editable=False)
    terms = models.JSONField(null=True, editable=False, encoder=Utf8Json)

    objects = ContactQuerySet.as_manager()

    class Meta:
        constraints = [
            UniqueConstraint(fields=["workspace", "external_id"], name="one_contact_per_external_id"),
            UniqueConstraint(
                fields=["workspace", "email_folded"],
                condition=Q(external_id=None, role="user"),
                name="one_user_per_email_without_external_id",
            ),
        ]
        indexes = [
            # Every question about a workspace asks who is among its People, and reads this index alone.
            models.Index(fields=["workspace", "id"], condition=PEOPLE, name="contact_people"),
            # How many are new.
            models.Index(fields=["workspace", "created_at"], condition=PEOPLE, name="contact_people_new"),
            # The sweep looks after those who were deleted lately.
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="contact_deleted"),
            # And after those who were merged lately.
            models.Index(fields=["updated_at"], condition=Q(merged_into__isnull=False), name="contact_merged"),
            # The search box asks how a text begins; opclasses are PostgreSQL's alone and ignored by SQLite.
            *(
                models.Index(
                    fields=["workspace", f"{field}_folded"],
                    opclasses=["int8_ops", "varchar_pattern_ops"],
                    name=f"contact_{field}_begins",
                )
                for field in ("email", "name", "external_id")
            ),
        ]

    def __str__(self):
        return self.name or self.email or self.external_id or self.public_id

    def get_absolute_url(self):
        return reverse("person", args=[self.workspace.app_id, self.public_id])

    @cached_property
    def public_id(self) -> str:
        """Its id in the API: 24 hex digits, guessable and never a proof of anything."""
        return self.workspace.contact_id(self.pk)

    def fold_texts(self):
        """Bring what comparisons see up to date with the texts. Whoever changes a text calls this before saving."""
        from eventsapp.metadata import terms

        for field in ("external_id", "email", "name"):
            text = getattr(self, field)
            setattr(self, f"{field}_folded", None if text is None else fold(text))
        self.terms = terms(self.custom_attributes)


class DataAttribute(models.Model):
    """A custom attribute of a workspace's people: its name as it is written, and the type of its values."""

    class Type(models.TextChoices):
        STRING = "string", "a text"
        INTEGER = "integer", "a whole number"
        FLOAT = "float", "a number"
        BOOLEAN = "boolean", "true or false"
        DATE = "date", "a date in Unix seconds"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="attributes", db_index=False)
    name = models.CharField(max_length=255)
    data_type = models.CharField(max_length=10, choices=Type)
    is_guess = models.BooleanField(
        default=False, help_text="What the next app sends settles its type: until now only browsers have used it."
    )
    description = models.CharField(max_length=255, blank=True)
    options = models.JSONField(default=list, encoder=Utf8Json, help_text="The only texts that it may be, if any.")
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [UniqueConstraint(fields=["workspace", "name"], name="one_attribute_per_name")]

    def __str__(self):
        return self.name


class Tag(models.Model):
    """A word that is put on people, to find them by."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(max_length=255)
    name_folded = models.CharField(max_length=765, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name_folded"]
        constraints = [UniqueConstraint(fields=["workspace", "name_folded"], name="one_tag_per_name")]

    def __str__(self):
        return self.name

    def save(self, *args, **kwargs):
        self.name_folded = fold(self.name)
        super().save(*args, **kwargs)


class Tagging(models.Model):
    """That a person has a tag."""

    pk = CompositePrimaryKey("tag_id", "contact_id")
    tag = models.ForeignKey(Tag, models.CASCADE, db_index=False, related_name="taggings")
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="taggings")

    def __str__(self):
        return f"{self.contact_id} is {self.tag_id}"


class PeopleImportQuerySet(models.QuerySet):
    def waiting(self):
        return self.exclude(asked_at=None).filter(done_at=None)


class PeopleImport(models.Model):
    """A CSV file of people that staff uploaded, and what became of its rows.

    Its rows wait in `parts` until the worker has gone through them; of those it refused it keeps what they said for a
    week.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="people_imports", db_index=False)
    file_name = models.CharField(max_length=255)
    header = models.JSONField(encoder=Utf8Json, help_text="The names of the file's columns.")
    kinds = models.JSONField(help_text="Of what kinds the cells of each column are.")
    targets = models.JSONField(encoder=Utf8Json, help_text="What each column is for; until it is asked for, a guess.")
    tags = models.JSONField(default=list, encoder=Utf8Json, help_text="Names of tags that everybody gets.")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    uploaded_at = models.DateTimeField(default=timezone.now)
    asked_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(default=timezone.now, help_text="Not before: one that failed waits a while.")
    attempts = models.IntegerField(default=0, help_text="At the part whose turn it is, that failed.")
    size = models.IntegerField(default=0, help_text="Rows.")
    made = models.IntegerField(default=0)
    changed = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    refused = models.IntegerField(default=0)

    objects = PeopleImportQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], condition=Q(asked_at__isnull=False, done_at=None), name="people_import_waiting"
            ),
            models.Index(fields=["workspace", "-id"], name="people_import_newest"),
        ]

    def __str__(self):
        return self.file_name

    def get_absolute_url(self):
        return reverse("people_import", args=[self.workspace.app_id, self.pk])

    @property
    def position(self) -> int:
        """How many rows were gone through."""
        return self.made + self.changed + self.unchanged + self.refused

    @property
    def was_given_up(self) -> bool:
        """Whether it ended before its rows did, because of a fault of ours."""
        return self.done_at is not None and self.position < self.size


class ImportPart(models.Model):
    """Some rows of a file that wait to be imported: [[line number, [cell, …]], …] as JSON, in bytes because a text of
    PostgreSQL cannot hold whatever a file does."""

    of = models.ForeignKey(PeopleImport, models.CASCADE, related_name="parts")
    rows = models.BinaryField()

    def __str__(self):
        return f"Part {self.pk} of {self.of_id}"


class RefusedRow(models.Model):
    """A row that was not imported: its cells as JSON, in bytes."""

    of = models.ForeignKey(PeopleImport, models.CASCADE, related_name="refused_rows")
    line = models.IntegerField()
    error = models.TextField()
    cells = models.BinaryField()

    def __str__(self):
        return f"Line {self.line} of {self.of_id}"


# Events ------------------------------------------------------------------------------------------------------------


class EventType(models.Model):
    """An event name of a workspace, as stored: lower case, `.` and `$` as `-`."""

    id = models.AutoField(primary_key=True)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="event_types", db_index=False)
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=255, blank=True)
    watched = models.BooleanField(default=False, help_text="A live rule or a webhook waits for it.")
    archived_at = models.DateTimeField(null=True, blank=True)
    counted_until = models.DateTimeField(
        default=EPOCH, editable=False, help_text="Until when what was received of it is in its Volumes."
    )
    delete_from = models.DateTimeField(null=True, editable=False, help_text="Since when its data are being deleted.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [UniqueConstraint(fields=["workspace", "name"], name="one_event_type_per_name")]

    def __str__(self):
        return self.name


class Source(models.TextChoices):
    """By which door an event came."""

    API = "api", "API"
    BROWSER_VERIFIED = "browser-verified", "Browser, verified"
    BROWSER = "browser", "Browser"
    IMPORT = "import", "Import"


class Occurrence(models.Model):
    """What an event says: what Event keeps and HandOver copies, so that one condition can ask either.

    The database does not check the references: it would lock the contact and the type for each event, and these are
    rows that writers share. The statement that stores an event has just found both.
    """

    contact = models.ForeignKey(Contact, models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    type = models.ForeignKey(EventType, models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    created_at = models.BigIntegerField(help_text="When it happened: Unix seconds.")
    fingerprint = models.BigIntegerField(help_text="Tells apart what one person did twice in one second.")
    received_at = models.DateTimeField(help_text="When we stored it, by the database's clock.")
    source = models.CharField(max_length=16, choices=Source, default=Source.API)
    metadata = models.JSONField(default=dict, encoder=Utf8Json)
    terms = models.JSONField(null=True, encoder=Utf8Json)
    uuid = models.UUIDField(null=True, help_text="Its sender's own id; without one it is computed.")

    class Meta:
        abstract = True

    @property
    def key(self) -> tuple[int, int, int, int]:
        """(contact, created_at, type, fingerprint): what makes it this event and no other."""
        return self.contact_id, self.created_at, self.type_id, self.fingerprint

    @property
    def public_id(self) -> UUID:
        """Its id in the API: its own UUID, or one computed from its key."""
        return self.uuid or event_uuid(*self.key)


def event_uuid(contact_id: int, created_at: int, type_id: int, fingerprint: int) -> UUID:
    """Return the UUID of the event with this key, the same wherever it is asked for."""
    digest = hashlib.blake2b(b"%d %d %d %d" % (contact_id, created_at, type_id, fingerprint), digest_size=16)
    return UUID(bytes=digest.digest(), version=5)


class EventQuerySet(models.QuerySet):
    """A place in one person's history is (created_at, type, fingerprint): the time, and what orders equal times."""

    def newest_received(self, workspace, number: int):
        """The `number` events of the workspace that were stored last, newest first.

        Reads the index of each type alone: where some type has so many since a time, all of them are since that time.
        """
        of_type = Event.objects.filter(type=OuterRef("pk")).order_by("-received_at").values("received_at")
        types = EventType.objects.filter(workspace=workspace).annotate(since=Subquery(of_type[number - 1 : number]))
        types = dict(types.values_list("pk", "since"))
        found = self.filter(type__in=types)
        if reached := [since for since in types.values() if since]:
            found = found.filter(received_at__gte=max(reached))
        return found.order_by("-received_at", "-created_at", "type_id", "contact_id", "fingerprint")[:number]

    def of_type(self, type, *, before: str = ""):
        """All of one type, newest first; those beyond the `place_in_type` of one of them. Raises ValueError."""
        found = self.filter(type=type).order_by("-created_at", "-contact_id", "-fingerprint")
        if not before:
            return found
        place = (int(part) for part in before.split("."))
        return found.filter(_beyond("lt", zip(("created_at", "contact_id", "fingerprint"), place, strict=True)))

    def newest_first(self):
        return self.order_by("-created_at", "-type_id", "-fingerprint")

    def oldest_first(self):
        return self.order_by("created_at", "type_id", "fingerprint")

    def older_than(self, place: tuple[int, int, int]):
        return self.filter(_beyond("lt", zip(("created_at", "type_id", "fingerprint"), place, strict=True)))

    def newer_than(self, place: tuple[int, int, int]):
        return self.filter(_beyond("gt", zip(("created_at", "type_id", "fingerprint"), place, strict=True)))


def _beyond(compare: str, place: Iterable[tuple[str, int]]) -> Q:
    """Rows that come after `place`, [(field, value), …], in the order of its fields; `compare` is lt or gt."""
    found, same = Q(), Q()
    for field, value in place:
        found |= same & Q(**{f"{field}__{compare}": value})
        same &= Q(**{field: value})
    return found


class Event(Occurrence):
    """One occurrence. Nothing refers to it by foreign key and its key holds `created_at`, so it can be partitioned."""

    # Also the order in which a person's history is read.
    pk = CompositePrimaryKey("contact_id", "created_at", "type_id", "fingerprint")

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes = [
            # "Who did this lately" reads the index alone.
            models.Index(fields=["type", "created_at", "contact"], name="event_type_recent"),
            # A rule that has just gone live looks for what came in meanwhile.
            models.Index(fields=["type", "received_at"], name="event_type_received"),
        ]

    def __str__(self):
        return str(self.public_id)

    @property
    def place(self) -> str:
        """Where it stands in its person's history, as a cursor: milliseconds as Intercom has them, then what orders
        events of one second."""
        return f"{self.created_at * 1000}.{self.type_id}.{self.fingerprint}"

    @property
    def place_in_type(self) -> str:
        """Where it stands among the events of its type, as a cursor."""
        return f"{self.created_at}.{self.contact_id}.{self.fingerprint}"


def place_from(cursor: str) -> tuple[int, int, int]:
    """Read a cursor; bare milliseconds stand before their whole second. Raises ValueError."""
    milliseconds, *rest = (int(part) for part in cursor.split("."))
    type_id, fingerprint = rest or (0, 0)
    return -(-milliseconds // 1000), type_id, fingerprint


class Volume(models.Model):
    """How many events of a type happened in a quarter of an hour, of those received up to its `counted_until`.

    By quarters, because every time zone's day begins with one.
    """

    SECONDS = 900

    pk = CompositePrimaryKey("type_id", "quarter")
    type = models.ForeignKey(EventType, models.CASCADE, db_index=False, related_name="volumes")
    quarter = models.IntegerField(help_text="Its beginning in Unix seconds, divided by 900.")
    count = models.IntegerField()

    def __str__(self):
        return f"{self.type_id} in quarter {self.quarter}: {self.count}"


class EventSummaryQuerySet(models.QuerySet):
    def with_totals(self):
        """Annotate `total`, `first` and `last` (Unix seconds): what the events say with the imported baseline."""
        return self.annotate(
            total=F("count") + F("imported_count"),
            # LEAST of a NULL is NULL on SQLite, so each side stands in for the other.
            first=Least(Coalesce("first_at", "imported_first_at"), Coalesce("imported_first_at", "first_at")),
            last=Greatest(Coalesce("last_at", "imported_last_at"), Coalesce("imported_last_at", "last_at")),
        )


class EventSummary(models.Model):
    """How often one person did one thing, first and last (Unix seconds): always what their events say.

    Imported totals are a baseline in columns of their own.
    """

    pk = CompositePrimaryKey("type_id", "contact_id")
    type = models.ForeignKey(EventType, models.CASCADE, db_index=False, related_name="summaries")
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="summaries")
    count = models.IntegerField(default=0)
    first_at = models.BigIntegerField(null=True)
    last_at = models.BigIntegerField(null=True)
    imported_count = models.IntegerField(default=0)
    imported_first_at = models.BigIntegerField(null=True)
    imported_last_at = models.BigIntegerField(null=True)

    objects = EventSummaryQuerySet.as_manager()

    def __str__(self):
        return f"{self.type_id} by {self.contact_id}: {self.count}"


class HandOver(Occurrence):
    """A stored event that is still to be matched with the rules: written with the event, deleted with its answer."""

    contact = models.ForeignKey(Contact, models.CASCADE, db_constraint=False, related_name="+")
    occurrence = models.IntegerField(help_text="The person's count of this event right after it.")
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.IntegerField(default=0)
    error = models.TextField(blank=True)
    parked_at = models.DateTimeField(null=True, help_text="Given up after several attempts; staff see it.")

    class Meta:
        constraints = [
            UniqueConstraint(fields=["contact", "created_at", "type", "fingerprint"], name="one_hand_over_per_event")
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(parked_at=None), name="hand_over_due")]

    def __str__(self):
        return f"{self.public_id} to be matched"


class BulkJob(models.Model):
    """Events or users that came as items of bulk requests of API 1.x. Each request is a task: its number of items, and
    of those that failed. `failed` holds the first of these, each as a JSON text: {"item": …, "errors": […]}."""

    class Of(models.TextChoices):
        EVENTS = "event"
        USERS = "user"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    public_id = models.CharField(max_length=40, unique=True, default=new_job_id)
    of = models.CharField(max_length=10, choices=Of, default=Of.EVENTS)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    closing_at = models.DateTimeField()
    tasks = models.JSONField(default=list)
    failed = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["workspace", "created_at"], name="bulk_job_oldest")]

    def __str__(self):
        return self.public_id


class Heartbeat(models.Model):
    """When the worker was last seen at work."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self):
        return f"{self.name} at {self.at:%c}"

    @classmethod
    def beat(cls, name: str):
        """Note that `name` is alive now."""
        cls.objects.update_or_create(name=name, defaults={"at": timezone.now()})
