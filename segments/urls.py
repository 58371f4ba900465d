"""The builder, and the segments saved from it."""

from django.urls import path

from segments import views

urlpatterns = [
    path("app/<slug:app_id>/people/", views.people, name="people"),
    path("app/<slug:app_id>/people/activity/", views.people_activity, name="people_activity"),
    path("app/<slug:app_id>/people/build/", views.people_build, name="people_build"),
    path("app/<slug:app_id>/segments/", views.segments, name="segments"),
    path("app/<slug:app_id>/segments/new/", views.new_segment, name="new_segment"),
    path("app/<slug:app_id>/segments/<int:pk>/", views.segment, name="segment"),
    path("app/<slug:app_id>/segments/<int:pk>/count/", views.segment_count, name="segment_count"),
]
