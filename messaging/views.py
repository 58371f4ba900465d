"""The pages of rules: all of them, and the editor of one."""

from datetime import timedelta

from csp.decorators import csp_exempt
from django.contrib import messages as notices
from django.core.mail import get_connection
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from eventsapp.incoming import normal_name
from eventsapp.models import EventType, Role
from eventsapp.pages import staff_page
from messaging import rules, text
from messaging.channels import CHANNELS, email
from messaging.drafting import alone, audience_as_json, duplicate, keep
from messaging.forms import RuleForm
from messaging.frames import framed, shown
from messaging.models import AutoMessage, Delivery
from messaging.promise import promise_of
from messaging.samples import sample_of, samples_of
from messaging.statistics import statistics_of
from messaging.versions import changes
from segments.definition import Invalid
from segments.engine import TooSlow

NEWEST = 10
VERSIONS = 50
RECENTLY = timedelta(days=30)


# All of them ---------------------------------------------------------------------------------------------------------


@staff_page()
def messages(request, workspace):
    """The rules that are in use, or with `?archived` the others."""
    archived = "archived" in request.GET
    recent = Q(deliveries__created_at__gte=timezone.now() - RECENTLY)
    rows = workspace.auto_messages.select_related("trigger", "audience", "workspace").annotate(
        sent=Count("deliveries", filter=recent & Q(deliveries__state=Delivery.State.SENT)),
        not_sent=Count("deliveries", filter=recent & ~Q(deliveries__state=Delivery.State.SENT)),
    )
    listed = rows.filter(state=AutoMessage.State.ARCHIVED) if archived else rows.in_use()
    hidden = 0 if archived else workspace.auto_messages.filter(state=AutoMessage.State.ARCHIVED).count()
    return render(request, "messaging/messages.html", {"rules": listed, "archived": archived, "hidden": hidden})


# The editor ----------------------------------------------------------------------------------------------------------


def _rule(workspace, pk) -> AutoMessage:
    related = workspace.auto_messages.select_related("trigger", "audience", "sender", "workspace")
    return get_object_or_404(related, pk=pk)


@staff_page("editor")
def new_message(request, workspace):
    rule = AutoMessage(workspace=workspace)
    if request.method == "POST":
        return _posted(request, rule)
    form = RuleForm(rule)
    form.typed["event"] = request.GET.get("event", "")
    return _page(request, rule, form)


@staff_page(post="editor")
def auto_message(request, workspace, pk):
    """The editor. On POST: save what was typed, then do what the pressed button says."""
    rule = _rule(workspace, pk)
    if request.method != "POST":
        return _page(request, rule, RuleForm(rule))
    match request.POST.get("action"):
        case "duplicate":
            copy = duplicate(rule)
            notices.success(request, f"This is the copy of “{rule.name}”, a draft.")
            return redirect(copy)
        case "archive":
            rules.archive(rule)
            notices.success(request, f"“{rule.name}” is archived: it sends nothing any more.")
            return redirect("messages", workspace.app_id)
    if rule.state == AutoMessage.State.ARCHIVED:
        notices.error(request, "It was archived meanwhile. Duplicate it to go on from here.")
        return redirect(rule)
    return _posted(request, rule)


def _posted(request, rule):
    form = RuleForm(rule, request.POST)
    if not request.membership.may(Role.ADMIN):
        # It passes by who unsubscribed, and by the most that one person gets.
        form.typed["transactional"] = "on" if rule.is_transactional else ""
    if "act" in request.POST:
        return _page(request, rule, form)
    action = request.POST.get("action", "")
    if action == "pause" and rule.pk:
        # At once, whatever there is to be said of the fields.
        rules.pause(rule)
        notices.success(request, "Paused. What is still queued will be held.")
    try:
        with alone(rule.workspace):
            found = form.read()
            kept = found and keep(rule, found, by=request.user)
    except (rules.NotReady, Invalid) as error:
        form.tell(error.faults)
        kept = None
    if kept is None:
        return _page(request, rule, form, status=422)
    _act(request, kept, action)
    return redirect(kept)


def _act(request, rule, action):
    match action:
        case "live":
            try:
                rules.go_live(rule, by=request.user)
            except (rules.NotReady, Invalid) as error:
                notices.error(request, f"Saved as it is, but not live: {error}")
            else:
                notices.success(request, "Live: events received from now on count.")
        case "test":
            _send_test(request, rule)
        case "pause":
            pass
        case _:
            notices.success(request, "Saved.")


def _page(request, rule, form: RuleForm, *, status: int = 200):
    type = _type(rule.workspace, form.typed["event"])
    data = {
        "rule": rule,
        "form": form,
        "type": type,
        "samples": samples_of(type),
        "event_names": form.writer.offered_events(),
        "fields": form.writer.offered_fields(),
        "stats": statistics_of(rule) if rule.pk else None,
        "deliveries": rule.deliveries.newest(NEWEST) if rule.pk else [],
        "version": rule.versions.select_related("made_by").last() if rule.pk else None,
    }
    if rule.pk:
        data |= rule.deliveries.waiting_for_staff()
    return render(request, "messaging/message.html", data, status=status)


