"""The baseline: Django with an empty function view and no middleware, behind the same server."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path

os.environ.pop("DJANGO_SETTINGS_MODULE", None)
settings.configure(
    ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["*"], SECRET_KEY="a baseline has none", USE_TZ=True
)
urlpatterns = [re_path("", lambda request: HttpResponse(status=202))]
application = get_wsgi_application()
