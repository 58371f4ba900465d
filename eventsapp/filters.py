"""Filters of the flat lists."""

import django_filters as filters

from eventsapp.models import ApiRequest

# What the API answers with.
STATUSES = (200, 202, 400, 403, 404, 405, 409, 413, 415, 422, 429, 500)


class ApiRequestFilter(filters.FilterSet):
    """The latest API requests: all, refused or with notes; by status; the one with a request_id."""

    show = filters.ChoiceFilter(
        choices=[("refused", "Refused"), ("noted", "With notes")], empty_label="All", label="Show", method="told"
    )
    status = filters.ChoiceFilter(choices=[(status, status) for status in STATUSES], empty_label="Any")
    request_id = filters.UUIDFilter(label="request_id")

    class Meta:
        model = ApiRequest
        fields = ("show", "status", "request_id")

    def told(self, requests, field_name, which):
        return requests.refused() if which == "refused" else requests.with_notes()
