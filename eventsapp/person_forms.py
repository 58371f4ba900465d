"""What staff write of one person. Each form keeps what it showed, and changes what became another on it: nothing that
an app, or a colleague, has changed meanwhile. What a value may be, the API says."""

import json
from datetime import date

from django import forms

from eventsapp.attributes import misfits
from eventsapp.cells import NUMBER
from eventsapp.days import day_of, start_of
from eventsapp.metadata import FILTER_KINDS, kind_of
from eventsapp.models import Contact, Tag
from eventsapp.serializers import ContactIn
from eventsapp.text import fold

BLANK_ROWS = 3
MOST_ROWS = 150  # that Django's limit on the fields of a request has room for
LINE_BREAKS = str.maketrans("", "", "\r\n")


def refusals(fields: dict) -> dict:
    """Return what the API has against these fields of a contact: sentences, by field."""
    incoming = ContactIn(data=fields)
    incoming.is_valid()
    return incoming.errors


class Line(forms.CharField):
    """A text on one line. Browsers leave the breaks of lines out, so to be without them is no change."""

    def __init__(self, **options):
        super().__init__(required=False, **options)

    def to_python(self, value):
        return super().to_python(value).translate(LINE_BREAKS)


class Day(forms.DateField):
    """A day that the browser offers to pick."""

    def __init__(self, **options):
        widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")
        super().__init__(required=False, widget=widget, input_formats=["%Y-%m-%d"], **options)


class PersonForm(forms.Form):
    """What everybody has. `changes`, once it is valid, is for `people.change_contact`."""

    name = Line(show_hidden_initial=True)
    email = Line(show_hidden_initial=True, widget=forms.TextInput({"inputmode": "email"}))
    phone = Line(show_hidden_initial=True)
    external_id = Line(label="user_id", show_hidden_initial=True, help_text="By which their app names them.")
    signed_up_at = Day(label="Signed up", show_hidden_initial=True)

    def __init__(self, data, *, contact: Contact):
        self.zone = contact.workspace.zone
        shown = {name: getattr(contact, name) or "" for name in ("name", "email", "phone", "external_id")}
        if contact.signed_up_at is not None:
            shown["signed_up_at"] = day_of(contact.signed_up_at, self.zone)
        super().__init__(data, initial=shown)
        for field in self.fields.values():
            field.widget.attrs["autocomplete"] = "off"

    def clean(self):
        super().clean()
        self.changes = {
            name: self.cleaned_data[name] or None for name in self.changed_data if name in self.cleaned_data
        }
        if day := self.changes.get("signed_up_at"):
            self.changes["signed_up_at"] = start_of(day, self.zone)
        for name, words in refusals(self.changes).items():
            self.add_error(name, "Write a day from 1970 to today." if name == "signed_up_at" else words)


def _number(text: str, zone) -> int | float:
    if not NUMBER.match(text):
        raise ValueError("Write a number, such as 3 or 2.5.")
    return json.loads(text)


def _truth(text: str, zone) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("Write true or false.")
    return text.lower() == "true"


def _seconds(text: str, zone) -> int:
    try:
        return start_of(date.fromisoformat(text), zone)
    except ValueError as error:
        raise ValueError("Write a day, such as 2026-03-31.") from error


READ = {"text": lambda text, zone: text, "number": _number, "boolean": _truth, "date": _seconds}


