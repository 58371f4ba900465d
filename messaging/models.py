"""What we say to people, when, and what became of it."""

import uuid

from django.db import models
from django.db.models import Q, UniqueConstraint
from django.urls import reverse
from django.utils import timezone

from eventsapp.models import Contact, EventType, Workspace
from segments.definition import parse_where
from segments.models import Segment

# What stands behind the @ of our Message-IDs: it only has to be nobody else's.
DOMAIN = "deliveries.eventsapp"


class AutoMessageQuerySet(models.QuerySet):
    def live(self):
        return self.filter(state=AutoMessage.State.LIVE)


class AutoMessage(models.Model):
    """A rule: when this event happens with these metadata, to one of this audience, send this text."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        LIVE = "live", "Live"
        PAUSED = "paused", "Paused"

    class Frequency(models.TextChoices):
        ONCE = "once", "Only the first time"
        EVERY_TIME = "every_time", "Every time"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="auto_messages")
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT, editable=False)
    trigger = models.ForeignKey(EventType, models.PROTECT, related_name="auto_messages")
    where = models.JSONField(default=list, blank=True, help_text="Conditions on the metadata of that very event.")
    audience = models.ForeignKey(
        Segment, models.PROTECT, null=True, blank=True, related_name="auto_messages", help_text="Empty: everyone."
    )
    frequency = models.CharField(max_length=20, choices=Frequency, default=Frequency.ONCE)
    subject = models.CharField(max_length=255)
    body = models.TextField(max_length=20_000)
    live_since = models.DateTimeField(
        null=True, editable=False, help_text="Events received from then on count, by the database's clock."
    )
    caught_up = models.BooleanField(
        default=True, editable=False, help_text="Events stored while it was going live were looked for."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = AutoMessageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["trigger"], condition=Q(state="live"), name="auto_message_live")]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("auto_message", args=[self.workspace.app_id, self.pk])

    def sentence(self) -> str:
        """What the rule does, in words."""
        where = " and ".join(str(condition) for condition in parse_where(self.where))
        when = f"{self.trigger.name} where {where}" if where else self.trigger.name
        who = f"in “{self.audience}”" if self.audience else ""
        often = "the first time only" if self.frequency == self.Frequency.ONCE else "every time"
        return " ".join(f"Sends an email when someone {who} does {when}, {often}.".split())


class Recipient(models.Model):
    """A person whom a rule has met. Locked while it is decided whether they get the message (again)."""

    message = models.ForeignKey(AutoMessage, models.CASCADE, related_name="+", db_index=False)
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="+")

    class Meta:
        constraints = [UniqueConstraint(fields=["message", "contact"], name="one_lock_per_message_and_contact")]

    def __str__(self):
        return f"{self.contact_id} of {self.message_id}"


class DeliveryQuerySet(models.QuerySet):
    def due(self):
        """To be sent now: queued and not to be waited for, or claimed by a worker whose lease ran out."""
        return self.filter(state__in=(Delivery.State.QUEUED, Delivery.State.SENDING), due_at__lte=timezone.now())

    def newest(self, size: int, before: int | None = None) -> list["Delivery"]:
        """Return up to `size` deliveries, newest first, those below the id `before`, with what a list shows of them."""
        listed = self.filter(pk__lt=before) if before else self
        return list(listed.select_related("message__workspace", "contact__workspace").order_by("-pk")[:size])

    def counting(self):
        """Those that frequency counts: neither skipped, nor held as too old, nor failed for good."""
        return self.filter(state__in=(Delivery.State.QUEUED, Delivery.State.SENDING, Delivery.State.SENT))


class Delivery(models.Model):
    """One message to one person because of one event, with its own copy of the event, and a reason for every end."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        HELD = "held", "Held"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"

    class Reason(models.TextChoices):
        NONE = "", "—"
        TOO_OLD = "too_old", "Too old: it happened more than 24 hours before we heard of it"
        NOT_IN_AUDIENCE = "not_in_audience", "Not in the audience"
        FREQUENCY = "frequency", "Already had this message"
        NO_ADDRESS = "no_address", "No email address"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed from emails"
        GONE = "gone", "No longer among the people here"
        NOT_LIVE = "not_live", "The rule is not live any more"
        TEMPLATE_ERROR = "template_error", "The text could not be filled in"
        REFUSED = "refused", "The mail server refused it"
        BROKEN = "broken", "Something broke here while sending"
        GAVE_UP = "gave_up", "The mail server did not take it for a day"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    message = models.ForeignKey(AutoMessage, models.CASCADE, related_name="deliveries", db_index=False)
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField(help_text="The id of the event in the API.")
    event = models.JSONField(help_text="What the text may use of it: event_name, created_at (Unix seconds), metadata.")

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=20, choices=Reason, default=Reason.NONE, blank=True)
    detail = models.TextField(blank=True, help_text="The error in its own words.")
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, help_text="Not before: every wait of a delivery is this.")
    queued_at = models.DateTimeField(default=timezone.now, help_text="Since when it has been tried.")
    claim = models.UUIDField(null=True, editable=False, help_text="Whose it is while it is being sent.")
    subject = models.TextField(blank=True, help_text="As sent.")
    body = models.TextField(blank=True, help_text="As sent: HTML.")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="For the first time, as far as the reader's program tells.")
    clicked_at = models.DateTimeField(null=True, help_text="For the first time.")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            UniqueConstraint(
                # With the person: an app may give one uuid to what two people did.
                fields=["message", "contact", "event_id"],
                name="one_delivery_per_message_and_event",
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=("queued", "sending")), name="delivery_due"),
            models.Index(fields=["message", "contact"], name="delivery_message_contact"),
            models.Index(fields=["message", "-id"], name="delivery_message_newest"),
        ]

    def __str__(self):
        return f"{self.message} to {self.contact}"

    def get_absolute_url(self):
        return reverse("delivery", args=[self.contact.workspace.app_id, self.pk])

    @property
    def mail_id(self) -> str:
        """The Message-ID of its mail, the same for every attempt, so that a repeat can be told for one."""
        return f"<{self.uuid}@{DOMAIN}>"
