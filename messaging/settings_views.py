"""What a workspace settles for all its messages: how many one person gets, senders, the secret of webhooks, and
addresses that are written to no more. Sections of the settings page."""

from django import forms
from django.conf import settings
from django.contrib import messages as notices
from django.db.models import ProtectedError
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from eventsapp import settings_views
from eventsapp.models import Role
from eventsapp.pages import staff_page
from eventsapp.panels import Dependent, listed
from eventsapp.text import fold
from messaging.drafting import alone
from messaging.models import AutoMessage, Policy, Sender
from messaging.models import new_secret as make_secret

LISTED = 100


class PolicyForm(forms.ModelForm):
    most_days = forms.IntegerField(label="In so many days", min_value=1, max_value=365)

    class Meta:
        model = Policy
        fields = ("most", "most_days")


class SenderForm(forms.ModelForm):
    class Meta:
        model = Sender
        fields = ("name", "email")

    def clean_name(self):
        return " ".join(self.cleaned_data["name"].split())

    def clean_email(self):
        email = self.cleaned_data["email"]
        if self.instance.workspace.senders.filter(email__iexact=email).exists():
            raise forms.ValidationError("This address is a sender already.")
        return email


def message_settings(request, workspace, given):
    """The sections; a form that was filled in wrongly is `given` as it was typed."""
    policy, search = Policy.of(workspace), request.GET.get("suppressed", "").replace("\0", "")
    suppressed = workspace.suppressions.filter(email__contains=fold(search.strip()))
    forms = {"policy_form": PolicyForm(instance=policy, prefix="policy"), "sender_form": SenderForm(prefix="sender")}
    context = forms | {
        "policy": policy,
        "senders": workspace.senders.all(),
        "default_sender": settings.DEFAULT_FROM_EMAIL,
        "suppressed": suppressed[:LISTED],
        "suppressed_count": suppressed.count(),
        "search": search,
    }
    return "messaging/_settings.html", context | given


def _back(workspace, section):
    return redirect(f"{reverse('settings', args=[workspace.app_id])}#{section}")


@require_POST
@staff_page(Role.ADMIN)
def change_policy(request, workspace):
    form = PolicyForm(request.POST, instance=Policy.of(workspace), prefix="policy")
    if not form.is_valid():
        return settings_views.page(request, workspace, policy_form=form)
    # Not the secret: somebody may just have made a new one.
    form.save(commit=False).save(update_fields=["most", "most_days"])
    notices.success(request, "Saved.")
    return _back(workspace, "policy")


@require_POST
@staff_page(Role.ADMIN)
def new_secret(request, workspace):
    """Sign with another secret from the next webhook on."""
    Policy.of(workspace)
    Policy.objects.filter(workspace=workspace).update(webhook_secret=make_secret())
    notices.success(request, "Webhooks are signed with the new secret from now on.")
    return _back(workspace, "webhooks")


@require_POST
@staff_page(Role.ADMIN)
def add_sender(request, workspace):
    # Of two who add the same address at once the second is told so.
    with alone(workspace):
        form = SenderForm(request.POST, instance=Sender(workspace=workspace), prefix="sender")
        sender = form.save() if form.is_valid() else None
    if sender is None:
        return settings_views.page(request, workspace, sender_form=form)
    notices.success(request, f"Messages may come from {sender}.")
    return _back(workspace, "senders")


@require_POST
@staff_page(Role.ADMIN)
def remove_sender(request, workspace, pk):
    try:
        # Whoever chooses it for a rule, or sends from it, at this moment is before this, or finds it gone.
        with alone(workspace):
            sender = get_object_or_404(workspace.senders.select_for_update(), pk=pk)
            # What went to one person from it, or waits to, is no rule whose sender could be chosen.
            AutoMessage.every.filter(trigger=None, sender=sender).update(sender=None)
            sender.delete()
    except ProtectedError as error:
        rules = [Dependent("Auto-message", rule.name, "") for rule in sorted(error.protected_objects, key=str)]
        notices.error(request, f"{sender} is the sender of {listed(rules)}. Choose another one there first.")
    else:
        notices.success(request, f"{sender} is no sender any more.")
    return _back(workspace, "senders")


@require_POST
@staff_page(Role.EDITOR)
def lift_suppression(request, workspace, pk):
    """Write to an address again, until it bounces once more."""
    suppression = get_object_or_404(workspace.suppressions, pk=pk)
    suppression.delete()
    notices.success(request, f"{suppression} gets messages again. The provider may have a list of its own.")
    return _back(workspace, "suppressed")