def _type(workspace, name: str) -> EventType:
    """The event type of this name, or one that is not there yet."""
    name = normal_name(name.replace("\0", ""))
    found = EventType.objects.filter(workspace=workspace, name=name).first() or EventType(name=name)
    found.workspace = workspace
    return found


@require_POST
@staff_page("editor")
def message_build(request, workspace):
    """What of the editor depends on what is written now: its sentence, its warnings, and its rows, these drawn anew
    only if more than a text in them is another."""
    form = RuleForm(AutoMessage(workspace=workspace), request.POST)
    found = form.read(*form.said().keys() - {"name"})
    type = _type(workspace, form.typed["event"])
    is_another = type.name != request.POST.get("sampled")
    data = {
        "form": form,
        "sentence": form.sentence(found),
        "redraw": form.shape != request.POST.get("shape"),
        "type": type,
        "samples": samples_of(type) if is_another else None,
    }
    response = render(request, "messaging/_built.html", data)
    return trigger_client_event(response, "redrawn") if data["redraw"] else response


@require_POST
@staff_page("editor")
def message_promise(request, workspace):
    """What the rule would have done in the last days as it is written now."""
    rule = AutoMessage(workspace=workspace)
    form = RuleForm(rule, request.POST)
    promise, problem = None, ""
    if found := form.read("trigger", "audience"):
        rule.audience_id, rule.conditions = found["audience_id"], found["conditions"]
        try:
            promise = promise_of(workspace, found, audience_as_json(rule))
        except TooSlow as error:
            problem = str(error)
    return render(request, "messaging/_promise.html", {"promise": promise, "problem": problem})


# Trying it -----------------------------------------------------------------------------------------------------------


def _written(request, rule: AutoMessage, type: EventType) -> Delivery:
    """A delivery that is kept nowhere, with what the rule's channel writes for the chosen sample. Raises TextError."""
    sample = sample_of(type, request.POST.get("sample", ""), request.POST.get("sample_json", ""))
    delivery = Delivery(message=rule, contact=sample.contact, event_id=sample.event.public_id, event=sample.data)
    CHANNELS[rule.channel].write(delivery)
    return delivery


def _send_test(request, rule):
    """Send the rule's text, filled in with the chosen event, to whoever pressed the button."""
    if rule.channel == AutoMessage.Channel.WEBHOOK:
        notices.error(request, "Saved. A webhook has no text to be mailed: the preview shows what would be posted.")
        return
    try:
        written = _written(request, rule, rule.trigger)
        subject, id = f"[Test] {written.subject}".rstrip(), email.trial_id(written.contact)
        mail = email.message(subject, written.body, request.user.email, id, sender=rule.sender)
        mail.connection = get_connection()
        mail.send()
    except text.TextError as error:
        notices.error(request, f"Saved. No test was sent: {error}")
    except OSError as error:  # SMTP errors are OSErrors too
        notices.error(request, f"Saved. The mail server did not take the test: {error}")
    else:
        notices.success(request, f"Saved. A test is on its way to {request.user.email}.")


@require_POST
@xframe_options_sameorigin
@csp_exempt()
@staff_page("editor")
def preview(request, workspace):
    """The message as it would look, in a frame of its own: drafts too, nothing is saved."""
    typed = RuleForm(AutoMessage(workspace=workspace), request.POST).typed
    type = _type(workspace, typed["event"])
    channel = typed["channel"] if typed["channel"] in CHANNELS else AutoMessage.Channel.EMAIL
    texts = {name: typed[name] for name in ("subject", "body", "url")}
    rule = AutoMessage(workspace=workspace, trigger=type, channel=channel, **texts)
    try:
        written = _written(request, rule, type)
    except text.TextError as error:
        return framed(format_html("<p><strong>Not yet:</strong> {}</p>", str(error)))
    words = {"webhook": "Posted to", "in_app": "Heading"}.get(channel, "Subject")
    head = format_html("<p><small>{}</small><br><strong>{}</strong></p><hr>", words, written.subject)
    return framed(head + shown(written, channel, as_text=request.POST.get("as") == "text"))


# What it was ---------------------------------------------------------------------------------------------------------


@staff_page()
def message_versions(request, workspace, pk):
    """The newest versions of a rule, each with what it changed."""
    rule = _rule(workspace, pk)
    newest = list(rule.versions.select_related("made_by").order_by("-number")[: VERSIONS + 1])
    for version in newest:
        version.message = rule
    following = [*newest[1:], None][: len(newest)]
    rows = [
        (version, list(changes(before, version)) if before else None)
        for version, before in zip(newest, following, strict=True)
    ]
    return render(request, "messaging/versions.html", {"rule": rule, "rows": rows[:VERSIONS]})
