"""Somebody who is deleted is nowhere any more: not in a table, a file, the cache or a line of the log.

Against what `manage.py serve` starts, which is asked for the person in every way that names them, well and badly.
"""

import json
import pickle
import socket
import time
import zlib
from contextlib import suppress
from urllib.parse import quote

import pytest

from tests.live import wait_for
from tests.test_serve import Served

pytestmark = [pytest.mark.slow, pytest.mark.beside]

NAME = "zoe.forgotten"  # what is looked for: no way of writing it in an address or in JSON changes it
EMAIL, USER_ID = f"{NAME}@example.org", f"{NAME}-7"

TABLES = """
import json
from django.apps import apps
from django.contrib.sessions.models import Session
for model in apps.get_models():
    print(model.__name__, json.dumps(list(model.objects.values()), default=str, ensure_ascii=False))
print(json.dumps([session.get_decoded() for session in Session.objects.all()], default=str))
"""


@pytest.fixture(scope="module")
def served():
    with Served() as installation:
        installation.environment["CACHE_URL"] = f"filecache://{installation.var}/cache"
        installation.serve()
        installation.app_id = installation.python(
            "from eventsapp.models import Workspace; print(Workspace.objects.get().app_id)"
        )
        installation.token = installation.manage("create_token", "--name", "test", "--scope", "admin")
        yield installation


def tables(served) -> str:
    return served.python(TABLES).lower()


def files(served) -> dict[str, str]:
    """What lies in the installation's folder, but for the database's own files, of which `tables` tells."""
    found = {}
    for path in sorted(served.var.rglob("*")):
        if path.is_file() and "sqlite3" not in path.name and "static" not in path.parts:
            content = path.read_bytes()
            found[str(path.relative_to(served.var))] = f"{path.name} {_unpacked(path, content)}".lower()
    return found


def _unpacked(path, content: bytes) -> str:
    if path.suffix == ".djcache":
        with path.open("rb") as file:
            pickle.load(file)  # until when it is kept
            content = zlib.decompress(file.read())
    return content.decode(errors="replace")


def raw(served, text: str):
    """Send what no library would, and wait for whatever comes."""
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        connection.settimeout(5)
        connection.sendall(text.encode())
        with suppress(TimeoutError, ConnectionError):
            connection.recv(65536)


def name_them_well(ask):
    """Each of these is a success."""
    who = {"user_id": USER_ID, "email": EMAIL}
    event = {"event_name": "placed-order", "created_at": int(time.time()), "metadata": {"code": NAME}}
    asked = [
        ("POST", "/events", event | who),
        ("POST", "/events/batch", [event | who, event | {"email": f"other.{EMAIL}"}, {"email": EMAIL}]),
        (
            "POST",
            "/events/summaries",
            who | {"event_summaries": {"event_name": "x", "count": 1, "first": 1, "last": 2}},
        ),
        ("POST", "/bulk/events", {"items": [{"method": "post", "data_type": "event", "data": {"email": EMAIL}}]}),
        ("POST", "/users", who | {"name": NAME}),
        ("POST", "/contacts", {"role": "lead", "email": EMAIL, "name": NAME, "custom_attributes": {"is": NAME}}),
        ("GET", f"/users?user_id={USER_ID}", None),
        ("GET", f"/contacts?search={quote(EMAIL)}", None),
        ("GET", f"/contacts?email={quote(EMAIL)}", None),
        ("GET", f"/contacts/find_by_external_id/{USER_ID}", None),
        ("GET", f"/events?type=user&user_id={USER_ID}", None),
        ("POST", "/contacts/search", {"query": {"field": "email", "operator": "=", "value": EMAIL}}),
        ("POST", "/tags", {"name": "VIP"}),
    ]
    for method, path, body in asked:
        status, answer = ask(method, path, body)
        assert status in (200, 202), (path, answer)


