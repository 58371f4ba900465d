"""The pages of rules and deliveries."""

import json
from datetime import timedelta

from csp.decorators import csp_exempt
from django.contrib import messages as notices
from django.core.mail import get_connection
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import escape, format_html
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from eventsapp.filters import asked_in
from eventsapp.incoming import normal_name
from eventsapp.ingest import event_type
from eventsapp.models import Event, EventType
from eventsapp.pages import staff_page
from eventsapp.views import chips
from messaging import rules, sending, text
from messaging.channels import email
from messaging.filters import DeliveryFilter
from messaging.forms import AutoMessageForm
from messaging.home import parked_events
from messaging.models import AutoMessage, Delivery
from segments.builder import Tests
from segments.definition import Invalid
from segments.drafts import act, read_form
from segments.sentences import Writer

PAGE = 50
RECENTLY = timedelta(days=30)
FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-ancestors 'self'; sandbox"


# Rules ---------------------------------------------------------------------------------------------------------------


@staff_page()
def messages(request, workspace):
    recent = Q(deliveries__created_at__gte=timezone.now() - RECENTLY)
    listed = workspace.auto_messages.select_related("trigger", "audience", "workspace").annotate(
        sent=Count("deliveries", filter=recent & Q(deliveries__state=Delivery.State.SENT)),
        not_sent=Count("deliveries", filter=recent & ~Q(deliveries__state=Delivery.State.SENT)),
    )
    return render(request, "messaging/messages.html", {"rules": listed})


@staff_page("editor")
def new_message(request, workspace):
    event = request.GET.get("event", "")
    rule = AutoMessage(workspace=workspace)
    return _edit(request, workspace, rule, initial={"event": event, "body": "", "subject": ""})


@staff_page(post="editor")
def auto_message(request, workspace, pk):
    rule = get_object_or_404(workspace.auto_messages.select_related("trigger", "audience", "workspace"), pk=pk)
    return _edit(request, workspace, rule)


def _edit(request, workspace, rule, initial=None):
    """The editor. On POST: save what was typed, then do what the pressed button says."""
    form = AutoMessageForm(request.POST or None, instance=rule, initial=initial)
    if request.method == "POST" and form.is_valid():
        rule = _save(workspace, form)
        _act(request, rule, request.POST.get("action", ""))
        return redirect(rule)
    data = {
        "rule": rule,
        "form": form,
        "tests": Tests(Writer(workspace), form.tests, form["event"].value() or ""),
        "event_names": Writer(workspace).offered_events(),
        "stats": _stats(rule) if rule.pk else None,
        "deliveries": rule.deliveries.newest(PAGE) if rule.pk else [],
    }
    return render(request, "messaging/message.html", data, status=422 if form.errors else 200)


def _save(workspace, form) -> AutoMessage:
    """Save a checked rule; a live one that now waits for another event is live anew."""
    rule, before = form.instance, form.instance.trigger_id
    rule.trigger = event_type(workspace, form.cleaned_data["event"])
    rule.where = form.cleaned_data["where"]
    # Not its state: a colleague may have paused it since this page was opened.
    written = [*form.Meta.fields, "trigger", "where", "updated_at"]
    rule.save(update_fields=written if rule.pk else None)
    if rule.state == AutoMessage.State.LIVE and rule.trigger_id != before:
        rules.go_live(rule, anew=True)
        rules.watch_what_is_live(before)
    return rule


def _act(request, rule, action):
    match action:
        case "live":
            try:
                rules.go_live(rule)
            except (rules.NotReady, Invalid) as error:
                notices.error(request, f"Saved as it is, but not live: {error}")
            else:
                notices.success(request, "Live: events received from now on count.")
        case "pause":
            rules.pause(rule)
            notices.success(request, "Paused. What is still queued will be held.")
        case "test":
            _send_test(request, rule)
        case _:
            notices.success(request, "Saved.")


def _send_test(request, rule):
    """Send the rule's text, filled in with a recent real event, to whoever pressed the button."""
    try:
        values = _sample(rule.workspace, rule.trigger)
        subject, body = text.subject(rule.subject, values), text.body(rule.body, values)
        mail = email.message(f"[Test] {subject}", body, request.user.email, email.new_id())
        mail.connection = get_connection()
        mail.send()
    except text.TextError as error:
        notices.error(request, f"Saved. No test was sent: {error}")
    except OSError as error:  # SMTP errors are OSErrors too
        notices.error(request, f"Saved. The mail server did not take the test: {error}")
    else:
        notices.success(request, f"Saved. A test is on its way to {request.user.email}.")


def _sample(workspace, trigger) -> dict:
    """Return what a text may use, from the newest event of this type, or from made-up ones when there is none."""
    event = trigger and Event.objects.filter(type=trigger).select_related("contact").order_by("-created_at").first()
    if event:
        contact = event.contact
        contact.workspace = workspace
        data = {"event_name": trigger.name, "created_at": event.created_at, "metadata": event.metadata}
        return text.context(data, contact, workspace)
    return text.context(
        {
            "event_name": trigger.name if trigger else "event",
            "created_at": int(timezone.now().timestamp()),
            "metadata": {},
        },
        text.somebody(workspace),
        workspace,
    )


