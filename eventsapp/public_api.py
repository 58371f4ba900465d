"""What anybody may ask without a token."""

from functools import cache

import msgspec
from django.db import DatabaseError
from django.http import HttpResponse
from rest_framework.response import Response

from eventsapp import health, shapes
from eventsapp.openapi import JSON, document, operation
from eventsapp.transport import PublicView


class Healthz(PublicView):
    """`GET /healthz`, for whoever watches over the installation."""

    @operation(
        "get_health",
        "Installation",
        answers={200: ("The database answers.", shapes.HEALTH), 503: ("It does not.", shapes.NO_HEALTH)},
    )
    def get(self, request):
        """Ask whether it works.

        Tells also whether the worker lives and how long the oldest event has been waiting to be matched.
        """
        try:
            return Response(health.report())
        except DatabaseError as error:
            return Response({"status": "database away", "database": type(error).__name__}, status=503)


class OpenApi(PublicView):
    """`GET /openapi.json`: what the API says of itself."""

    @operation("get_openapi", "Installation", answers={200: ("The document.", shapes.OPENAPI)})
    def get(self, request):
        """Describe this API.

        An OpenAPI 3.1 document of every operation, for code generators and tests. It may be kept for five minutes.
        """
        return HttpResponse(_encoded(), content_type=JSON, headers={"Cache-Control": "public, max-age=300"})


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())
