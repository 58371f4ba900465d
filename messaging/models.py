"""What we say to people, when, and what became of it."""

import hashlib
import hmac
import secrets
import uuid
from email.headerregistry import Address
from urllib.parse import urlsplit

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Count, Q, UniqueConstraint
from django.urls import reverse
from django.utils import timezone

from eventsapp.models import Contact, EventType, Occurrence, Workspace
from eventsapp.text import fold
from messaging.words import sentence_of
from segments.models import Segment

# What stands behind the @ of our Message-IDs: it only has to be nobody else's.
DOMAIN = "deliveries.eventsapp"
DELETED = "deleted:"  # before the digest of an address; no address has a colon before its @


def new_secret() -> str:
    return secrets.token_hex(32)


class Sender(models.Model):
    """An address that mails of a workspace come from."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="senders")
    name = models.CharField(max_length=100, blank=True)
    email = models.EmailField()

    class Meta:
        ordering = ["email"]
        constraints = [
            UniqueConstraint(
                fields=["workspace", "email"],
                name="one_sender_per_address",
                violation_error_message="This address is a sender already.",
            )
        ]

    def __str__(self):
        return str(Address(self.name, addr_spec=self.email)) if self.name else self.email


class Policy(models.Model):
    """What holds for all messages of a workspace: how many one person may get, and the secret that signs webhooks."""

    workspace = models.OneToOneField(Workspace, models.CASCADE, related_name="policy", primary_key=True)
    most = models.PositiveIntegerField(
        "most messages per person",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Of all rules together, those for transactions left out. Empty: no limit.",
    )
    most_days = models.PositiveIntegerField("in so many days", default=7)
    webhook_secret = models.CharField(max_length=64, default=new_secret, editable=False)

    def __str__(self):
        return f"Policy of {self.workspace}"

    @classmethod
    def of(cls, workspace: Workspace) -> "Policy":
        """The policy of a workspace, made when it is first asked for."""
        return cls.objects.get_or_create(workspace=workspace)[0]


class Suppression(models.Model):
    """An address that mails of a workspace go to no more, whatever they are."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "Bounced"
        COMPLAINT = "complaint", "Complained"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="suppressions", db_index=False)
    email = models.CharField(max_length=765, help_text="As comparisons see it, folded; of somebody deleted a digest.")
    reason = models.CharField(max_length=10, choices=Reason)
    at = models.DateTimeField(default=timezone.now)
    note = models.TextField(blank=True, help_text="What the provider, or the mail server, says of it.")

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [UniqueConstraint(fields=["workspace", "email"], name="one_suppression_per_address")]
        indexes = [models.Index(fields=["workspace", "-at"], name="suppression_newest")]

    def __str__(self):
        return "somebody deleted" if self.email.startswith(DELETED) else self.email

    @classmethod
    def of(cls, workspace_id: int, email_folded: str):
        """Return the queryset of what keeps mails from an address, be its owner deleted."""
        return cls.objects.filter(workspace=workspace_id, email__in=(email_folded, cls.digest_of(email_folded)))

    @classmethod
    def make(cls, workspace: Workspace, email: str, reason: str, note: str):
        """Suppress an address, unless it is already. `email` is folded here, `note` is what the far end said."""
        suppressed = cls(workspace=workspace, email=fold(email), reason=reason, note=note)
        cls.objects.bulk_create([suppressed], ignore_conflicts=True)

    @staticmethod
    def digest_of(email_folded: str) -> str:
        """Return what stands for the address of somebody deleted: it is known again, but nobody can read it."""
        key = f"{settings.SECRET_KEY}:suppressed".encode()
        return DELETED + hmac.new(key, email_folded.encode(), hashlib.sha256).hexdigest()


def told_of(event: Occurrence, name: str) -> dict:
    """What a delivery, or a notification, keeps of the event of this name that it was made because of."""
    return {
        "id": str(event.public_id),
        "event_name": name,
        "created_at": event.created_at,
        "metadata": event.metadata,
    }


