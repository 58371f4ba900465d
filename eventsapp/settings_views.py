"""A workspace's settings: its name and time zone, its apps' tokens, its colleagues; and everybody's own password."""

from django.conf import settings
from django.contrib import messages as notices
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from eventsapp import panels
from eventsapp.auth import known_tokens
from eventsapp.forms import InviteForm, RoleForm, TokenForm, WorkspaceForm
from eventsapp.models import ApiToken, Invitation, Role
from eventsapp.pages import staff_page


def page(request, workspace, **given):
    """Show the settings; a form that was filled in wrongly is `given` as it was typed, a new secret is shown once."""
    forms = {
        "workspace_form": WorkspaceForm(instance=workspace),
        "token_form": TokenForm(prefix="token"),
        "invite_form": InviteForm(prefix="invite"),
        "password_form": _password_form(request.user),
    }
    context = forms | {
        "tokens": workspace.tokens.usable().order_by("-pk"),
        "colleagues": workspace.memberships.select_related("user").order_by("pk"),
        "invitations": Invitation.objects.filter(workspace=workspace).order_by("-pk"),
        "roles": Role.choices,
        "base_url": settings.BASE_URL,
        "panels": panels.shown_in_settings(request, workspace, given),
    }
    wrong = any(form.is_bound and form.errors for form in given.values() if hasattr(form, "is_bound"))
    return render(request, "eventsapp/settings.html", context | given, status=422 if wrong else 200)


@staff_page()
def overview(request, workspace):
    return page(request, workspace)


@require_POST
@staff_page(Role.ADMIN)
def change_workspace(request, workspace):
    form = WorkspaceForm(request.POST, instance=workspace)
    if not form.is_valid():
        workspace.refresh_from_db()
        return page(request, workspace, workspace_form=form)
    form.save()
    # Tokens that were looked up a moment ago carry the workspace as it was.
    known_tokens.forget()
    notices.success(request, "Saved.")
    return redirect("settings", workspace.app_id)


@require_POST
@staff_page(Role.ADMIN)
def make_token(request, workspace):
    """Show the secret in the answer itself: it is kept nowhere, not in the session either."""
    form = TokenForm(request.POST, prefix="token")
    if not form.is_valid():
        return page(request, workspace, token_form=form)
    token, secret = ApiToken.make(workspace=workspace, **form.cleaned_data)
    return page(request, workspace, new_token=token, new_secret=secret)


@require_POST
@staff_page(Role.ADMIN)
def revoke_token(request, workspace, pk):
    token = get_object_or_404(workspace.tokens.usable(), pk=pk)
    token.revoke()
    known_tokens.forget()
    notices.success(request, f"{token.name} is revoked: its app is refused within five seconds.")
    return redirect("settings", workspace.app_id)


@require_POST
@staff_page(Role.ADMIN)
def invite(request, workspace):
    form = InviteForm(request.POST, prefix="invite")
    if not form.is_valid():
        return page(request, workspace, invite_form=form)
    secret = Invitation.make(workspace=workspace, invited_by=request.user, **form.cleaned_data)
    link = f"{settings.BASE_URL}{reverse('invitation', args=[secret])}"
    return page(request, workspace, new_invitation=link)


@require_POST
@staff_page(Role.ADMIN)
def change_colleague(request, workspace, pk):
    """Give a colleague another role, or remove them. One admin always stays."""
    with transaction.atomic():
        # All of them, in order: two who do it at once would else each wait for the other.
        list(workspace.memberships.select_for_update().order_by("pk").values_list("pk"))
        admins = workspace.memberships.filter(role=Role.ADMIN)
        colleague = get_object_or_404(workspace.memberships.select_related("user"), pk=pk)
        remove = "remove" in request.POST
        form = RoleForm(request.POST, instance=colleague)
        if not remove and not form.is_valid():
            notices.error(request, "Choose one of the roles.")
        elif not admins.exclude(pk=pk).exists() and (remove or form.cleaned_data["role"] != Role.ADMIN):
            notices.error(request, "This is the last admin. Make somebody else admin first.")
        elif remove:
            colleague.delete()
            notices.success(request, f"{colleague.user.email} is no longer a member.")
        else:
            form.save()
            notices.success(request, f"{colleague.user.email} is now {colleague.get_role_display().lower()}.")
    if remove and colleague.user == request.user:
        return redirect("home")
    return redirect("settings", workspace.app_id)


@require_POST
@staff_page()
def change_password(request, workspace):
    form = _password_form(request.user, request.POST)
    if not form.is_valid():
        return page(request, workspace, password_form=form)
    form.save()
    update_session_auth_hash(request, form.user)
    notices.success(request, "Your password is changed.")
    return redirect("settings", workspace.app_id)


def _password_form(user, data=None) -> PasswordChangeForm:
    """Django's, which would take the focus of the whole page."""
    form = PasswordChangeForm(user, data)
    form.fields["old_password"].widget.attrs.pop("autofocus", None)
    return form
