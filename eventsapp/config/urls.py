"""Every address. The API stands at the root, where Intercom's SDKs look for it; pages stand under /app/."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # The API first, because nothing is asked for as often; and of it /contacts/search before /contacts/{id}.
    path("", include("segments.api_urls")),
    path("", include("eventsapp.api_urls")),
    path("", include("eventsapp.browser_api")),
    path("", include("messaging.api_urls")),
    path("", include("eventsapp.urls")),
    path("", include("segments.urls")),
    path("", include("messaging.urls")),
    path("admin/", admin.site.urls),
]
if settings.ANYMAIL_WEBHOOK_SECRET:
    urlpatterns.append(path("anymail/", include("anymail.urls")))

handler403 = "eventsapp.views.forbidden"
handler404 = "eventsapp.views.not_found"
handler500 = "eventsapp.views.server_error"