@require_POST
@staff_page("editor")
def message_where(request, workspace):
    """The metadata conditions of a rule's form, drawn anew if more than a text in them is another."""
    draft = read_form(request.POST.items())
    act(draft, request.POST.get("act", ""))
    tests = Tests(Writer(workspace), draft.get("where", []), request.POST.get("event", ""))
    if tests.shape == request.POST.get("shape"):
        return HttpResponse(status=204)
    return render(request, "messaging/_where.html", {"tests": tests})


@require_POST
@xframe_options_sameorigin
@csp_exempt()
@staff_page("editor")
def preview(request, workspace):
    """The message as it would look, in a frame of its own: drafts too, nothing is saved."""
    trigger = EventType.objects.filter(
        workspace=workspace, name=normal_name(request.POST.get("event", "").replace("\0", ""))
    ).first()
    try:
        values = _sample(workspace, trigger)
        subject = text.subject(request.POST.get("subject", ""), values)
        body = text.body(request.POST.get("body", ""), values)
    except text.TextError as error:
        return _framed(format_html("<p><strong>Not yet:</strong> {}</p>", str(error)))
    return _framed(f"<p><small>Subject</small><br><strong>{escape(subject)}</strong></p><hr>{body}")


def _framed(body: str) -> HttpResponse:
    """A page for a sandboxed frame: no script runs in it, whatever stands there."""
    style = "body{font:15px/1.5 system-ui,sans-serif;margin:16px;color:#1a1a1a;background:#fff;overflow-wrap:anywhere}"
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>Message</title><style>{style}</style>{body}"
    return HttpResponse(page, headers={"Content-Security-Policy": FRAME_POLICY})


def _stats(rule) -> dict:
    """Numbers of the last 30 days: by state, and what was not sent by reason."""
    recent = rule.deliveries.filter(created_at__gte=timezone.now() - RECENTLY)
    rows = recent.values_list("state", "reason").annotate(n=Count("pk")).order_by("-n")
    states: dict[str, int] = {}
    for state, _, n in rows:
        states[state] = states.get(state, 0) + n
    return {
        "triggered": sum(states.values()),
        "states": [(label, states[state]) for state, label in Delivery.State.choices if state in states],
        "reasons": [(Delivery.Reason(reason).label, n) for _, reason, n in rows if reason],
    }


# Deliveries ----------------------------------------------------------------------------------------------------------


@staff_page()
def deliveries(request, workspace):
    """Newest first, older ones by `?before=<id>`."""
    found = DeliveryFilter(
        request.GET, queryset=Delivery.objects.filter(message__workspace=workspace), workspace=workspace
    )
    before = request.GET.get("before", "")
    page = found.qs.newest(PAGE + 1, before=int(before) if before.isdecimal() and len(before) < 19 else None)
    query = request.GET.copy()
    query["before"] = page[PAGE - 1].pk if len(page) > PAGE else ""
    data = {
        "filter": found,
        "deliveries": page[:PAGE],
        "older": query.urlencode() if query["before"] else None,
        "parked": parked_events(workspace),
        "asked": asked_in(found),
    }
    template = "messaging/_deliveries.html" if request.htmx else "messaging/deliveries.html"
    return render(request, template, data)


def _delivery(workspace, pk) -> Delivery:
    own = Delivery.objects.filter(message__workspace=workspace)
    return get_object_or_404(own.select_related("message__workspace", "contact__workspace", "version"), pk=pk)


@staff_page(post="editor")
def delivery(request, workspace, pk):
    """What became of one message; POST queues a held or failed one (again)."""
    found = _delivery(workspace, pk)
    if request.method == "POST":
        return _release(request, found)
    shown = chips(found.event["metadata"], workspace.zone)
    return render(request, "messaging/delivery.html", {"delivery": found, "chips": shown})


def _release(request, found):
    if sending.release(found):
        notices.success(request, "Queued: it goes out within seconds.")
    else:
        notices.error(request, "Not queued: it is on its way or sent, or its rule allows this person no other one.")
    return redirect(found)


@xframe_options_sameorigin
@csp_exempt()
@staff_page()
def delivery_body(request, workspace, pk):
    """The message as it was sent, for the frame on its page."""
    found = _delivery(workspace, pk)
    if found.channel == AutoMessage.Channel.WEBHOOK:
        # JSON, in which anybody's HTML may stand.
        return _framed(format_html("<pre style=white-space:pre-wrap>{}</pre>", _spread(found.body)))
    return _framed(found.body)


def _spread(body: str) -> str:
    """JSON on lines of its own."""
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False) if body else ""