class AutoMessageQuerySet(models.QuerySet):
    def live(self):
        return self.filter(state=AutoMessage.State.LIVE)

    def answering(self):
        """Those whose events become deliveries: the live ones, and those that paused themselves, whose are held."""
        return self.filter(Q(state="live") | Q(state="paused") & ~Q(paused_because=""))

    def in_use(self):
        return self.exclude(state=AutoMessage.State.ARCHIVED)


class Rules(models.Manager.from_queryset(AutoMessageQuerySet)):
    """Leaves out what was sent to one person alone."""

    def get_queryset(self):
        return super().get_queryset().exclude(trigger=None)


class AutoMessage(models.Model):
    """A rule: when this event happens with these metadata, to one of this audience, send this text.

    Without a trigger it is no rule, but what was sent to one person (messaging.single), and among `every` alone.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        LIVE = "live", "Live"
        PAUSED = "paused", "Paused"
        ARCHIVED = "archived", "Archived"

    class Frequency(models.TextChoices):
        ONCE = "once", "Only the first time"
        EVERY_TIME = "every_time", "Every time"
        ONCE_PER = "once_per", "At most once in some time"

    class Channel(models.TextChoices):
        EMAIL = "email", "Email"
        WEBHOOK = "webhook", "Webhook"
        IN_APP = "in_app", "In-app message"

    class Display(models.TextChoices):
        CARD = "card", "Card in the corner"
        BANNER = "banner", "Banner at the top"

    # What a version keeps: all that decides who gets what, and when.
    VERSIONED = (
        "channel", "where", "nth", "audience_id", "conditions", "frequency", "per_seconds", "most_times",
        "delay_seconds", "unless", "starts_on", "stops_on", "hours", "is_transactional", "allows_browser",
        "sender_id", "subject", "body", "url", "display",
    )  # fmt: skip

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="auto_messages")
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT, editable=False)
    paused_because = models.TextField(blank=True, editable=False, help_text="If it paused itself.")

    trigger = models.ForeignKey(EventType, models.PROTECT, null=True, related_name="auto_messages")
    where = models.JSONField(default=list, blank=True, help_text="Conditions on the metadata of that very event.")
    nth = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Only if it is somebody's nth of these events.",
    )
    audience = models.ForeignKey(
        Segment, models.PROTECT, null=True, blank=True, related_name="auto_messages", help_text="Empty: everyone."
    )
    conditions = models.JSONField(null=True, blank=True, help_text="A definition, instead of a saved segment.")

    frequency = models.CharField(max_length=20, choices=Frequency, default=Frequency.ONCE)
    per_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="In which it is sent at most once.")
    most_times = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="How often one person gets it at all."
    )

    delay_seconds = models.PositiveIntegerField(default=0, help_text="From the event's matching to the sending.")
    unless = models.JSONField(
        null=True,
        blank=True,
        help_text='What cancels it meanwhile: {"event", "where": […], "same": [keys whose values are the trigger\'s]}.',
    )
    starts_on = models.DateField(null=True, blank=True, help_text="The first day on which events count.")
    stops_on = models.DateField(null=True, blank=True, help_text="The last one.")
    hours = models.JSONField(
        null=True,
        blank=True,
        help_text='When it may go out: {"days": [0 to 6, Monday is 0], "from": "09:00", "to": "17:00"}.',
    )

    channel = models.CharField(max_length=10, choices=Channel, default=Channel.EMAIL)
    sender = models.ForeignKey(Sender, models.PROTECT, null=True, blank=True, related_name="+")
    subject = models.CharField(max_length=255, blank=True)
    body = models.TextField(max_length=20_000, blank=True)
    url = models.URLField(max_length=500, blank=True)
    display = models.CharField(max_length=10, choices=Display, default=Display.CARD, help_text="Of in-app messages.")
    is_transactional = models.BooleanField(
        default=False, help_text="Part of what somebody ordered: it goes to those who unsubscribed, too."
    )
    allows_browser = models.BooleanField(
        default=False, help_text="Whether events from browsers that prove nothing make emails and webhooks go out."
    )
    guard_per_hour = models.PositiveIntegerField(
        default=10_000, validators=[MinValueValidator(1)], help_text="Above this many in an hour it pauses itself."
    )

    live_since = models.DateTimeField(
        null=True, editable=False, help_text="Events received from then on count, by the database's clock."
    )
    caught_up = models.BooleanField(
        default=True, editable=False, help_text="Events stored while it was going live were looked for."
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text="Who sent it to one person.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = Rules()
    every = AutoMessageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["trigger"], condition=Q(state__in=("live", "paused")), name="auto_message_answering")
        ]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("auto_message", args=[self.workspace.app_id, self.pk])

    @property
    def is_answering(self) -> bool:
        """Whether its events become deliveries, be they held."""
        return self.state == self.State.LIVE or self.state == self.State.PAUSED and bool(self.paused_because)

    def sentence(self) -> str:
        """What the rule does, in words."""
        return sentence_of(self)


class RuleVersion(models.Model):
    """A rule as it was at one time: what its deliveries of that time were made from."""

    message = models.ForeignKey(AutoMessage, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    rule = models.JSONField(encoder=DjangoJSONEncoder, help_text="The fields of AutoMessage.VERSIONED.")
    trigger_name = models.CharField(max_length=255)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["number"]
        constraints = [UniqueConstraint(fields=["message", "number"], name="one_version_per_number")]

    def __str__(self):
        return f"Version {self.number}"


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
        """To be sent now: whatever waited until this time, or was claimed by a worker whose lease ran out."""
        return self.filter(WAITING, due_at__lte=timezone.now())

    def newest(self, size: int, before: int | None = None) -> list["Delivery"]:
        """Return up to `size` deliveries, newest first, those below the id `before`, with what a list shows of them."""
        listed = self.filter(pk__lt=before) if before else self
        related = ("message__workspace", "contact__workspace", "version")
        return list(listed.select_related(*related).defer("body").order_by("-pk")[:size])

    def counting(self):
        """Those that frequency counts: all that were neither skipped nor cancelled."""
        return self.exclude(state__in=(Delivery.State.SKIPPED, Delivery.State.CANCELLED))

    def releasable(self):
        """Those that staff may send after all: held for good, or failed."""
        return self.filter(Q(state="failed") | Q(state="held") & ~Q(reason="hours"))

    def waiting_for_staff(self) -> dict[str, int]:
        """How many failed, how many are held, and how many of these go on by themselves in their hours."""
        counts = dict(self.values_list("state").filter(state__in=("held", "failed")).annotate(n=Count("pk")).order_by())
        hours = self.filter(WAITING, state="held").count()
        return {"failed": counts.get("failed", 0), "held": counts.get("held", 0) - hours, "waiting": hours}


# Whatever has a time at which it goes on by itself.
WAITING = Q(state__in=("queued", "sending")) | Q(state="held", reason="hours")


class Delivery(models.Model):
    """One message to one person because of one event, with its own copy of the event, and a reason for every end."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        HELD = "held", "Held"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"
        CANCELLED = "cancelled", "Cancelled"

    class Reason(models.TextChoices):
        NONE = "", "—"
        TOO_OLD = "too_old", "Too old: it happened more than 24 hours before we heard of it"
        HOURS = "hours", "Waits for the hours in which it may go out"
        NOT_LIVE = "not_live", "The rule is not live any more"
        OUTSIDE_DATES = "outside_dates", "Before the rule's first day, or after its last"
        UNVERIFIED = "unverified", "From a browser that proved nothing"
        NOT_IN_AUDIENCE = "not_in_audience", "Not in the audience"
        FREQUENCY = "frequency", "Already had this message"
        CAP = "cap", "Had enough messages lately"
        NO_ADDRESS = "no_address", "No email address"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed from emails"
        SUPPRESSED = "suppressed", "Their address bounced, or they complained"
        GONE = "gone", "No longer among the people here"
        UNLESS = "unless", "They did meanwhile what the rule waits for"
        BY_STAFF = "by_staff", "Cancelled by a colleague"
        ARCHIVED = "archived", "The rule is archived"
        TEMPLATE_ERROR = "template_error", "The text could not be filled in"
        REFUSED = "refused", "It was refused"
        BROKEN = "broken", "Something broke here while sending"
        GAVE_UP = "gave_up", "It was not taken for a day"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    message = models.ForeignKey(AutoMessage, models.CASCADE, related_name="deliveries", db_index=False)
    contact = models.ForeignKey(Contact, models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField(help_text="The id of the event in the API.")
    event = models.JSONField(help_text="What the text may use of it: event_name, created_at (Unix seconds), metadata.")
    version = models.ForeignKey(
        RuleVersion, models.SET_NULL, null=True, related_name="deliveries", help_text="The rule that it was made from."
    )

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=20, choices=Reason, default=Reason.NONE, blank=True)
    detail = models.TextField(blank=True, help_text="The error in its own words.")
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, help_text="Not before: every wait of a delivery is this.")
    queued_at = models.DateTimeField(default=timezone.now, help_text="Since when it has been tried.")
    claim = models.UUIDField(null=True, editable=False, help_text="Whose it is while it is being sent.")
    is_unverified = models.BooleanField(
        default=False, help_text="Whether it is shown in a browser that proved nothing: whose event caused it."
    )
    is_let_through = models.BooleanField(
        default=False, editable=False, help_text="What one person may get in all had room for it."
    )
    subject = models.TextField(blank=True, help_text="As sent.")
    body = models.TextField(blank=True, help_text="As sent: HTML.")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="For the first time, as far as the reader's program tells.")
    clicked_at = models.DateTimeField(null=True, help_text="For the first time.")
    dismissed_at = models.DateTimeField(null=True, help_text="When its reader was done with an in-app message.")

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
            models.Index(fields=["due_at"], condition=WAITING, name="delivery_due"),
            models.Index(fields=["message", "contact"], name="delivery_message_contact"),
            models.Index(fields=["message", "-id"], name="delivery_message_newest"),
            # How many one person was sent lately, of all rules.
            models.Index(fields=["contact", "sent_at"], condition=Q(state="sent"), name="delivery_contact_sent"),
        ]

    def __str__(self):
        return f"{self.message} to {self.contact}"

    def get_absolute_url(self):
        return reverse("delivery", args=[self.contact.workspace.app_id, self.pk])

    @property
    def channel(self) -> str:
        """By which channel it was, or is to be, sent."""
        return self.version.rule["channel"] if self.version else self.message.channel

    @property
    def mail_id(self) -> str:
        """The Message-ID of its mail, the same for every attempt, so that a repeat can be told for one."""
        return f"<{self.uuid}@{DOMAIN}>"


