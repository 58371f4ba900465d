"""Pages for everybody on the staff, and those of people and events."""

from django.contrib.auth.views import LogoutView
from django.urls import path, re_path

from eventsapp import (
    attribute_views,
    home_views,
    import_views,
    live_views,
    metrics,
    person_views,
    reference,
    settings_views,
    type_views,
    views,
)

SECTIONS = "people|segments|events|messages|deliveries|settings"
PERSON = r"^app/(?P<app_id>[-\w]+)/people/(?P<public_id>[0-9a-f]{24})/"

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("metrics", metrics.metrics, name="metrics"),
    path("docs/api/", reference.page, name="api_reference"),
    path("invite/<str:secret>/", views.invitation, name="invitation"),
    re_path(rf"^app/(?:(?P<section>{SECTIONS})/)?$", views.last_used, name="last_used"),
    path("app/<slug:app_id>/", home_views.dashboard, name="dashboard"),
    path("app/<slug:app_id>/search/", home_views.search, name="search"),
    re_path(rf"{PERSON}$", person_views.person, name="person"),
    re_path(rf"{PERSON}edit/$", person_views.edit_person, name="edit_person"),
    re_path(rf"{PERSON}tags/$", person_views.tag_person, name="tag_person"),
    re_path(rf"{PERSON}export/$", person_views.export_person, name="export_person"),
    re_path(rf"{PERSON}delete/$", person_views.delete_person, name="delete_person"),
    path("app/<slug:app_id>/people/import/", import_views.people_imports, name="people_imports"),
    path("app/<slug:app_id>/people/import/<int:pk>/", import_views.people_import, name="people_import"),
    path(
        "app/<slug:app_id>/people/import/<int:pk>/refused/",
        import_views.people_import_refused,
        name="people_import_refused",
    ),
    path("app/<slug:app_id>/events/", type_views.events, name="events"),
    path("app/<slug:app_id>/events/<int:pk>/", type_views.event_type, name="event_type"),
    path("app/<slug:app_id>/events/live/", live_views.live, name="live"),
    path("app/<slug:app_id>/events/live/<int:pk>/", live_views.live_request, name="live_request"),
    path("app/<slug:app_id>/settings/", settings_views.overview, name="settings"),
    path("app/<slug:app_id>/settings/workspace/", settings_views.change_workspace, name="change_workspace"),
    path("app/<slug:app_id>/settings/tokens/", settings_views.make_token, name="make_token"),
    path("app/<slug:app_id>/settings/tokens/<int:pk>/revoke/", settings_views.revoke_token, name="revoke_token"),
    path("app/<slug:app_id>/settings/invite/", settings_views.invite, name="invite"),
    path("app/<slug:app_id>/settings/colleagues/<int:pk>/", settings_views.change_colleague, name="change_colleague"),
    path("app/<slug:app_id>/settings/attributes/", attribute_views.all_attributes, name="attributes"),
    path("app/<slug:app_id>/settings/attributes/<int:pk>/", attribute_views.attribute, name="attribute"),
    path("app/<slug:app_id>/settings/password/", settings_views.change_password, name="change_password"),
]
