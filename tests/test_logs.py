"""No line of the log names a person, whoever writes it."""

import io
import json
import logging
import re
import smtplib
from uuid import uuid4

import pytest
from celery import shared_task
from django.db import IntegrityError, OperationalError
from django.http import HttpRequest
from django.urls import resolve

from eventsapp.errors import NotFound
from eventsapp.logs import UNKNOWN, Line, route_of

pytestmark = pytest.mark.django_db

NAMED = "ada@example.org"
ROUTES = [
    ("/contacts/josé@example.org/tags", "/contacts/{contact_id}/tags"),
    ("/contacts/find_by_external_id/ada@example.org", "/contacts/find_by_external_id/{external_id}"),
    ("/contacts/ada@example.org/tags/7/", "/contacts/{contact_id}/tags/{tag_id}"),
    ("/segments/12/explain", "/segments/{segment_id}/explain"),
    ("/users?email=ada@example.org", "/users"),
    ("/find/ada@example.org", UNKNOWN),
    ("/widget/abc/boot", "/widget/{app_id}/boot"),
    ("/invite/secret/", "/invite/{secret}/"),
    ("/o/secret.gif", "/o/{token}.gif"),
]


@pytest.fixture
def log():
    """What is written to the log from now on, at whatever level."""
    written, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Line())
    loggers = [root, logging.getLogger("django")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield written.getvalue
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize(("address", "route"), ROUTES)
def test_a_refusal_names_its_route(client, log, address, route):
    client.get(address)
    client.post(address, b"{}", content_type="application/json")
    assert NAMED not in log()
    assert "secret" not in log().replace("{secret}", "")
    if "/o/" not in address and "invite" not in address:
        assert f" {route} answered 4" in log()


def test_a_route_of_the_api_is_told_as_the_document_writes_it(client):
    ids = {"subscription_id": f"nsub_{uuid4()}", "notification_id": f"notif_{uuid4()}", "what": "notes"}
    for path in json.loads(client.get("/openapi.json").content)["paths"]:
        request = HttpRequest()
        request.resolver_match = resolve(re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "7"), path))
        assert route_of(request) == path


def raised(error, cause=None):
    try:
        try:
            raise cause or ValueError(NAMED)
        except Exception as first:
            raise error from first
    except Exception as second:  # noqa: BLE001
        return second


@pytest.mark.parametrize(
    "error",
    [
        KeyError(NAMED),
        IntegrityError(f"Key (email)=({NAMED}) already exists."),
        smtplib.SMTPRecipientsRefused({NAMED: (550, b"no")}),
        NotFound(f"Nobody has the email {NAMED}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_exception_says_is_not_told_but_its_kind_and_place(log, error):
    logger = logging.getLogger("eventsapp.test")
    failure = raised(error)
    logger.error("request %s failed", 7, exc_info=failure)
    logger.warning("It was not written down (%s).", failure)
    told = log()
    assert NAMED not in told
    assert told.count(type(error).__name__) >= 2
    assert "in raised" in told and "ValueError" in told and "which led to" in told


def test_what_the_system_says_is_told(log):
    logging.getLogger("eventsapp.test").warning("It waits (%s).", OperationalError("connection refused"))
    assert "It waits (OperationalError: connection refused)." in log()


def test_a_task_that_fails_says_where_and_not_for_whom(log):
    @shared_task(name="tests.failing")
    def failing():
        raise KeyError(NAMED)

    failing.apply()
    assert "tests.failing" in log()
    assert "KeyError" in log()
    assert NAMED not in log()


def test_a_page_that_breaks_says_which_one(client, admin, shop, log, monkeypatch):
    def break_it(*_, **__):
        raise KeyError(NAMED)

    monkeypatch.setattr("eventsapp.views.render", break_it)
    monkeypatch.setattr("eventsapp.home_views.render", break_it)
    admin.raise_request_exception = False
    assert admin.get(f"/app/{shop.app_id}/").status_code == 500
    assert "/app/{app_id}/ answered 500" in log()
    assert "django.request: Internal Server Error: /app/{app_id}/" in log()
    assert NAMED not in log()
    assert "in break_it" in log()