def name_them_badly(served, ask):
    """Each of these is refused, or leads nowhere."""
    text = quote(EMAIL)
    asked = [
        ("POST", "/events", {"email": EMAIL}),
        ("POST", "/events", {"email": f"{EMAIL} and more", "event_name": NAME, "created_at": NAME}),
        ("POST", "/contacts", {"email": EMAIL, "external_id": USER_ID}),
        ("PUT", f"/contacts/{text}", {"email": EMAIL}),
        ("GET", f"/contacts/{text}", None),
        ("GET", f"/contacts/{text}/export", None),
        ("GET", f"/contacts/find_by_external_id/nobody-{text}", None),
        ("GET", f"/users?email=nobody-{text}", None),
        ("GET", f"/users?page={text}", None),
        ("GET", f"/events?type={text}&email={text}", None),
        ("GET", f"/jobs/{text}", None),
        ("PATCH", f"/users/{text}", None),
        ("DELETE", f"/tags/{text}", None),
        ("GET", f"/find/{text}?email={text}", None),
        ("GET", f"/app/nobody/people/{text}/?search={text}", None),
        ("GET", f"/contacts/{text}%00", None),
        ("POST", "/contacts/search", {"query": {"field": EMAIL, "operator": "=", "value": EMAIL}}),
        ("POST", "/contacts/merge", {"from": EMAIL, "into": EMAIL}),
        ("POST", "/visitors/convert", {"visitor": {"user_id": EMAIL}, "type": "user", "user": {"email": EMAIL}}),
        ("POST", f"/widget/{served.app_id}/boot", {"settings": {"email": EMAIL}}),
        ("POST", f"/widget/{text}/boot", {"settings": {"email": EMAIL}}),
    ]
    for method, path, body in asked:
        for token in (None, "ev_nobody"):
            status, answer = ask(method, path, body, token=token)
            assert status >= 400 or path.startswith("/app/"), (path, answer)
    raw(served, f"GET /users?email={EMAIL} HTTP/1.1\r\nHost: {NAME}\r\nBroken {NAME}\r\n\r\n")
    raw(served, f"{NAME} {NAME} {NAME}\r\n\r\n")
    raw(served, f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{{{NAME}")


def test_somebody_deleted_is_nowhere(served):
    ask = served.request
    served.make_rule(name="Sent", subject="For {{ contact.email }}")
    served.make_rule(name="Broken", subject="{{ event.metadata.code | divided_by: 0 }}")
    name_them_well(ask)
    name_them_badly(served, ask)
    # The database breaks in the middle of a question about them.
    rename = "from django.db import connection; connection.cursor().execute('ALTER TABLE {} RENAME TO {}')"
    served.python(rename.format("eventsapp_tagging", "away"))
    assert ask("GET", f"/contacts/find_by_external_id/{USER_ID}")[0] == 503
    assert ask("PUT", "/contacts/" + "0" * 24, {"email": EMAIL})[0] == 404
    served.python(rename.format("away", "eventsapp_tagging"))
    wait_for(lambda: NAME in "".join(served.outbox()), 15, "a message to them")
    wait_for(lambda: not {"queued", "sending"} & served.deliveries().keys(), 15, "the other messages to come to an end")
    assert any(end.startswith("failed") for end in served.deliveries())
    time.sleep(2)  # the latest requests are written down about once a second
    before = tables(served)
    assert {model for model in ("Contact", "Event", "ApiRequest", "BulkJob", "Delivery") if _row_of(model, before)} == {
        "Contact", "Event", "ApiRequest", "BulkJob", "Delivery",
    }  # fmt: skip
    ask("GET", f"/users?email={quote(EMAIL)}")  # not written down yet
    query = {"field": "email", "operator": "~", "value": EMAIL}
    found = json.loads(ask("POST", "/contacts/search", {"query": query})[1])["data"]
    assert len(found) == 3
    [lead] = [contact for contact in found if contact["role"] == "lead"]
    assert ask("DELETE", f"/contacts/{lead['id']}")[0] == 200
    assert ask("DELETE", f"/users?email={quote(EMAIL)}")[0] == 200
    other = {"data_type": "user", "data": {"email": f"other.{EMAIL}", "signed_up_at": 1_760_000_000}}
    wrong = other | {"method": "post", "data": {"email": f"other.{EMAIL}", "signed_up_at": "now"}}
    status, job = ask("POST", "/bulk/users", {"items": [wrong, other | {"method": "delete"}]})
    assert (status, json.loads(job)["state"]) == (200, "completed_with_errors")
    assert ask("GET", f"/users/{lead['id']}")[0] == 404
    time.sleep(3)
    after = tables(served)
    assert NAME not in after, [row[:300] for row in after.splitlines() if NAME in row]
    assert [name for name, content in files(served).items() if NAME in content] == []
    log = served.printed()
    assert "GET /contacts/find_by_external_id/{external_id} answered 503" in log
    assert "in get" in log  # a traceback
    assert log.count(" answered 4") > 40


def _row_of(model: str, told: str) -> bool:
    [row] = [line for line in told.splitlines() if line.startswith(f"{model.lower()} ")]
    return NAME in row
