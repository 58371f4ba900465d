"""Settings → Webhooks: the addresses that are told of events, how their receivers do, and what they did not take."""

from dataclasses import dataclass

from django import forms
from django.contrib import messages as notices
from django.db.models import Count, OuterRef, Subquery
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from eventsapp.errors import NotFound, Refused
from eventsapp.models import Role, Workspace
from eventsapp.pages import staff_page
from messaging import subscriptions
from messaging.models import ON_ITS_WAY, Notification, Subscription
from messaging.subscribing import EXAMPLE, LONGEST_SECRET, LONGEST_URL, read_subscription

SHOWN = 5  # failures of each
# Where a fault of the API is told.
FIELDS = {"url": "url", "metadata.event_names": "event_names", "hub_secret": "hub_secret"}


class SubscriptionForm(forms.Form):
    """A subscription as it is, or as it was typed; what is wrong with it is told as the API tells it."""

    url = forms.CharField(
        label="Address", max_length=LONGEST_URL, widget=forms.URLInput(attrs={"placeholder": EXAMPLE})
    )
    event_names = forms.CharField(
        label="Events", help_text="One on each line.", widget=forms.Textarea(attrs={"rows": 3})
    )
    hub_secret = forms.CharField(
        label="Secret of its own",
        max_length=LONGEST_SECRET,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, subscription: Subscription, posted=None):
        names = subscription.event_names() if subscription.pk else []
        stored = {"url": subscription.url, "event_names": "\n".join(names)}
        super().__init__(posted, initial=stored, prefix=subscription.public_id if subscription.pk else "new")
        self.subscription, self.found = subscription, {}
        self.fields["hub_secret"].help_text = (
            "It signs what is posted there. Empty: it stays as it is."
            if subscription.pk
            else "It signs what is posted there. Empty: the secret of all webhooks does."
        )

    def clean(self):
        typed = super().clean()
        if self.errors:
            return
        names = [line.strip() for line in typed["event_names"].splitlines()]
        topics = dict.fromkeys([*self.subscription.topics, Subscription.EVENT_CREATED])
        sent = {
            "url": typed["url"],
            "topics": list(topics),
            "metadata": {"event_names": [name for name in names if name]},
            "hub_secret": typed["hub_secret"] or None,
        }
        try:
            self.found = read_subscription(self.subscription, sent)
        except Refused as error:
            for fault in error.faults:
                self.add_error(FIELDS.get(fault.field), fault.message)


@dataclass
class Row:
    """A subscription as the page shows it: the name of its state, words for it, and what is with its notifications."""

    subscription: Subscription
    form: SubscriptionForm
    waiting: int
    failed: int
    failures: list[Notification]

    @property
    def state(self) -> tuple[str, str]:
        one = self.subscription
        if one.is_paused:
            return "paused", "Paused"
        if one.active:
            return "live", "Active"
        return ("failed", "Stopped") if one.stopped_because else ("off", "Off")


def _rows(workspace: Workspace, given: SubscriptionForm | None) -> list[Row]:
    theirs = Notification.objects.filter(subscription__workspace=workspace)
    waiting, failed = _counts(theirs.filter(ON_ITS_WAY)), _counts(theirs.failed())
    # One look at an index for each place: a window over all failures would read them all.
    newest = Notification.objects.failed().filter(subscription=OuterRef("pk")).order_by("-pk").values("pk")
    places = {f"failure_{place}": Subquery(newest[place : place + 1]) for place in range(SHOWN)}
    found = list(
        workspace.subscriptions.select_related("workspace").prefetch_related("wishes__type").annotate(**places)
    )
    shown = {pk for one in found for place in places if (pk := getattr(one, place))}
    failures: dict[int, list[Notification]] = {}
    for failure in theirs.filter(pk__in=shown).select_related("contact__workspace").order_by("-pk"):
        failures.setdefault(failure.subscription_id, []).append(failure)
    return [
        Row(
            one,
            given if given and given.subscription == one else SubscriptionForm(one),
            waiting.get(one.pk, 0),
            failed.get(one.pk, 0),
            failures.get(one.pk, []),
        )
        for one in found
    ]


def _counts(notifications) -> dict[int, int]:
    return dict(notifications.values_list("subscription").annotate(n=Count("pk")).order_by())


def _page(request, workspace, given: SubscriptionForm | None = None):
    new = given if given and not given.subscription.pk else SubscriptionForm(Subscription(workspace=workspace))
    data = {"rows": _rows(workspace, given), "new": new}
    return render(request, "messaging/webhooks.html", data, status=422 if given else 200)


@staff_page(Role.ADMIN)
def webhooks(request, workspace):
    """All of them; POST makes one."""
    if request.method != "POST":
        return _page(request, workspace)
    form = SubscriptionForm(Subscription(workspace=workspace), request.POST)
    if not form.is_valid():
        return _page(request, workspace, form)
    made = subscriptions.keep(form.subscription, **form.found)
    notices.success(request, f"{made} is told of what happens from now on. A ping is on its way.")
    return redirect(made)


@require_POST
@staff_page(Role.ADMIN)
def webhook(request, workspace, pk):
    """Change one, or do something with it: its act is named by the button."""
    own = workspace.subscriptions.select_related("workspace").prefetch_related("wishes__type")
    subscription = get_object_or_404(own, pk=pk)
    try:
        return _do(request, workspace, subscription)
    except NotFound as error:
        raise Http404("It was deleted a moment ago.") from error


def _do(request, workspace, subscription):
    act = request.POST.get("act", "")
    if act == "change":
        form = SubscriptionForm(subscription, request.POST)
        if not form.is_valid():
            return _page(request, workspace, form)
        subscriptions.keep(subscription, **form.found)
        notices.success(request, "Saved.")
        return redirect(subscription)
    if act not in ACTS:
        raise Http404
    ACTS[act](request, subscription)
    return redirect("webhooks", workspace.app_id) if act == "delete" else redirect(subscription)


def _ping(request, subscription):
    if subscription.active:
        subscriptions.ping(subscription)
        notices.success(request, "A ping is on its way.")
    else:
        notices.error(request, "Resume it first: nothing is posted there.")


def _resume(request, subscription):
    subscriptions.resume(subscription)
    notices.success(request, "It is told of what happens from now on.")


def _turn_off(request, subscription):
    subscriptions.keep(subscription, active=False)
    notices.success(request, "It is told nothing more.")


def _delete(request, subscription):
    subscriptions.delete(subscription)
    notices.success(request, f"{subscription} is deleted.")


def _replay(request, subscription):
    """Those failures that the button names, or all."""
    failed, one = subscription.notifications.failed(), request.POST.get("notification", "")
    if one:
        failed = failed.filter(pk=int(one) if one.isdecimal() and len(one) < 19 else None)
    if replayed := subscriptions.replay(failed):
        what = "One is" if replayed == 1 else f"{replayed:,} are"
        notices.success(request, f"{what} posted again within seconds.")
    else:
        notices.error(request, "Nothing is posted again: it is on its way already, or the webhook is not active.")


ACTS = {"ping": _ping, "resume": _resume, "turn_off": _turn_off, "delete": _delete, "replay": _replay}
