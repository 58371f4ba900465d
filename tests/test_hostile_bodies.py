"""Bodies made to hurt: each is answered with a 4xx that says where, and none leaves its weight behind."""

import http.client
import json
import subprocess
import time

import pytest

from tests.live import Installation

pytestmark = [pytest.mark.slow, pytest.mark.beside]


def event(**changes) -> bytes:
    return json.dumps({"event_name": "x", "created_at": 1_760_000_000, "user_id": "1"} | changes).encode()


def raw(metadata: str) -> bytes:
    return b'{"event_name":"x","created_at":1760000000,"user_id":"1","metadata":%s}' % metadata.encode()


KEYS = "{" + ",".join(f'"key-{number}":{number}' for number in range(1_000_000)) + "}"
DEEP = "[" * 200_000 + "]" * 200_000
TEN_MEGABYTES = '{"text":"' + "x" * 10_000_000 + '"}'

# What is sent, to where, its status, and the field that the first error names.
BODIES = {
    "ten megabytes": ("/events", raw(TEN_MEGABYTES), 413, "body"),
    "ten megabytes in a batch of one": ("/events/batch", b"[" + raw(TEN_MEGABYTES) + b"]", 413, "body"),
    "a million keys": ("/events", raw(KEYS), 413, "body"),
    "nested deeply": ("/events", raw(DEEP), 400, "body"),
    "nested less deeply": ("/events", raw('{"a":' * 500 + "1" + "}" * 500), 400, "metadata.a"),
    "nested as deeply as can be": ("/events", raw('{"a":' * 21 + "1" + "}" * 21), 202, None),
    "NUL in a value": ("/events", event(metadata={"plan": "p\0"}), 400, "metadata.plan"),
    "NUL in a name": ("/events", event(event_name="a\0"), 400, "event_name"),
    "NUL in a person": ("/events", event(user_id="a\0"), 400, "user_id"),
    "a NUL byte": ("/events", b"\0" + event(), 400, "body"),
    "a lone surrogate": ("/events", raw('{"plan":"\\ud800"}'), 400, "body"),
    "bytes that are not UTF-8": ("/events", raw('{"plan":"').replace(b'"plan":"', b'"plan":"\xff"}'), 400, "body"),
    "a huge number": ("/events", raw('{"n":1' + "0" * 5_000 + "}"), 400, "body"),
    "a number no double holds": ("/events", raw('{"n":1e400}'), 400, "body"),
    "a whole number beyond 2⁵³": ("/events", raw('{"n":9007199254740993}'), 400, "metadata.n"),
    "a negative time": ("/events", event(created_at=-1), 400, "created_at"),
    "a time in milliseconds": ("/events", event(created_at=1_760_000_000_000), 400, "created_at"),
    "NaN": ("/events", raw('{"n":NaN}'), 400, "body"),
    "Infinity": ("/events", raw('{"n":-Infinity}'), 400, "body"),
    "an array": ("/events", b"[1,2]", 400, "event"),
    "nothing": ("/events", b"", 400, "event_name"),
    "half of it": ("/events", event()[:-5], 400, "body"),
    "a million lines": ("/events/batch", b"{\n" * 1_000_000, 413, "body"),
    "a definition nested deeply": ("/segments/preview", b'{"definition":' + DEEP.encode() + b"}", 400, "body"),
    "a person of a million attributes": ("/contacts", b'{"custom_attributes":' + KEYS.encode() + b"}", 413, "body"),
}


def rss(installation) -> int:
    """Megabytes that the web processes hold."""
    group = installation.processes[0].pid
    out = subprocess.run(["ps", "-o", "rss=", "-g", str(group)], capture_output=True, text=True, check=True).stdout
    return sum(int(line) for line in out.split()) // 1024


def test_bodies_made_to_hurt_are_refused_with_a_field_and_forgotten():
    with Installation() as installation:
        installation.set_up().start_web()
        assert installation.post_event("warm") == 202
        before, told = rss(installation), {}
        for _ in range(2):
            for title, (path, body, _, _) in BODIES.items():
                told[title] = send(installation, path, body)
        grown = rss(installation) - before
        assert told == {title: (status, field) for title, (_, _, status, field) in BODIES.items()}
        assert grown < 100, f"{grown} MB more than before"
        began = time.monotonic()
        assert installation.post_event("after") == 202
        assert time.monotonic() - began < 1


def send(installation, path, body) -> tuple[int, str | None]:
    """Post `body`; return the status, and the field that the first error names."""
    connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=30)
    headers = {"Authorization": f"Bearer {installation.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    return response.status, json.loads(answer)["errors"][0].get("field") if answer else None