class AttributeForm(forms.Form):
    """One custom attribute: one that is there, or a row for a new one. `changes`, once it is valid, is {}, or its key
    with the value to write, None to take it away."""

    KINDS = [("text", "Text"), ("number", "Number"), ("boolean", "True or false"), ("date", "Date")]

    key = Line()
    kind = forms.ChoiceField(choices=KINDS, initial="text", show_hidden_initial=True)
    value = Line(show_hidden_initial=True)

    def __init__(self, *args, contact: Contact, **options):
        super().__init__(*args, **options)
        self.contact = contact
        self.is_new = self.empty_permitted
        name = "a new attribute" if self.is_new else self["key"].value()
        if self.is_new:
            self.fields["key"].widget.attrs |= {"aria-label": "Name of a new attribute", "placeholder": "name"}
            self.fields["value"].widget.attrs["placeholder"] = "value"
        else:
            self.fields["key"].widget = forms.HiddenInput()
            self._offer_what_is_of(self.data.get(self.add_initial_prefix("kind"), self["kind"].initial))
        self.fields["kind"].widget.attrs["aria-label"] = f"Kind of {name}"
        self.fields["value"].widget.attrs |= {"aria-label": f"Value of {name}", "autocomplete": "off"}

    def _offer_what_is_of(self, shown: str):
        """The field for a value of the kind that was shown."""
        if shown == "boolean":
            choices = [("", "no value"), ("true", "true"), ("false", "false")]
            self.fields["value"].widget = forms.Select(choices=choices)
        elif shown == "date":
            self.fields["value"].widget = forms.DateInput({"type": "date"})

    def clean(self):
        super().clean()
        self.changes = {}
        key, kind, text = (self.cleaned_data.get(name, "") for name in ("key", "kind", "value"))
        if self.errors or not (key or text) or not (self.is_new or {"kind", "value"} & {*self.changed_data}):
            return
        if not self.is_new and not text:
            self.changes = {key: None}
        elif not text:
            self.add_error("value", "Write a value, or leave the name empty.")
        elif self.is_new and key in self.contact.custom_attributes:
            self.add_error("key", f"There is an attribute {key} already.")
        else:
            self._read(key, kind, text)

    def _read(self, key, kind, text):
        try:
            value = READ[kind](text, self.contact.workspace.zone)
        except ValueError as error:
            self.add_error("value", str(error))
            return
        for words in refusals({"custom_attributes": {key: value}}).get("custom_attributes", {}).values():
            self.add_error("value", words)
        if not self.errors and FILTER_KINDS[kind_of(key, value, date_suffix="_at")] != kind:
            self.add_error("value", _other_kind(key, kind))
        self.changes = {key: value}


def _other_kind(key: str, kind: str) -> str:
    """Why a value would be read as one of another kind."""
    if kind == "number":
        return "A whole number is a date where the name ends in _at. Choose Date, or another name."
    if not key.endswith("_at"):
        return "The name of a date ends in _at, such as renewal_at."
    return "Write a day of our times."


class AttributeRows(forms.BaseFormSet):
    """The custom attributes, and some rows for new ones. `changes` is for `people.change_contact`."""

    @property
    def changes(self) -> dict:
        return {key: value for form in self.forms for key, value in getattr(form, "changes", {}).items()}

    def clean(self):
        seen, wrong = set(), misfits(self.form_kwargs["contact"].workspace, self.changes)
        for form in self.forms:
            for key in getattr(form, "changes", {}):
                if key in seen:
                    form.add_error("key" if form.is_new else "value", f"{key} is written twice.")
                elif key in wrong:
                    form.add_error("value", wrong[key])
                seen.add(key)


def attribute_rows(data, contact: Contact) -> AttributeRows:
    """Return the rows of a person. What is nested, or beyond the most rows, stays as it is: that is for apps to write;
    `left_out` says how many."""
    zone, shown = contact.workspace.zone, []
    for key, value in contact.custom_attributes.items():
        if not isinstance(value, dict | list | None):
            kind = FILTER_KINDS[kind_of(key, value, date_suffix="_at")]
            shown.append({"key": key, "kind": kind, "value": _typed(kind, value, zone)})
    rows = forms.formset_factory(AttributeForm, formset=AttributeRows, extra=BLANK_ROWS)
    rows = rows(data, initial=shown[:MOST_ROWS], prefix="attributes", form_kwargs={"contact": contact})
    rows.left_out = len(contact.custom_attributes) - len(shown[:MOST_ROWS])
    return rows


def _typed(kind: str, value, zone) -> str:
    """A value as one would type it."""
    if kind == "date":
        return day_of(value, zone).isoformat()
    return value if kind == "text" else json.dumps(value)


class TagForm(forms.ModelForm):
    class Meta:
        model = Tag
        fields = ("name",)
        widgets = {"name": forms.TextInput({"list": "other-tags", "placeholder": "Add a tag", "autocomplete": "off"})}


class DeletionForm(forms.Form):
    """Whoever deletes a person types what they are known by."""

    confirm = forms.CharField(widget=forms.TextInput({"autocomplete": "off"}))

    def __init__(self, data, *, contact: Contact):
        super().__init__(data)
        self.word = contact.email or contact.external_id or contact.public_id
        self.fields["confirm"].label = f"Type {self.word} to confirm"

    def clean_confirm(self):
        if fold(self.cleaned_data["confirm"]) != fold(self.word.strip()):
            raise forms.ValidationError(f"Nothing is deleted: that is not {self.word}.")
