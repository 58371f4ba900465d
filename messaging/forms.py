"""The rule editor's form."""

from django import forms

from eventsapp.incoming import MAX_NAME, normal_name
from messaging import text
from messaging.models import AutoMessage
from segments.definition import Invalid, parse_where
from segments.drafts import said_in, where_in


class AutoMessageForm(forms.ModelForm):
    """A rule as staff write it. `event` is a name, which may not have been seen yet; `where` is in fields of its own,
    as segments.drafts reads them."""

    event = forms.CharField(label="Event", max_length=255)
    where = forms.Field(required=False)

    class Meta:
        model = AutoMessage
        fields = ("name", "audience", "frequency", "subject", "body")
        widgets = {"body": forms.Textarea(attrs={"rows": 12, "class": "code", "spellcheck": "true"})}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rule = self.instance
        self.fields["audience"].queryset = rule.workspace.segments.active()
        self.fields["audience"].empty_label = "everyone"
        self.fields["audience"].help_text = ""
        if rule.trigger_id:
            self.initial["event"] = rule.trigger.name
        self.tests = where_in(self.data.items()) if self.is_bound else rule.where

    def clean_event(self):
        name = normal_name(self.cleaned_data["event"])
        if len(name) > MAX_NAME:
            raise forms.ValidationError(f"The name has more than {MAX_NAME} characters. Write fewer.")
        return name

    def clean_where(self):
        try:
            return [where.as_json() for where in parse_where(said_in(self.tests))]
        except Invalid as error:
            raise forms.ValidationError([f"{fault.field}: {fault.message}" for fault in error.faults]) from error

    def _clean_text(self, name):
        source = self.cleaned_data[name]
        if fault := text.fault_in(source):
            raise forms.ValidationError(fault)
        return source

    def clean_subject(self):
        return self._clean_text("subject")

    def clean_body(self):
        return self._clean_text("body")
