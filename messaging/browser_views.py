"""The settings for the browsers of an app's own users: the snippet, who proves to be whom, and how messages look."""

from csp.decorators import csp_exempt
from django import forms
from django.conf import settings
from django.contrib import messages as notices
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from eventsapp.auth import known_tokens
from eventsapp.browser import workspaces
from eventsapp.models import Role, Workspace
from eventsapp.pages import staff_page
from messaging.frames import framed
from messaging.models import Messenger

MOST_SECRETS = 3
# How a server makes user_hash: docs/javascript.md has the same, and tests run those whose language is there.
HASHES = {
    "Python": """import hashlib
import hmac

user_hash = hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()""",
    "Node": """const crypto = require("crypto");

const user_hash = crypto.createHmac("sha256", secret).update(user_id).digest("hex");""",
    "Ruby": """require "openssl"

user_hash = OpenSSL::HMAC.hexdigest("sha256", secret, user_id)""",
    "PHP": """$user_hash = hash_hmac("sha256", $user_id, $secret);""",
}
SNIPPET = """<script>
  window.intercomSettings = {{
    app_id: "{app_id}",
    user_id: "25",                // of whoever is logged in; leave these out for visitors
    email: "ada@example.org",
    user_hash: "…"                // proves it: see below
  }};
</script>
<script async src="{base_url}/widget/{app_id}"></script>"""


class IdentityForm(forms.ModelForm):
    class Meta:
        model = Workspace
        fields = ("enforces_identity", "protected_attributes")
        widgets = {"protected_attributes": forms.Textarea(attrs={"rows": 3})}

    def clean_protected_attributes(self):
        names = [name.strip() for name in self.cleaned_data["protected_attributes"].splitlines()]
        return "\n".join(dict.fromkeys(name for name in names if name))


class LookForm(forms.ModelForm):
    class Meta:
        model = Messenger
        fields = (
            "alignment", "horizontal_padding", "vertical_padding", "action_color", "theme_mode", "shows_launcher",
        )  # fmt: skip
        widgets = {"action_color": forms.TextInput(attrs={"type": "color"})}


def _page(request, workspace, **given):
    context = {
        "identity_form": IdentityForm(instance=workspace),
        "look_form": LookForm(instance=Messenger.of(workspace)),
        "secrets": workspace.identity_secrets.all() if request.membership.may(Role.ADMIN) else (),
        "has_secret": workspace.identity_secrets.exists(),
        "most_secrets": MOST_SECRETS,
        "hashes": HASHES,
        "snippet": SNIPPET.format(app_id=workspace.app_id, base_url=settings.BASE_URL),
        "widget_url": f"{settings.BASE_URL}/widget/{workspace.app_id}",
    }
    return render(request, "messaging/browser.html", context | given, status=422 if given else 200)


@staff_page()
def browser(request, workspace):
    """The page; for htmx its light alone, which waits for the first event."""
    if request.htmx:
        if workspace.browser_seen_at is None:
            return HttpResponse(status=204)
        return render(request, "messaging/_browser_light.html")
    return _page(request, workspace)


@require_POST
@staff_page(Role.ADMIN)
def change_identity(request, workspace):
    form = IdentityForm(request.POST, instance=workspace)
    if not form.is_valid():
        return _page(request, workspace, identity_form=form)
    form.save()
    # What was looked up a moment ago is another now.
    workspaces.forget()
    known_tokens.forget()
    notices.success(request, "Saved.")
    return redirect("browser", workspace.app_id)


@require_POST
@staff_page(Role.ADMIN)
def add_secret(request, workspace):
    """One more, to replace another: until that is removed, both hold."""
    if workspace.identity_secrets.count() >= MOST_SECRETS:
        notices.error(request, f"There are {MOST_SECRETS} secrets. Remove one that no server uses any more.")
    else:
        workspace.identity_secrets.create()
        notices.success(request, "There is a new secret. Those before it hold until you remove them.")
    return redirect("browser", workspace.app_id)


@require_POST
@staff_page(Role.ADMIN)
def remove_secret(request, workspace, pk):
    get_object_or_404(workspace.identity_secrets, pk=pk).delete()
    notices.success(request, "The secret is removed: what it signed proves nothing any more.")
    return redirect("browser", workspace.app_id)


@require_POST
@staff_page(Role.ADMIN)
def change_look(request, workspace):
    form = LookForm(request.POST, instance=Messenger.of(workspace))
    if not form.is_valid():
        return _page(request, workspace, look_form=form)
    form.save()
    notices.success(request, "Saved. Pages that are open show it when they are loaded again.")
    return redirect("browser", workspace.app_id)


LOOK = """<style>
  :root {{ color-scheme: {scheme} }}
  body {{ margin: 0; min-height: 90vh; background: Canvas; color: CanvasText;
    font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }}
  .card {{ position: fixed; {side}: {x}px; bottom: {lift}px; width: min(300px, 80vw); box-sizing: border-box;
    padding: 14px 16px; border: 1px solid light-dark(#dfe3ea, #2d3340); border-top: 4px solid {colour};
    border-radius: 12px; background: light-dark(#fff, #1a1e26); box-shadow: 0 6px 28px #0003 }}
  h2 {{ margin: 0 0 6px; font-size: 1.05em }} p {{ margin: 0 }}
  a {{ color: light-dark({colour}, color-mix(in srgb, {colour} 45%, #fff)); text-decoration: underline }}
  .launcher {{ position: fixed; {side}: {x}px; bottom: {y}px; width: 48px; height: 48px; border-radius: 50%;
    background: {colour} }}
</style>
<div class="card"><h2>Your report is ready</h2><p>It has 1,204 rows. <a>Open it</a></p></div>"""


@require_POST
@xframe_options_sameorigin
@csp_exempt()
@staff_page()
def look_preview(request, workspace):
    """How a message would look, in a frame of its own."""
    form = LookForm(request.POST, instance=Messenger(workspace=workspace))
    if not form.is_valid():
        sentences = [sentence for errors in form.errors.values() for sentence in errors]
        return framed(format_html("<p><strong>Not yet:</strong> {}</p>", " ".join(sentences)))
    look = form.instance
    launcher = '<div class="launcher"></div>' if look.shows_launcher else ""
    card = LOOK.format(
        scheme={"system": "light dark"}.get(look.theme_mode, look.theme_mode),
        side=look.alignment,
        x=look.horizontal_padding,
        y=look.vertical_padding,
        lift=look.vertical_padding + (60 if look.shows_launcher else 0),
        colour=look.action_color,
    )
    return framed(card + launcher)
