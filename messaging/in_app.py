"""In-app messages in the pages of the customer: what a browser may read, and what became of it there.

Somebody proven reads all that is theirs, but not what others caused who only claimed to be them. Somebody who is only
claimed reads what their own device caused, and in that stands nothing of the person (see `messaging.channels.in_app`):
so no page reads what is another's, nor writes into it.
"""

import hashlib
import random
import re
import threading
import time
from datetime import timedelta
from html.parser import HTMLParser
from uuid import UUID

import msgspec
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.utils import timezone

from eventsapp.browser import Kind, Session, on_boot, session_in, workspaces
from eventsapp.browser_api import OPEN_TO_ALL, answered, browser_path, quick_answers, said_by
from eventsapp.errors import Refused, invalid
from eventsapp.models import Workspace
from messaging.models import AutoMessage, Delivery, Mailbox, Messenger

MOST = 10  # messages that are shown
KEPT = timedelta(days=30)
LOOK = 0.5  # seconds between two looks for what has changed, of each process
OVERLAP = timedelta(seconds=5)  # for what is stored later than its time says
FRESH = 300  # seconds, and up to half as many more, after which a mailbox is looked up whatever was heard
MOST_MAILBOXES = 20_000  # remembered at a time
VOID = {"br", "hr", "img"}
POLL = re.compile(r"/widget/([-\w]+)/messages", re.ASCII)
PLAIN = re.compile(r"mailbox_token=([\w.:=-]+)", re.ASCII)


def messages_for(session: Session) -> QuerySet[Delivery]:
    """The in-app messages that a browser may read."""
    found = Delivery.objects.filter(contact=session.contact, state=Delivery.State.SENT)
    in_app = AutoMessage.Channel.IN_APP
    # What was sent to one person has no versions.
    found = found.filter(Q(version__rule__channel=in_app) | Q(version=None, message__channel=in_app))
    of_device = Q(is_unverified=True, event_id__range=session.events_of_device)
    match session.kind:
        case Kind.VERIFIED:
            return found.filter(Q(is_unverified=False) | of_device)
        case Kind.CLAIMED:
            return found.filter(of_device)
    return found.none()


def mailbox_json(session: Session) -> bytes:
    """What the library shows: the newest that nobody is done with, the oldest of them first."""
    recent = messages_for(session).filter(dismissed_at=None, sent_at__gt=timezone.now() - KEPT)
    # Values rather than deliveries: mailboxes are looked up all the time, and a row has much that nobody reads here.
    values = recent.values_list("uuid", "version__rule", "subject", "body", "sent_at", "opened_at")
    newest = list(values.order_by("-sent_at", "-pk")[:MOST])
    return msgspec.json.encode(
        {
            "messages": [
                {
                    "id": str(uuid),
                    "style": (rule or {}).get("display", AutoMessage.Display.CARD),
                    "subject": subject,
                    "body": nodes(body),
                    "at": int(sent_at.timestamp()),
                    "viewed": opened_at is not None,
                }
                for uuid, rule, subject, body, sent_at, opened_at in reversed(newest)
            ]
        }
    )


