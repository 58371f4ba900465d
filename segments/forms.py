"""Saving a segment from the builder."""

import json

from django import forms

from segments.definition import Invalid, parse_to_save
from segments.models import Segment
from segments.urlstate import read_json


class SegmentForm(forms.ModelForm):
    """A name, and the definition as the builder's JSON."""

    definition = forms.CharField(widget=forms.HiddenInput)

    class Meta:
        model = Segment
        fields = ("name", "description")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["definition"] = json.dumps(self.instance.definition) if self.instance.pk else ""

    def clean_definition(self):
        try:
            data = read_json(self.cleaned_data["definition"])
            return parse_to_save(self.instance.workspace, data, of=self.instance.pk).as_json()
        except ValueError as error:
            raise forms.ValidationError("The filter could not be read.") from error
        except Invalid as error:
            raise forms.ValidationError([_sentence(fault) for fault in error.faults]) from error

    def save(self, commit=True):
        self.instance.definition = self.cleaned_data["definition"]
        return super().save(commit)

    def _get_validation_exclusions(self):
        # The name is unique within the workspace, which is no field of this form.
        return super()._get_validation_exclusions() - {"workspace", "archived_at"}


def _sentence(fault) -> str:
    return fault.message if fault.field == "definition" else f"{fault.field}: {fault.message}"
