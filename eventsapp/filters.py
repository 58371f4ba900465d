"""Filters of the flat lists, the same on pages and in the API."""

from datetime import date, timedelta

import django_filters as filters
from django import forms

from eventsapp.days import start_of
from eventsapp.errors import Refused, invalid
from eventsapp.incoming import normal_name
from eventsapp.models import ApiRequest, Contact, Event, Source, Tag
from eventsapp.openapi import REFUSALS
from eventsapp.text import fold

# What the API answers with.
STATUSES = sorted({200, 202, *REFUSALS})


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


class DayFilter(filters.DateFilter):
    """A day, which the browser offers to pick."""

    def __init__(self, **words):
        super().__init__(widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"), **words)


class PeopleFilter(filters.FilterSet):
    """People by what they are called, their role and a tag."""

    search = filters.CharFilter(
        method="called",
        label="Search",
        help_text="An id, or how a name, email or user_id begins; else a later word of a name.",
    )
    email = filters.CharFilter(method="with_email", help_text="An email, in whatever case.")
    role = filters.ChoiceFilter(
        choices=[choice for choice in Contact.Role.choices if choice[0] != Contact.Role.VISITOR],
        empty_label="Any role",
        help_text="Users or leads alone.",
    )
    tag_id = filters.ModelChoiceFilter(
        field_name="taggings__tag",
        queryset=Tag.objects.none(),
        empty_label="Any tag",
        label="Tag",
        help_text="The id of a tag that they have.",
    )

    class Meta:
        model = Contact
        fields = ("search", "email", "role", "tag_id")

    def __init__(self, *args, workspace, **kwargs):
        super().__init__(*args, **kwargs)
        self.filters["tag_id"].queryset = workspace.tags.all()

    def called(self, people, field_name, words):
        return people.found_by(words)

    def with_email(self, people, field_name, email):
        return people.filter(email_folded=fold(email))


class EventFilter(filters.FilterSet):
    """Events by their source and, in days of the workspace's time zone, by when they happened."""

    source = filters.ChoiceFilter(choices=Source.choices, empty_label="Any source", help_text="By which door it came.")
    on_or_after = DayFilter(
        method="not_before", label="From", help_text="Happened on this day of the workspace's time zone, or later."
    )
    on_or_before = DayFilter(method="not_after", label="Until", help_text="Happened on this day, or earlier.")

    class Meta:
        model = Event
        fields = ("source", "on_or_after", "on_or_before")

    def __init__(self, *args, workspace, **kwargs):
        super().__init__(*args, **kwargs)
        self.zone = workspace.zone

    def not_before(self, events, field_name, day):
        return events.filter(created_at__gte=start_of(day, self.zone))

    def not_after(self, events, field_name, day):
        return events.filter(created_at__lt=start_of(day + timedelta(days=1), self.zone)) if day < date.max else events


class HistoryFilter(EventFilter):
    """The same, and by name: for the events of one person."""

    event_name = filters.CharFilter(method="named", label="Event", help_text="Events of this name alone.")

    class Meta:
        model = Event
        fields = ("event_name", *EventFilter.Meta.fields)

    def named(self, events, field_name, name):
        return events.filter(type__name=normal_name(name))


def filtered(filter_set: type[filters.FilterSet], asked, queryset, **context):
    """Return what of `queryset` the query of an API request asks for. Raises Refused with every fault."""
    found = filter_set(asked, queryset=queryset, **context)
    if not found.is_valid():
        raise Refused(*(invalid(name, " ".join(words)) for name, words in found.errors.items()))
    return found.qs


def asked_in(found: filters.FilterSet) -> dict[str, str]:
    """Return the query of a filter set without what is empty, to write it into a link."""
    return {name: found.data[name] for name in found.filters if found.data.get(name)}
