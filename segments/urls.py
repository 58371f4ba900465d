"""The builder, what is done with those who match, and the segments saved from it."""

from django.urls import path, re_path

from eventsapp.urls import PERSON
from segments import member_views, saved_views, views

urlpatterns = [
    path("app/<slug:app_id>/people/", views.people, name="people"),
    path("app/<slug:app_id>/people/activity/", views.people_activity, name="people_activity"),
    path("app/<slug:app_id>/people/build/", views.people_build, name="people_build"),
    re_path(rf"{PERSON}segments/$", member_views.person_segments, name="person_segments"),
    path("app/<slug:app_id>/people/why/", member_views.people_why, name="people_why"),
    path("app/<slug:app_id>/people/export/", member_views.people_export, name="people_export"),
    path("app/<slug:app_id>/people/tag/", member_views.people_tag, name="people_tag"),
    path("app/<slug:app_id>/people/tagged/", member_views.people_tagged, name="people_tagged"),
    path("app/<slug:app_id>/people/tagged/<int:pk>/", member_views.tag_run, name="tag_run"),
    path("app/<slug:app_id>/segments/", saved_views.segments, name="segments"),
    path("app/<slug:app_id>/segments/new/", saved_views.new_segment, name="new_segment"),
    path("app/<slug:app_id>/segments/<int:pk>/", saved_views.segment, name="segment"),
    path("app/<slug:app_id>/segments/<int:pk>/count/", saved_views.segment_count, name="segment_count"),
]
