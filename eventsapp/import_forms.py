"""What staff choose when they import people: a file, then what its columns are for."""

from collections.abc import Sequence

from django import forms

from eventsapp.attributes import CUSTOM
from eventsapp.people_columns import LEFT_OUT, faults_in_targets, names_somebody, tags_in
from eventsapp.uploads import LARGEST

MEGABYTE = 1_000_000
NAMED = "attribute"  # the choice beside which a name is written


class FileForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        widget=forms.FileInput({"accept": ".csv,.tsv,.txt,text/csv"}),
        help_text=f"Up to {LARGEST // MEGABYTE} MB. For more there is a command: <code>manage.py import_people</code>.",
        error_messages={"required": "Choose a file.", "empty": "The file is empty. Choose another."},
    )

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > LARGEST:
            size = f"{file.size / MEGABYTE:,.0f} MB" if file.size >= LARGEST + MEGABYTE else "more than that"
            raise forms.ValidationError(
                f"Up to {LARGEST // MEGABYTE} MB are taken here, and this file has {size}. Cut it into several, or let "
                "an operator import it: manage.py import_people FILE"
            )
        return file


class ColumnForm(forms.Form):
    """What one column is for. `target`, once it is valid, is for `people_columns.Columns`."""

    CHOICES = [
        (LEFT_OUT, "Leave it out"),
        (NAMED, "Attribute named …"),
        ("Who it is", [("user_id", "user_id"), ("email", "Email"), ("id", "Id of ours (24 hex digits)")]),
        (
            "What everybody has",
            [
                ("name", "Name"),
                ("phone", "Phone"),
                ("signed_up_at", "Signed up"),
                ("last_seen_at", "Last seen"),
                ("role", "Role (user or lead)"),
                ("unsubscribed_from_emails", "Unsubscribed from emails (true or false)"),
                ("tags", "Tags"),
            ],
        ),
    ]

    use = forms.ChoiceField(choices=CHOICES, required=False)
    name = forms.CharField(required=False)

    def __init__(self, *args, column: str, cells: Sequence[str], **options):
        super().__init__(*args, **options)
        self.column, self.cells = column, cells
        self.fields["use"].widget.attrs["aria-label"] = f"What “{column}” is"
        self.fields["name"].widget.attrs |= {
            "aria-label": f"Name of the attribute for “{column}”",
            "autocomplete": "off",
        }

    @property
    def target(self) -> str:
        use = self.cleaned_data.get("use", LEFT_OUT)
        return f"{CUSTOM}{self.cleaned_data.get('name', '')}" if use == NAMED else use


class BaseColumns(forms.BaseFormSet):
    """All columns of a file, in their order."""

    def __init__(self, data, *, header: Sequence[str], targets: Sequence[str], sample: Sequence[Sequence[str]]):
        self.header, self.sample = header, sample
        super().__init__(data, initial=[_shown(*both) for both in zip(header, targets, strict=True)], prefix="columns")

    def total_form_count(self):
        """As many as the file has columns, whatever was sent."""
        return len(self.header)

    def get_form_kwargs(self, index):
        cells = [row[index] if index < len(row) else "" for row in self.sample]
        return {"column": self.header[index], "cells": cells}

    @property
    def targets(self) -> list[str]:
        return [form.target for form in self.forms]

    def clean(self):
        if any(form.errors for form in self.forms):
            return
        for place, fault in faults_in_targets(self.targets).items():
            form = self.forms[place]
            form.add_error("name" if form.cleaned_data["use"] == NAMED else "use", fault)
        if not names_somebody(self.targets):
            raise forms.ValidationError("No column says who a row is about: let one of them be user_id, email or id.")


def _shown(column: str, target: str) -> dict:
    if target.startswith(CUSTOM):
        return {"use": NAMED, "name": target.removeprefix(CUSTOM)}
    return {"use": target, "name": column}


ColumnForms = forms.formset_factory(ColumnForm, formset=BaseColumns, extra=0)


class TagsForm(forms.Form):
    tags = forms.CharField(
        required=False,
        label="Tags for everybody in the file",
        help_text="Several with commas between them. A tag that is new is made.",
        widget=forms.TextInput({"autocomplete": "off", "placeholder": "such as spring fair"}),
    )

    def clean_tags(self):
        try:
            return tags_in(self.cleaned_data["tags"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