class _Nodes(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = [["div", {}, []]]

    def handle_starttag(self, tag, attributes):
        node = [tag, {name: value or "" for name, value in attributes}, []]
        self.open[-1][2].append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        if tag not in VOID and len(self.open) > 1:
            self.open.pop()

    def handle_data(self, text):
        self.open[-1][2].append(text)


def nodes(html: str) -> list:
    """Return clean HTML (nh3's, in which every tag is closed) as what the library builds it from without reading any
    markup: texts, and [tag, {attribute: value}, [inner nodes]]."""
    parser = _Nodes()
    parser.feed(html)
    parser.close()
    return parser.open[0][2]


class Mailboxes:
    """What this process knows of the mailboxes that browsers asked for: most polls are answered without the database.

    What has changed is asked for once for all of them.
    """

    def __init__(self):
        self.forget()

    def forget(self):
        self._kept: dict[int, dict[tuple, tuple[float, str, bytes]]] = {}
        self._size = 0
        self._looked_at = 0.0
        self._seen = None
        self._looking = threading.Lock()

    def get(self, session: Session) -> tuple[str, bytes]:
        """Return the ETag and the JSON of a browser's mailbox."""
        self._look()
        key = (session.kind, session.device)
        until, etag, body = self._kept.get(session.contact, {}).get(key, (0.0, "", b""))
        if time.monotonic() < until:
            return etag, body
        body = mailbox_json(session)
        etag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        if self._size >= MOST_MAILBOXES:
            self._kept, self._size = {}, 0
        fresh_until = time.monotonic() + FRESH * random.uniform(1, 1.5)
        theirs = self._kept.setdefault(session.contact, {})
        self._size += key not in theirs
        theirs[key] = fresh_until, etag, body
        return etag, body

    def drop(self, contact: int):
        """Forget one person's (by id): the next who asks gets what the database says."""
        self._size -= len(self._kept.pop(contact, ()))

    def _look(self):
        """Forget the mailboxes that have changed."""
        if time.monotonic() - self._looked_at < LOOK or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked_at = time.monotonic()
            since = self._seen or timezone.now()
            changed = list(Mailbox.objects.filter(changed_at__gt=since - OVERLAP).values_list("contact", "changed_at"))
            for contact, _ in changed:
                self.drop(contact)
            self._seen = max((at for _, at in changed), default=since)
        finally:
            self._looking.release()


mailboxes = Mailboxes()
NONE, EMPTY = '"none"', msgspec.json.encode({"messages": []})


def messages(request, workspace):
    """The mailbox of a session, for a browser that asks every other second; most are answered by `quick_answer`."""
    session = session_in(workspace, request.GET.get("mailbox_token"), "mailbox")
    status, headers, body = _answer(session, request.headers.get("If-None-Match", ""))
    return HttpResponse(body, status=status, headers=headers)


def quick_answer(environ) -> tuple[int, dict[str, str], bytes] | None:
    """Answer a browser's poll (status, headers, body) by its WSGI environment alone, or nothing, if it is none that the
    library sends, or is to be refused: Django's own way then says so. Polls are most of what open pages cost."""
    place = POLL.fullmatch(environ["PATH_INFO"])
    asked = place and environ["REQUEST_METHOD"] == "GET" and PLAIN.fullmatch(environ.get("QUERY_STRING", ""))
    if not asked:
        return None
    try:
        session = session_in(workspaces.get(place[1]), asked[1], "mailbox")
    except Refused:
        return None
    status, headers, body = _answer(session, environ.get("HTTP_IF_NONE_MATCH", ""))
    return status, headers | OPEN_TO_ALL, body


def _answer(session: Session, known: str) -> tuple[int, dict[str, str], bytes]:
    etag, body = (NONE, EMPTY) if session.kind == Kind.VISITOR else mailboxes.get(session)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if known.removeprefix("W/") == etag:
        return 304, headers, b""
    return 200, headers | {"Content-Type": "application/json"}, body


# What became of one, and the times that it sets where they are not set yet.
REPORTS = {
    "viewed": ("opened_at",),
    "clicked": ("opened_at", "clicked_at"),
    "dismissed": ("opened_at", "dismissed_at"),
}


def seen(request, workspace):
    """A reader saw a message, followed a link in it, or was done with it."""
    said = said_by(request, workspace)
    # Staff see it at the delivery, not among what apps ask.
    del request.token
    session, what = session_in(workspace, said.get("session_token")), said.get("what")
    if not isinstance(what, str) or what not in REPORTS:
        raise Refused(invalid("what", f"Write one of: {', '.join(REPORTS)}."))
    try:
        uuid = UUID(said.get("message"))
    except (ValueError, TypeError, AttributeError):
        raise Refused(invalid("message", "message must be the id of a message.")) from None
    now = timezone.now()
    times = {field: Coalesce(field, now) for field in REPORTS[what]}
    if messages_for(session).filter(uuid=uuid).update(**times):
        Mailbox.changed(session.contact)
        # Other processes hear of it in half a second. A reader who goes on to the next page is mostly answered by us.
        mailboxes.drop(session.contact)
    return answered({})


def look_of(workspace: Workspace) -> dict:
    """How messages look in this workspace's pages."""
    return {"messenger": Messenger.of(workspace).as_settings()}


on_boot.append(look_of)
quick_answers.append(quick_answer)

urlpatterns = [
    browser_path("/messages", messages),
    browser_path("/seen", seen),
]