class Mailbox(models.Model):
    """When the in-app messages of a person changed last: what browsers ask for is remembered until then."""

    contact = models.OneToOneField(Contact, models.CASCADE, related_name="+", primary_key=True)
    changed_at = models.DateTimeField(db_index=True)

    def __str__(self):
        return f"Mailbox of {self.contact_id}"

    @classmethod
    def changed(cls, contact: int):
        """Note that the messages of this contact (by id) are others now, or will be in a moment."""
        cls.objects.update_or_create(contact_id=contact, defaults={"changed_at": timezone.now()})


class Messenger(models.Model):
    """How the in-app messages of a workspace look in its customers' pages, unless these say otherwise."""

    class Alignment(models.TextChoices):
        RIGHT = "right", "Right"
        LEFT = "left", "Left"

    class Theme(models.TextChoices):
        SYSTEM = "system", "As the reader's system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    workspace = models.OneToOneField(Workspace, models.CASCADE, related_name="messenger", primary_key=True)
    alignment = models.CharField("side", max_length=5, choices=Alignment, default=Alignment.RIGHT)
    horizontal_padding = models.PositiveSmallIntegerField("from that side", default=20, help_text="In pixels.")
    vertical_padding = models.PositiveSmallIntegerField("from below", default=20, help_text="In pixels.")
    action_color = models.CharField(
        "colour",
        max_length=7,
        default="#2456d6",
        validators=[RegexValidator(r"\A#[0-9a-fA-F]{6}\Z", "Write a colour such as #2456d6.")],
    )
    theme_mode = models.CharField("theme", max_length=6, choices=Theme, default=Theme.SYSTEM)
    shows_launcher = models.BooleanField(
        "show a button that opens the latest messages", default=True, help_text="To those who are no visitors."
    )

    def __str__(self):
        return f"Messenger of {self.workspace}"

    @classmethod
    def of(cls, workspace: Workspace) -> "Messenger":
        """The messenger of a workspace, as it is before anybody has chosen, too."""
        return cls.objects.filter(workspace=workspace).first() or cls(workspace=workspace)

    def as_settings(self) -> dict:
        """The settings of the library in a page that choose the same."""
        names = ("alignment", "horizontal_padding", "vertical_padding", "action_color", "theme_mode")
        return {name: getattr(self, name) for name in names} | {"hide_default_launcher": not self.shows_launcher}


