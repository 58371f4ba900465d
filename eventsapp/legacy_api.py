"""What is left of Intercom's API 1.x and still called by its older SDKs: users, and bulk jobs."""

import re
from collections.abc import Callable

from django.db.models import Q
from rest_framework.response import Response

from eventsapp import batches
from eventsapp import legacy_shapes as shapes
from eventsapp.api import CONTACT_ID
from eventsapp.auth import require
from eventsapp.bulk import append, deletes_somebody, open_job, read_job
from eventsapp.contact_pages import (
    LEGACY_MOST_PAGES,
    LEGACY_MOST_PER_PAGE,
    LEGACY_ORDER,
    PER_PAGE,
    Cursor,
    legacy_page_of,
    part_of,
    place_after,
)
from eventsapp.erasing import erase
from eventsapp.errors import NotFound
from eventsapp.models import BulkJob, Contact, Scope, Workspace
from eventsapp.openapi import in_path, operation, query
from eventsapp.people import change_or_create_user, contact_by_id, contact_named
from eventsapp.serializers import UserIn, job_as_json, job_errors_as_json, user_as_json, users_as_json
from eventsapp.tags import tag_by_id
from eventsapp.transport import ApiView

SCROLLED = 100  # users at a time
JOB_NAME = re.compile(r"job_[0-9a-f]{24}\Z")
JOB_SCOPES = {BulkJob.Of.EVENTS: Scope.EVENTS_WRITE, BulkJob.Of.USERS: Scope.PEOPLE_WRITE}
JOB_ID = in_path("job_id", "The job's id.", {"type": "string"})

# By the name of a parameter, who of a workspace's users a list has; gets the workspace and the value, and raises
# Refused. Upper apps add theirs.
narrowed_by: dict[str, Callable[[Workspace, str], Q]] = {}


def _number(most: int, default: int) -> dict:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


class Users(ApiView):
    """`POST /users` makes or changes a user; `GET /users?user_id=` or `?email=` finds one and `DELETE` deletes them,
    `GET /users` lists all."""

    scopes = {"POST": Scope.PEOPLE_WRITE, "GET": Scope.READ, "DELETE": Scope.PEOPLE_WRITE}

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
        answers={200: ("The user, or a page of all.", {"anyOf": [shapes.USER, shapes.USER_LIST]})},
        refuses=(404, 409, 422),
        parameters=[
            query("user_id", "Your own id of the person.", {"type": "string", "examples": ["314159"]}),
            query("email", "Their email, where you have no user_id.", {"type": "string"}),
            query("tag_id", "Of a list: those who have this tag.", {"type": "string", "pattern": "^[0-9]{1,9}$"}),
            query(
                "segment_id",
                "Of a list: those who belong to this segment now.",
                {"type": "string", "pattern": "^[0-9]{1,9}$"},
            ),
            query("per_page", "Of a list: how many at once.", _number(LEGACY_MOST_PER_PAGE, PER_PAGE)),
            query("page", "Of a list: which page.", _number(LEGACY_MOST_PAGES, 1)),
            query("starting_after", "Of a list: what pages.next says.", {"type": "string"}),
            *LEGACY_ORDER,
        ],
    )
    def get(self, request):
        """Find a user by user_id or email, or list all.

        A list has the newest first; follow pages.next.
        """
        asked = request.query_params
        if not asked.get("user_id") and not asked.get("email"):
            return Response(_asked_for(self.workspace, asked))
        return Response(user_as_json(self._named(asked)))

    @operation(
        "delete_user_named",
        "API 1.x",
        answers={200: ("The user, who is deleted now.", shapes.USER)},
        refuses=(404, 409),
        parameters=[
            query("user_id", "Your own id of the person.", {"type": "string", "examples": ["a-former-user"]}),
            query("email", "Their email, where you have no user_id.", {"type": "string"}),
        ],
    )
    def delete(self, request):
        """Delete the user with this user_id or email for good, with all that is kept of them."""
        told = _deleted(self._named(request.query_params))
        self.keep_out_of_log()
        return Response(told)

    def _named(self, asked) -> Contact:
        return contact_named(self.workspace, user_id=asked.get("user_id"), email=asked.get("email"))


def _deleted(user: Contact) -> dict:
    told = user_as_json(user)
    erase(user)
    return told


def _asked_for(workspace, asked) -> dict:
    """Return a page of users: all, or those of a tag and whatever upper apps know."""
    users, same = _users(workspace), {}
    if asked.get("tag_id"):
        users, same["tag_id"] = users.filter(taggings__tag=tag_by_id(workspace, asked["tag_id"])), asked["tag_id"]
    for name in asked.keys() & narrowed_by.keys():
        if asked[name]:
            users, same[name] = users.filter(narrowed_by[name](workspace, asked[name])), asked[name]
    return legacy_page_of(users, asked, "user", same)


