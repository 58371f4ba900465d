"""What is left of Intercom's API 1.x and still called by its older SDKs: users, and bulk jobs of events."""

import re

from rest_framework.response import Response

from eventsapp import legacy_shapes as shapes
from eventsapp.bulk import append, open_job, read_job
from eventsapp.erasing import erase
from eventsapp.errors import NotFound
from eventsapp.models import BulkJob, Scope
from eventsapp.openapi import in_path, operation, query
from eventsapp.people import change_or_create_user, contact_by_id, contact_named
from eventsapp.serializers import UserIn, job_as_json, job_errors_as_json, user_as_json
from eventsapp.shapes import CONTACT_ID as CONTACT_ID_SHAPE
from eventsapp.transport import ApiView

CONTACT_ID = in_path("contact_id", "The contact's id: 24 hex digits.", CONTACT_ID_SHAPE)
JOB_NAME = re.compile(r"job_[0-9a-f]{24}\Z")
JOB_ID = in_path("job_id", "The job's id.", {"type": "string"})


class Users(ApiView):
    """`POST /users` makes or changes a user; `GET /users?user_id=` or `?email=` finds one."""

    scopes = {"POST": Scope.PEOPLE_WRITE, "GET": Scope.READ}

    @operation(
        "make_or_change_user",
        "API 1.x",
        asks=shapes.USER_IN,
        answers={200: ("The user.", shapes.USER)},
        refuses=(404, 409, 410),
    )
    def post(self, request):
        """Make a user, or change the one who is there.

        Custom attributes are merged. Companies, avatars and user agents, which some SDKs send, are ignored.
        """
        public_id, fields = UserIn.read(self.sent())
        return Response(user_as_json(change_or_create_user(self.workspace, public_id, fields)))

    @operation(
        "find_user",
        "API 1.x",
        answers={200: ("The user.", shapes.USER)},
        refuses=(404, 409),
        parameters=[
            query("user_id", "Your own id of the person.", {"type": "string", "examples": ["314159"]}),
            query("email", "Their email, where you have no user_id.", {"type": "string"}),
        ],
    )
    def get(self, request):
        """Find a user by user_id or email."""
        asked = request.query_params
        user = contact_named(self.workspace, user_id=asked.get("user_id"), email=asked.get("email"))
        return Response(user_as_json(user))


class OneUser(ApiView):
    """`GET` and `DELETE /users/{id}`."""

    scopes = {"GET": Scope.READ, "DELETE": Scope.PEOPLE_WRITE}

    @operation(
        "get_user",
        "API 1.x",
        answers={200: ("The user.", shapes.USER)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def get(self, request, contact_id):
        """Read one user."""
        return Response(user_as_json(contact_by_id(self.workspace, contact_id)))

    @operation(
        "delete_user",
        "API 1.x",
        answers={200: ("The user, who is deleted now.", shapes.USER)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def delete(self, request, contact_id):
        """Delete a user for good, with all that is kept of them."""
        user = contact_by_id(self.workspace, contact_id)
        told = user_as_json(user)
        erase(user)
        return Response(told)


class BulkEvents(ApiView):
    """`POST /bulk/events` stores up to a hundred events and more, in a job of its own or in one that is open."""

    scopes = {"POST": Scope.EVENTS_WRITE}
    body_limit = 10_000_000

    @operation(
        "create_event_job",
        "API 1.x",
        asks=shapes.JOB_IN,
        answers={200: ("The job.", shapes.JOB)},
        refuses=(404,),
    )
    def post(self, request):
        """Record many events in a job.

        They are stored when this is answered; GET /jobs/{job_id}/error tells which were not. Prefer POST /events/batch,
        which tells at once.
        """
        items, job_id = read_job(self.sent())
        self.spend(max(len(items) - 1, 0))
        job = _job(self.workspace, job_id) if job_id else open_job(self.workspace)
        return Response(job_as_json(append(job, items)))


class OneJob(ApiView):
    """`GET /jobs/{id}` tells how a job stands; `POST` appends to one that is open."""

    scopes = {"GET": Scope.EVENTS_WRITE, "POST": Scope.EVENTS_WRITE}
    body_limit = 10_000_000

    @operation("get_job", "API 1.x", answers={200: ("The job.", shapes.JOB)}, refuses=(404,), parameters=[JOB_ID])
    def get(self, request, job_id):
        """Ask how a job stands."""
        return Response(job_as_json(_job(self.workspace, job_id)))

    @operation(
        "append_to_job",
        "API 1.x",
        asks=shapes.JOB_IN,
        answers={200: ("The job.", shapes.JOB)},
        refuses=(404,),
        parameters=[JOB_ID],
    )
    def post(self, request, job_id):
        """Append events to a job that is open."""
        items, _ = read_job(self.sent())
        self.spend(max(len(items) - 1, 0))
        return Response(job_as_json(append(_job(self.workspace, job_id), items)))


class JobErrors(ApiView):
    """`GET /jobs/{id}/error`: the items that were not stored, and why."""

    scopes = {"GET": Scope.EVENTS_WRITE}

    @operation(
        "list_job_errors",
        "API 1.x",
        answers={200: ("The items that were not stored.", shapes.JOB_ERRORS)},
        refuses=(404,),
        parameters=[JOB_ID],
    )
    def get(self, request, job_id):
        """List the items of a job that were not stored."""
        return Response(job_errors_as_json(_job(self.workspace, job_id)))


def _job(workspace, public_id: str) -> BulkJob:
    if JOB_NAME.match(public_id):
        job = BulkJob.objects.filter(workspace=workspace, public_id=public_id).select_related("workspace").first()
        if job:
            return job
    raise NotFound("Job Not Found", "id")
