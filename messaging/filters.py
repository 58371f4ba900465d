"""Filters of the flat lists."""

import django_filters as filters

from messaging.models import AutoMessage, Delivery


class DeliveryFilter(filters.FilterSet):
    """Deliveries by rule, state and reason."""

    message = filters.ModelChoiceFilter(queryset=AutoMessage.objects.none(), empty_label="Any rule", label="Rule")
    state = filters.ChoiceFilter(
        choices=Delivery.State.choices, empty_label="Any state", help_text="What became of them."
    )
    reason = filters.ChoiceFilter(
        choices=Delivery.Reason.choices[1:], empty_label="Any reason", help_text="Why they were not sent."
    )

    class Meta:
        model = Delivery
        fields = ("message", "state", "reason")

    def __init__(self, *args, workspace, **kwargs):
        super().__init__(*args, **kwargs)
        self.filters["message"].queryset = workspace.auto_messages.all()