def _users(workspace):
    return Contact.objects.filter(workspace=workspace, role=Contact.Role.USER).people()


class UserScroll(ApiView):
    """`GET /users/scroll`."""

    scopes = {"GET": Scope.READ}

    @operation(
        "scroll_users",
        "API 1.x",
        answers={200: ("Up to a hundred users.", shapes.SCROLL)},
        parameters=[query("scroll_param", "What the answer before says; none for the first.", {"type": "string"})],
    )
    def get(self, request):
        """Read all users, a hundred at a time.

        Send scroll_param back until the list is empty.
        """
        asked = request.query_params.get("scroll_param")
        cursor = Cursor.read(asked) if asked else None
        found, page, _ = part_of(_users(self.workspace), per_page=SCROLLED, cursor=cursor)
        # After the last one, too: it is the empty list that ends it.
        place = str(place_after(found[-1], page)) if found else None
        return Response({"type": "user.list", "users": users_as_json(found), "scroll_param": place})


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
        return Response(_deleted(contact_by_id(self.workspace, contact_id)))


class JobView(ApiView):
    """A view of bulk jobs."""

    body_limit = batches.LIMIT

    def job(self, public_id: str, **fields) -> BulkJob:
        """Return a job of the workspace. Raises NotFound, and Refused (403) for a token that may not write what it is
        of."""
        if not JOB_NAME.match(public_id):
            raise NotFound("Job Not Found", "id")
        jobs = BulkJob.objects.filter(workspace=self.workspace, **fields).select_related("workspace")
        job = jobs.filter(public_id=public_id).first()
        if job is None:
            raise NotFound("Job Not Found", "id")
        require(self.request.auth, JOB_SCOPES[job.of])
        return job

    def begin_or_append(self, of: BulkJob.Of) -> Response:
        """Do what the request's items say, in the job that it names or in a new one."""
        items, public_id = read_job(self.sent(), of)
        job = self.job(public_id, of=of) if public_id else None
        return self.append(job or open_job(self.workspace, of), items)

    def append(self, job: BulkJob, items: list) -> Response:
        self.spend(max(len(items) - 1, 0))
        if deletes_somebody(items):
            self.keep_out_of_log()
        return Response(job_as_json(append(job, items)))


class BulkEvents(JobView):
    """`POST /bulk/events` stores up to 50,000 events, in a job of its own or in one that is open."""

    scopes = {"POST": Scope.EVENTS_WRITE}

    @operation(
        "create_event_job",
        "API 1.x",
        asks=shapes.EVENT_JOB_IN,
        answers={200: ("The job.", shapes.JOB)},
        refuses=(404,),
    )
    def post(self, request):
        """Record many events in a job.

        They are stored when this is answered; GET /jobs/{job_id}/error tells which were not. Prefer POST /events/batch,
        which tells at once.
        """
        return self.begin_or_append(BulkJob.Of.EVENTS)


class BulkUsers(JobView):
    """`POST /bulk/users` makes, changes and deletes up to 100 users, in a job of its own or in one that is open."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "create_user_job",
        "API 1.x",
        asks=shapes.USER_JOB_IN,
        answers={200: ("The job.", shapes.JOB)},
        refuses=(404,),
    )
    def post(self, request):
        """Make, change and delete many users in a job.

        Each item does what POST or DELETE /users does, one after the other. It is done when this is answered;
        GET /jobs/{job_id}/error tells which items were not.
        """
        return self.begin_or_append(BulkJob.Of.USERS)


class OneJob(JobView):
    """`GET /jobs/{id}` tells how a job stands; `POST` appends to one that is open."""

    @operation("get_job", "API 1.x", answers={200: ("The job.", shapes.JOB)}, refuses=(403, 404), parameters=[JOB_ID])
    def get(self, request, job_id):
        """Ask how a job stands.

        The token needs the scope with which such a job is made.
        """
        return Response(job_as_json(self.job(job_id)))

    @operation(
        "append_to_job",
        "API 1.x",
        asks={"anyOf": [shapes.EVENT_JOB_IN, shapes.USER_JOB_IN]},
        answers={200: ("The job.", shapes.JOB)},
        refuses=(403, 404),
        parameters=[JOB_ID],
    )
    def post(self, request, job_id):
        """Append events, or users, to a job that is open.

        The token needs the scope with which such a job is made.
        """
        job = self.job(job_id)
        items, _ = read_job(self.sent(), job.of)
        return self.append(job, items)


class JobErrors(JobView):
    """`GET /jobs/{id}/error`: the items that could not be done, and why."""

    @operation(
        "list_job_errors",
        "API 1.x",
        answers={200: ("The items that could not be done.", shapes.JOB_ERRORS)},
        refuses=(403, 404),
        parameters=[JOB_ID],
    )
    def get(self, request, job_id):
        """List the items of a job that could not be done.

        The token needs the scope with which such a job is made.
        """
        return Response(job_errors_as_json(self.job(job_id)))
