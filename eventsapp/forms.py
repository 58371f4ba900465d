"""Forms of staff, and how every form is drawn."""

import zoneinfo

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.forms.renderers import TemplatesSetting

from eventsapp.models import ApiToken, EventType, Invitation, Membership, Workspace


class Renderer(TemplatesSetting):
    """Label, help and errors of a field stand right once, in templates/forms/field.html."""

    field_template_name = "forms/field.html"


class LoginForm(AuthenticationForm):
    """Staff are known by their email address."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Email"
        self.fields["username"].widget.input_type = "email"

    def clean_username(self):
        return self.cleaned_data["username"].lower()


class WorkspaceForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        choices=[(name, name) for name in sorted(zoneinfo.available_timezones())], help_text="Days are counted in it."
    )

    class Meta:
        model = Workspace
        fields = ("name", "time_zone", "unknown_people", "rate_limit", "event_name_limit")


class TokenForm(forms.ModelForm):
    class Meta:
        model = ApiToken
        fields = ("name", "scope")


class InviteForm(forms.ModelForm):
    class Meta:
        model = Invitation
        fields = ("role",)


class RoleForm(forms.ModelForm):
    class Meta:
        model = Membership
        fields = ("role",)


class NewColleagueForm(forms.Form):
    """What an invited person without an account fills in."""

    email = forms.EmailField()
    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))

    def clean_email(self):
        email = self.cleaned_data["email"].lower()
        if get_user_model().objects.filter(username=email).exists():
            raise forms.ValidationError("Somebody with this address has an account. Log in first, then open the link.")
        return email

    def clean_password(self):
        password = self.cleaned_data["password"]
        validate_password(password, get_user_model()(username=self.data.get("email", "")))
        return password


class EventTypeForm(forms.ModelForm):
    """What staff say of an event; it stands in typeaheads and in the summaries of the API."""

    class Meta:
        model = EventType
        fields = ("description",)
