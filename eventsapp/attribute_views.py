"""Settings → Attributes: what is known of people, of which type, and what staff say of it."""

from django import forms
from django.contrib import messages as notices
from django.shortcuts import get_object_or_404, redirect, render
from rest_framework.exceptions import ValidationError

from eventsapp import attributes
from eventsapp.attribute_api import read_changes
from eventsapp.errors import Refused, faults_in
from eventsapp.models import DataAttribute, Role
from eventsapp.pages import staff_page


class AttributeForm(forms.Form):
    """An attribute as it is, or as it was typed; what is wrong with it is told as the API tells it."""

    data_type = forms.ChoiceField(
        label="Type",
        choices=[(type, type.label.capitalize()) for type in DataAttribute.Type],
        help_text="A value of another type is refused. It can be changed once nobody has such a value any more.",
    )
    description = forms.CharField(required=False, max_length=255)
    options = forms.CharField(
        label="Only these texts",
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text="One on each line, two or more. Empty: any text.",
    )
    messenger_writable = forms.BooleanField(
        label="Browsers may change it", required=False, help_text="Those that prove it with a signed JWT always may."
    )
    archived = forms.BooleanField(
        label="Archived", required=False, help_text="Offered in no filter. What people have of it stays."
    )

    def __init__(self, attribute: DataAttribute, posted=None):
        self.attribute = attribute
        stored = {
            "data_type": attribute.data_type,
            "description": attribute.description,
            "options": "\n".join(attribute.options),
            "messenger_writable": attribute.name not in attribute.workspace.protected,
            "archived": attribute.archived_at is not None,
        }
        super().__init__(posted, initial=stored)

    def save(self) -> bool:
        """Return whether it could be done; if not, the form says why."""
        sent = self.cleaned_data
        options = [line.strip() for line in sent["options"].splitlines()]
        sent = sent | {"options": [{"value": option} for option in options if option]}
        try:
            attributes.change(self.attribute, **read_changes(self.attribute, sent))
        except Refused as refused:
            faults = refused.faults
        except ValidationError as error:
            faults = faults_in(error.detail)
        else:
            return True
        for fault in faults:
            field = (fault.field or "").partition(".")[0]
            self.add_error(field if field in self.fields else "data_type", fault.message)
        return False


@staff_page()
def all_attributes(request, workspace):
    """The custom attributes by name, archived ones last."""
    found = sorted(workspace.attributes.all(), key=lambda attribute: attribute.archived_at is not None)
    return render(request, "eventsapp/attributes.html", {"attributes": found, "protected": workspace.protected})


@staff_page(Role.ADMIN)
def attribute(request, workspace, pk):
    """One of them, to be changed."""
    found = get_object_or_404(workspace.attributes.select_related("workspace"), pk=pk)
    form = AttributeForm(found, request.POST if request.method == "POST" else None)
    if form.is_valid() and form.save():
        notices.success(request, f"{found} is saved.")
        return redirect("attributes", workspace.app_id)
    context = {"attribute": found, "form": form}
    return render(request, "eventsapp/attribute.html", context, status=422 if form.errors else 200)