class Pace(models.Model):
    """How many messages may go out by a channel at once: what was left at one time grows as fast as is allowed."""

    channel = models.CharField(max_length=10, primary_key=True)
    at = models.DateTimeField()
    left = models.FloatField()

    def __str__(self):
        return f"{self.channel}: {self.left:.1f} left at {self.at:%c}"


# Telling other systems ------------------------------------------------------------------------------------------------


def new_subscription_id() -> str:
    return f"nsub_{uuid.uuid4()}"


class SubscriptionQuerySet(models.QuerySet):
    def stopped(self):
        """Those that stopped themselves: their receiver was gone, or failed for days."""
        return self.filter(active=False).exclude(stopped_because="")


class Subscription(models.Model):
    """An address that is told of every event of some types, as Intercom's webhooks tell it."""

    EVENT_CREATED, PING = "event.created", "ping"
    TOPICS = (EVENT_CREATED, PING)

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="subscriptions")
    public_id = models.CharField(max_length=50, unique=True, default=new_subscription_id, editable=False)
    url = models.URLField("address", max_length=500)
    topics = models.JSONField(default=list)
    hub_secret = models.CharField(
        "secret of its own",
        max_length=255,
        blank=True,
        help_text="Signs what is posted there. Empty: the secret of all webhooks does.",
    )
    active = models.BooleanField(default=True)
    stopped_because = models.TextField(blank=True, editable=False, help_text="If it stopped itself.")

    failing_since = models.DateTimeField(
        null=True, editable=False, help_text="Of all the attempts since none was taken."
    )
    straight_errors = models.PositiveIntegerField(default=0, editable=False)
    counted_since = models.DateTimeField(null=True, editable=False, help_text="The first of these straight errors.")
    throttles = models.PositiveIntegerField(default=0, editable=False, help_text="Waits after a 429 without a success.")
    paused_until = models.DateTimeField(null=True, editable=False, help_text="Nothing is posted before.")

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        # Not all of the address: it may hold a secret, and this stands where everybody reads.
        return urlsplit(self.url).hostname or self.public_id

    def get_absolute_url(self):
        return f"{reverse('webhooks', args=[self.workspace.app_id])}#{self.public_id}"

    @property
    def is_paused(self) -> bool:
        return self.active and self.paused_until is not None and self.paused_until > timezone.now()

    def event_names(self) -> list[str]:
        return sorted(wish.type.name for wish in self.wishes.all())


