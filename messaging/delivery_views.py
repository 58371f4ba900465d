"""The pages of deliveries: what became of each message, and what staff do with those that wait for them."""

from csp.decorators import csp_exempt
from django.contrib import messages as notices
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.clickjacking import xframe_options_sameorigin

from eventsapp.filters import asked_in
from eventsapp.pages import staff_page
from eventsapp.views import chips
from messaging import rules, sending
from messaging.filters import DeliveryFilter
from messaging.frames import framed, shown
from messaging.home import parked_events
from messaging.models import AutoMessage, Delivery
from segments.definition import Invalid

PAGE = 50


def _page_of(request, found) -> dict:
    """Newest first, older ones by `?before=<id>`."""
    before = request.GET.get("before", "")
    page = found.newest(PAGE + 1, before=int(before) if before.isdecimal() and len(before) < 19 else None)
    query = request.GET.copy()
    query["before"] = page[PAGE - 1].pk if len(page) > PAGE else ""
    return {"deliveries": page[:PAGE], "older": query.urlencode() if query["before"] else None}


@staff_page()
def deliveries(request, workspace):
    every = Delivery.objects.filter(message__workspace=workspace)
    found = DeliveryFilter(request.GET, queryset=every, workspace=workspace)
    data = {"filter": found, "parked": parked_events(workspace), "asked": asked_in(found)} | _page_of(request, found.qs)
    template = "messaging/_deliveries.html" if request.htmx else "messaging/deliveries.html"
    return render(request, template, data)


# Those of one rule that wait for staff --------------------------------------------------------------------------------


@staff_page(post="editor")
def dead_letters(request, workspace, pk):
    """What of a rule is failed or held; POST sends all of one state after all, or cancels them."""
    rule = get_object_or_404(workspace.auto_messages.select_related("workspace", "trigger"), pk=pk)
    if request.method == "POST":
        return _all_of(request, rule)
    data = {"rule": rule} | rule.deliveries.waiting_for_staff() | _page_of(request, rule.deliveries.releasable())
    template = "messaging/_deliveries.html" if request.htmx else "messaging/dead_letters.html"
    return render(request, template, data)


def _all_of(request, rule: AutoMessage):
    state = request.POST.get("state")
    if state not in (Delivery.State.HELD, Delivery.State.FAILED):
        raise Http404
    if request.POST.get("action") == "cancel":
        notices.success(request, f"Cancelled: {_counted(sending.cancel_all(rule, state))}.")
        return redirect("dead_letters", rule.workspace.app_id, rule.pk)
    if rule.paused_because:
        # What is released while the rule is paused would be held again.
        try:
            rules.go_live(rule, by=request.user)
        except (rules.NotReady, Invalid) as error:
            notices.error(request, f"Nothing was sent, because the rule cannot go live: {error}")
            return redirect(rule)
    if rule.state != AutoMessage.State.LIVE:
        notices.error(request, "Make the rule live first: until then whatever is released is held again.")
        return redirect("dead_letters", rule.workspace.app_id, rule.pk)
    released = sending.release_all(rule, state)
    notices.success(request, f"Queued: {_counted(released)}. What the rule allows its person no more stays.")
    return redirect("dead_letters", rule.workspace.app_id, rule.pk)


def _counted(number: int) -> str:
    return "one message" if number == 1 else f"{number:,} messages"


# One ------------------------------------------------------------------------------------------------------------------


def _delivery(workspace, pk) -> Delivery:
    own = Delivery.objects.filter(message__workspace=workspace)
    return get_object_or_404(own.select_related("message__workspace", "contact__workspace", "version"), pk=pk)


@staff_page(post="editor")
def delivery(request, workspace, pk):
    """What became of one message; POST queues a held or failed one (again), or cancels it."""
    found = _delivery(workspace, pk)
    if request.method == "POST":
        return _cancel(request, found) if request.POST.get("action") == "cancel" else _release(request, found)
    data = {
        "delivery": found,
        "chips": chips(found.event["metadata"], workspace.zone),
        "can_be_released": Delivery.objects.releasable().filter(pk=pk).exists(),
        "can_be_cancelled": Delivery.objects.filter(sending.CANCELLABLE, pk=pk).exists(),
    }
    return render(request, "messaging/delivery.html", data)


def _release(request, found):
    if sending.release(found):
        notices.success(request, "Queued: it goes out within seconds.")
    else:
        notices.error(request, "Not queued: it is on its way or sent, or its rule allows this person no other one.")
    return redirect(found)


def _cancel(request, found):
    if sending.cancel(found):
        notices.success(request, "Cancelled.")
    else:
        notices.error(request, "Not cancelled: it is on its way, or has come to its end.")
    return redirect(found)


@xframe_options_sameorigin
@csp_exempt()
@staff_page()
def delivery_body(request, workspace, pk):
    """The message as it was sent, for the frame on its page."""
    found = _delivery(workspace, pk)
    return framed(shown(found, found.channel))
