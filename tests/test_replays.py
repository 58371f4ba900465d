"""What SDKs that are not run here put on the wire, byte by byte, and what each needs of the answer.

Ruby (intercom 4), PHP (4 and 5) and Java (2 and 4); the forms are those of their sources.
"""

import base64
import json
import re
import socket
from dataclasses import dataclass

import pytest

from tests.live import Installation

pytestmark = [pytest.mark.slow, pytest.mark.beside]

AT = 1_760_000_000
EVENT = {"event_name": "placed-order", "created_at": AT, "user_id": "25", "metadata": {"type": "gift", "total": 3}}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)\Z")  # yyyy-MM-dd'T'HH:mm:ss.SSSX

# Each has the headers of all its requests, and those of a request with a body.
BEARER, BASIC = "Authorization: Bearer {token}", "Authorization: Basic {basic}"
SDKS = {
    "rb": (
        [
            "Accept-Encoding: gzip, deflate", "AcceptEncoding: gzip, deflate",
            "Accept: application/vnd.intercom.3+json", "User-Agent: Intercom-Ruby/4.2.2", BEARER, "Connection: close",
        ],
        ["Content-Type: application/json"],
    ),
    "php4": (
        [
            "User-Agent: Intercom-PHP/4.5.1", "Accept: application/json", BEARER, "Content-Type: application/json",
        ],
        [],
    ),
    "php4 with a key": (
        ["User-Agent: Intercom-PHP/4.5.1", "Accept: application/json", "Content-Type: application/json", BASIC],
        [],
    ),
    "php5": (
        [
            "Accept: */*", "User-Agent: intercom/intercom-php/5.0.0", "X-Fern-Language: PHP", "X-Fern-SDK-Name: Intercom",
            "X-Fern-SDK-Version: 5.0.0", "Intercom-Version: 2.11", BEARER,
        ],
        ["Content-Type: application/json"],
    ),
    "jv2": (
        [
            "User-Agent: intercom-java/2.8.2", "X-Client-Platform-Details: {{\"lang\":\"java\",\"lang_version\":\"1.8\"}}",
            "Accept-Charset: UTF-8", "Accept: application/json", BASIC, "Connection: keep-alive",
        ],
        ["Content-Type: application/json"],
    ),
    "jv4": (
        [
            "Intercom-Version: 2.14", "User-Agent: io.intercom:intercom-java/4.0.1", "X-Fern-Language: JAVA",
            "X-Fern-SDK-Name: com.intercom.fern:api-sdk", "X-Fern-SDK-Version: 4.0.1", BEARER,
            "Accept: application/json", "Connection: Keep-Alive", "Accept-Encoding: gzip",
        ],
        ["Content-Type: application/json; charset=utf-8"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def live():
    with Installation() as installation:
        installation.set_up().start_web()
        yield installation


MOST_ASKED = 60
OF_1_X = "jv2"  # whose contacts are leads


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Sdk:
    """Sends as one of them does, with one connection for each request."""

    def __init__(self, live, name, token):
        self.live, self.name = live, name
        self.headers, self.with_body = SDKS[name]
        self.words = {"token": token, "basic": base64.b64encode(f"{token}:".encode()).decode()}

    def send(self, method: str, target: str, body: object = None, *more: str) -> Answer:
        """Send a request; a body that is a text goes as it is."""
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body, separators=(",", ":"))
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.live.port}"]
        lines += [header.format(**self.words) for header in self.headers]
        if text:
            lines += [*self.with_body, f"Content-Length: {len(text.encode())}"]
        sent = "\r\n".join([*lines, *more, "", text]).encode()
        with socket.create_connection(("127.0.0.1", self.live.port), 10) as connection:
            connection.sendall(sent)
            return read(connection)


def read(connection) -> Answer:
    """Read one answer; the connection may well stay open after it."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                stream.readline()
            stream.readline()
        else:
            body = stream.read(int(headers.get("content-length", 0)))
    return Answer(status, headers, body)


@pytest.fixture(scope="module")
def tokens(live):
    """Tokens of new workspaces, made at once: a process for each would take longer than all that is asked."""
    return live.python(f"""
from eventsapp.models import ApiToken, Workspace
for number in range({MOST_ASKED}):
    workspace = Workspace.objects.create(name=f"Shop {{number}}")
    print(ApiToken.make(workspace=workspace, name="sdk", scope="admin")[1])
""").split()


@pytest.fixture
def sdk(live, tokens):
    """Such an SDK with the token of a new workspace: `sdk("jv2")`."""

    def make(name, *, rate_limit=None):
        token = tokens.pop()
        if rate_limit:
            live.python(f"""
from eventsapp.models import ApiToken, Workspace, digest_of
Workspace.objects.filter(tokens__digest=digest_of({token!r})).update(rate_limit={rate_limit})
""")
        return Sdk(live, name, token)

    return make


def assert_typed(value):
    """As Ruby's SDK reads it: each object in a list has a type, but metadata may hold anything."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("metadata", "custom_attributes"):
                assert_typed(inner)
    elif isinstance(value, list):
        for one in value:
            assert not isinstance(one, dict) or isinstance(one.get("type"), str), one
            assert_typed(one)


TIMES = ("created_at", "updated_at", "signed_up_at", "last_seen_at", "last_replied_at")


def assert_a_contact(contact):
    """As Java's and Python's typed SDKs read it: whole numbers stay whole, and what they declare in two ways is null."""
    for name in TIMES:
        assert contact[name] is None or type(contact[name]) is int
    assert (contact["avatar"], contact["owner_id"]) == (None, None)
    assert isinstance(contact["external_id"], str)
    for name in ("tags", "notes", "companies"):
        assert isinstance(contact[name]["url"], str)  # Ruby skips a list of these
        assert type(contact[name]["total_count"]) is int


@pytest.mark.parametrize("name", SDKS)
def test_an_event_is_taken_and_told(sdk, name):
    app = sdk(name)
    # Java 2 says its type.
    event = EVENT | ({"type": "event"} if name == "jv2" else {})
    taken = app.send("POST", "/events", event)
    assert (taken.status, taken.body) == (202, b"")
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= taken.headers.keys()
    told = app.send("GET", "/events?type=user&user_id=25")
    assert (told.status, told.json["type"], told.headers["content-type"]) == (
        200, "event.list", "application/json; charset=utf-8",
    )  # fmt: skip
    [event] = told.json["events"]
    assert (event["type"], event["created_at"], event["metadata"]) == ("event", AT, EVENT["metadata"])
    assert type(event["created_at"]) is int
    assert_typed(told.json)
    summary = app.send("GET", "/events?type=user&user_id=25&summary=true").json
    [row] = summary["events"]
    assert (summary["type"], row["name"], row["count"]) == ("event.summary", "placed-order", 1)
    assert ISO.match(row["first"]) and ISO.match(row["last"])


@pytest.mark.parametrize("name", ["rb", "php4"])
def test_events_are_paged_by_the_whole_url(sdk, live, name):
    app = sdk(name)
    for number in range(5):
        app.send("POST", "/events", EVENT | {"created_at": AT + number})
    seen, target = [], "/events?type=user&user_id=25&per_page=2"
    while target:
        page = app.send("GET", target).json
        seen += [event["created_at"] - AT for event in page["events"]]
        following = page["pages"].get("next")
        assert following is None or following.startswith(live.url)
        # Ruby gives the URL to Net::HTTP as the path; PHP's client takes it apart.
        target = following if name == "rb" or not following else following.removeprefix(live.url)
    assert seen == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("name", [name for name in SDKS if name != OF_1_X])
def test_a_person_is_made_found_changed_and_deleted(sdk, name):
    app = sdk(name)
    made = app.send("POST", "/contacts", {"role": "user", "external_id": "25", "email": "ada@example.org"})
    assert made.status == 200
    assert_a_contact(made.json)
    path = f"/contacts/{made.json['id']}"
    assert_a_contact(app.send("GET", path).json)
    changed = app.send("PUT", path, {"name": "Ada", "custom_attributes": {"seats": 3, "is_paid": True}}).json
    assert changed["custom_attributes"] == {"seats": 3, "is_paid": True}
    listed = app.send("GET", "/contacts?per_page=50").json
    assert (listed["type"], listed["total_count"], listed["data"][0]["id"]) == ("list", 1, made.json["id"])
    assert_typed(listed["data"])
    query = {"query": {"field": "external_id", "operator": "=", "value": "25"}, "pagination": {"per_page": 5}}
    assert app.send("POST", "/contacts/search", query).json["data"][0]["id"] == made.json["id"]
    # Ruby sends an empty object along with a DELETE, PHP 4 an empty list, the others nothing.
    body = {"rb": "{}", "php4": "[]"}.get(name)
    gone = app.send("DELETE", path, body)
    assert (gone.status, gone.json["deleted"]) == (200, True)
    assert app.send("GET", path).status == 404


@pytest.mark.parametrize("name", ["rb", "php4", "php4 with a key", "jv2"])
def test_a_user_of_1x_is_made_found_changed_listed_and_deleted(sdk, name):
    app = sdk(name)
    fields = {
        "user_id": "25",
        "email": "ada@example.org",
        "custom_attributes": {"seats": 3},
        "companies": [],
        "new_session": False,
    }
    made = app.send("POST", "/users", fields)
    assert (made.status, made.json["type"], made.json["user_id"]) == (200, "user", "25")
    # Whole numbers, and an avatar that Java's class can be made of.
    assert type(made.json["created_at"]) is int and type(made.json["session_count"]) is int
    assert made.json["avatar"] == {"type": "avatar", "image_url": None}
    # Ruby and Java send back all that they read.
    again = app.send("POST", "/users", made.json | {"name": "Ada"})
    assert (again.status, again.json["id"], again.json["name"]) == (200, made.json["id"], "Ada")
    for query in ("user_id=25", "email=ada%40example.org"):
        assert app.send("GET", f"/users?{query}").json["id"] == made.json["id"]
    listed = app.send("GET", "/users?per_page=50&page=1").json
    assert (listed["type"], [user["user_id"] for user in listed["users"]]) == ("user.list", ["25"])
    assert listed["pages"]["next"] is None
    assert_typed(listed["users"])
    assert app.send("GET", "/users/scroll").json["users"][0]["user_id"] == "25"
    gone = app.send("DELETE", f"/users/{made.json['id']}", {"rb": "{}", "php4": "[]"}.get(name))
    assert (gone.status, gone.json["user_id"]) == (200, "25")
    assert app.send("GET", "/users?user_id=25").status == 404


def test_contacts_are_leads_for_java_2(sdk):
    app = sdk(OF_1_X)
    made = app.send("POST", "/contacts", {"email": "ada@example.org"}).json
    assert (made["type"], made["anonymous"]) == ("contact", True)
    changed = app.send("POST", "/contacts", made | {"name": "Ada"}).json
    assert (changed["id"], changed["name"]) == (made["id"], "Ada")
    assert app.send("GET", f"/contacts/{made['id']}").json == changed
    assert app.send("GET", f"/contacts?user_id={made['user_id']}").json == changed
    listed = app.send("GET", "/contacts").json
    assert (listed["type"], [one["id"] for one in listed["contacts"]]) == ("contact.list", [made["id"]])
    converted = {"contact": {"user_id": made["user_id"]}, "user": {"email": "ada@example.org"}}
    assert app.send("POST", "/contacts/convert", converted).json["type"] == "user"
    assert app.send("GET", "/users?email=ada%40example.org").json["id"] == made["id"]


@pytest.mark.parametrize("name", SDKS)
def test_tags_segments_and_who_is_asking(sdk, name):
    app = sdk(name)
    person = app.send("POST", "/users" if name == OF_1_X else "/contacts", {"user_id": "25"}).json["id"]
    tag = app.send("POST", "/tags", {"name": "VIP"}).json
    assert (tag["type"], type(tag["id"])) == ("tag", str)
    assert app.send("POST", f"/contacts/{person}/tags", {"id": tag["id"]}).json["name"] == "VIP"
    listed = app.send("GET", "/tags").json
    assert [one["id"] for one in listed["data"]] == [tag["id"]]
    assert_typed(listed)
    assert app.send("DELETE", f"/contacts/{person}/tags/{tag['id']}", "{}" if name == "rb" else None).status == 200
    segments = app.send("GET", "/segments").json
    assert (segments["type"], segments["segments"]) == ("segment.list", [])
    me = app.send("GET", "/me").json
    assert (me["type"], me["app"]["type"]) == ("admin", "app")
    assert app.send("GET", "/admins").json == {"type": "admin.list", "admins": []}


@pytest.mark.parametrize("name", SDKS)
def test_slashes_at_the_end_and_whatever_is_beside_are_all_the_same(sdk, live, name):
    app = sdk(name)
    for target in ("/events/", "/events", f"{live.url}/events/"):
        assert app.send("POST", target, EVENT, "Intercom-Version: Unstable").status == 202
    assert app.send("GET", "/contacts/").json["total_count"] == (0 if name == OF_1_X else 1)
    # Texts with escapes are the texts.
    text = json.dumps(EVENT | {"user_id": "ünï"}, ensure_ascii=True)
    assert app.send("POST", "/events", text).status == 202
    assert app.send("GET", "/users?user_id=%C3%BCn%C3%AF").json["user_id"] == "ünï"


ERRORS = [
    ("GET", "/users?user_id=nobody", None, 404, "not_found"),
    ("GET", "/nothing", None, 404, "not_found"),
    ("PUT", "/events", {}, 405, "not_found"),
    ("POST", "/events", {"event_name": "x", "created_at": AT}, 400, "parameter_not_found"),
    ("POST", "/events", EVENT | {"created_at": str(AT)}, 400, "parameter_invalid"),
    ("POST", "/events", EVENT | {"created_at": AT * 1000}, 400, "parameter_invalid"),
    ("POST", "/events", '{"event_name":', 400, "parameter_invalid"),
    ("POST", "/events", EVENT | {"user_id": None, "id": "5f1c00000000000000000000"}, 404, "not_found"),
]


@pytest.mark.parametrize("name", SDKS)
def test_an_error_is_a_list_that_the_sdk_can_read(sdk, name):
    app = sdk(name)
    for method, target, body, status, code in ERRORS:
        answer = app.send(method, target, body)
        assert (answer.status, answer.json["type"]) == (status, "error.list"), target
        assert answer.json["errors"][0]["code"] == code
        assert isinstance(answer.json["errors"][0]["message"], str)
        assert answer.json["request_id"]
        assert answer.headers["content-type"].startswith("application/json")
    stranger = Sdk(app.live, name, "ev_nobody").send("GET", "/me")
    assert (stranger.status, stranger.json["errors"][0]["code"]) == (401, "unauthorized")
    assert "x-ratelimit-limit" not in stranger.headers


@pytest.mark.parametrize("name", ["jv2", "jv4", "rb", "php5"])
def test_too_much_says_when_to_come_back(sdk, name):
    """Java 2 reads all three headers as numbers and fails without one; the newer ones sleep until the last."""
    app = sdk(name, rate_limit=2)
    answers = [app.send("POST", "/events", EVENT) for _ in range(6)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    for answer in refused:
        limit, left, reset = (int(answer.headers[f"x-ratelimit-{what}"]) for what in ("limit", "remaining", "reset"))
        assert (limit, left) == (2, 0)
        assert reset > AT
        assert answer.json["errors"][0]["code"] == "rate_limit_exceeded"


def test_java_keeps_its_connection_for_several_requests(sdk):
    app = sdk("jv4")
    head = [header.format(**app.words) for header in app.headers]
    text = json.dumps(EVENT)
    post = ["POST /events HTTP/1.1", "Host: x", *head, *app.with_body, f"Content-Length: {len(text)}", "", text]
    get = ["GET /events?type=user&user_id=25 HTTP/1.1", "Host: x", *head, "", ""]
    with socket.create_connection(("127.0.0.1", app.live.port), 10) as connection:
        for lines, status in ((post, 202), (get, 200), (post, 202)):
            connection.sendall("\r\n".join(lines).encode())
            assert read(connection).status == status