class WishQuerySet(models.QuerySet):
    def active(self):
        return self.filter(subscription__active=True)


class Wish(models.Model):
    """An event type that a subscription names, and since when."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="wishes", db_index=False)
    type = models.ForeignKey(EventType, models.CASCADE, related_name="+")
    since = models.DateTimeField(help_text="Events received from then on are told, by the database's clock.")
    caught_up = models.BooleanField(default=False, help_text="Events stored while it was being made were looked for.")

    objects = WishQuerySet.as_manager()

    class Meta:
        constraints = [UniqueConstraint(fields=["subscription", "type"], name="one_wish_per_subscription_and_type")]
        indexes = [models.Index(fields=["since"], condition=Q(caught_up=False), name="wish_to_catch_up")]

    def __str__(self):
        return f"{self.type} for {self.subscription}"


class NotificationQuerySet(models.QuerySet):
    def due(self):
        """To be posted now: whatever waited until this time, or was claimed by a worker whose lease ran out."""
        now = timezone.now()
        may_go = Q(subscription__paused_until=None) | Q(subscription__paused_until__lte=now)
        return self.filter(ON_ITS_WAY, may_go, due_at__lte=now)

    def newest(self, size: int, before: int | None = None) -> list["Notification"]:
        """Return up to `size` notifications, newest first, those below the id `before`."""
        listed = self.filter(pk__lt=before) if before else self
        return list(listed.select_related("subscription__workspace", "contact__workspace").order_by("-pk")[:size])

    def failed(self):
        return self.filter(state=Notification.State.FAILED)


ON_ITS_WAY = Q(state__in=("queued", "sending"))
HAS_ENDED = Q(state__in=("sent", "failed"))


class Notification(models.Model):
    """One event told to one subscription, with its own copy of the event, and a reason for its end; or a ping, which
    is because of nobody."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    class Reason(models.TextChoices):
        NONE = "", "—"
        NO_ANSWER = "no_answer", "There was no answer in time"
        REFUSED = "refused", "It was not taken"
        THROTTLED = "throttled", "There were too many, for hours"
        GONE = "gone", "The receiver is gone"
        NOT_ALLOWED = "not_allowed", "Nothing may be posted to this address"
        STOPPED = "stopped", "The subscription was stopped"
        BROKEN = "broken", "Something broke here while posting"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="notifications", db_index=False)
    topic = models.CharField(max_length=40)
    contact = models.ForeignKey(Contact, models.CASCADE, null=True, related_name="notifications")
    event_id = models.UUIDField(null=True, help_text="The id of the event in the API.")
    event = models.JSONField(null=True, help_text="id, event_name, created_at (Unix seconds), metadata.")

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=20, choices=Reason, default=Reason.NONE, blank=True)
    detail = models.TextField(blank=True, help_text="The error in its own words.")
    attempts = models.IntegerField(default=0)
    errors = models.IntegerField(default=0, help_text="Since it was queued: after the second it fails.")
    throttled = models.IntegerField(default=0, help_text="How often it met a 429 since it was queued.")
    due_at = models.DateTimeField(default=timezone.now, help_text="Not before: every wait of a notification is this.")
    claim = models.UUIDField(null=True, editable=False, help_text="Whose it is while it is being posted.")
    created_at = models.DateTimeField(default=timezone.now)
    first_sent_at = models.DateTimeField(null=True, help_text="When it was first tried.")
    ended_at = models.DateTimeField(null=True, help_text="When it was taken, or given up.")

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints = [
            UniqueConstraint(
                fields=["subscription", "contact", "event_id"], name="one_notification_per_subscription_and_event"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=ON_ITS_WAY, name="notification_due"),
            models.Index(fields=["subscription", "-id"], name="notification_newest"),
            models.Index(fields=["subscription", "-id"], condition=Q(state="failed"), name="notification_failed"),
            # What is forgotten after some days.
            models.Index(fields=["state", "ended_at"], condition=HAS_ENDED, name="notification_ended"),
        ]

    def __str__(self):
        return f"{self.topic} to {self.subscription}"

    @property
    def public_id(self) -> str:
        """Its id where it is posted, the same for every attempt, so that a repeat can be told for one."""
        return f"notif_{self.uuid}"
