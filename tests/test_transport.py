"""What only a real server shows: request targets, chunks, sizes."""

import http.client
import json
import socket
import time
from contextlib import closing

import pytest

from tests.live import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def live():
    with Installation() as installation:
        installation.set_up().start_web()
        yield installation


def order(**changes):
    return {"event_name": "placed-order", "created_at": int(time.time()), "user_id": "25"} | changes


def send(live, method, path, chunks, **headers) -> tuple[int, dict]:
    """Send a body in chunks, without a length; return status and JSON."""
    headers |= {"Authorization": f"Bearer {live.token}"}
    with closing(http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)) as connection:
        connection.request(method, path, body=iter(chunks), headers=headers, encode_chunked=True)
        response = connection.getresponse()
        body = response.read()
    return response.status, json.loads(body) if body else {}


def test_a_body_in_chunks_is_a_body(live):
    text = json.dumps(order(metadata={"sent": "in chunks"})).encode()
    assert send(live, "POST", "/events", [text[:20], text[20:]])[0] == 202
    body = live.request("GET", "/events?type=user&user_id=25")[1]
    assert [event["metadata"] for event in json.loads(body)["events"]] == [{"sent": "in chunks"}]


def test_too_large_a_body_in_chunks_is_413(live):
    status, body = send(live, "POST", "/events", [b" " * 100_000] * 20)
    assert status == 413
    assert body["type"] == "error.list"


def test_an_absolute_request_target_works(live):
    live.request("POST", "/events", order(user_id="absolute"))
    request = f"GET {live.url}/events?type=user&user_id=absolute HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", live.port), 10) as connection:
        connection.sendall(f"{request}Authorization: Bearer {live.token}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"type":"event.list"' in answer


def test_every_answer_carries_its_request_id(live):
    for path in ("/events", "/nothing", "/healthz"):
        with closing(http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        assert len(response.headers["X-Request-Id"]) == 36
        if response.status >= 400:
            assert json.loads(body)["request_id"] == response.headers["X-Request-Id"]
