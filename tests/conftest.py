"""The stock characters: a shop with its staff and its app, another shop, and people who do things.

Without TEST_DATABASE_URL the suite runs on SQLite, in a file, with the pragmas of the product.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

# Before Django reads its settings (named here and not in pyproject.toml, from where pytest-django would read them too
# early): a folder of this run's own, and the database it is told to use.
os.environ["DJANGO_SETTINGS_MODULE"] = "eventsapp.config.settings"
os.environ["EVENTSAPP_VAR"] = tempfile.mkdtemp(prefix="eventsapp-test-")
os.environ.pop("EMAIL_URL", None)
os.environ["ANYMAIL_WEBHOOK_SECRET"] = "provider:only for tests"
if os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    os.environ["SECRET_KEY"] = "only for tests"
else:
    os.environ.pop("DATABASE_URL", None)

# What SQLite does not do.
collect_ignore = [] if os.environ.get("TEST_DATABASE_URL") else ["test_postgresql.py"]

CDNOW = Path(__file__).resolve().parents[2] / "shared" / "data" / "cdnow_purchases.csv"
NEEDS = {
    "browser": (lambda: _chromium() is not None, "Chromium is not installed"),
    "redis": (lambda: bool(shutil.which("redis-server")), "redis-server is not installed"),
    "rabbit": (lambda: bool(shutil.which("rabbitmq-server")), "rabbitmq-server is not installed"),
    "node": (lambda: bool(shutil.which("node")), "Node is not installed"),
    "ruby": (lambda: bool(shutil.which("ruby")), "Ruby is not installed"),
    "php": (lambda: _php(), "PHP with its curl extension is not installed (php-cli, php-curl)"),
    "postgres": (lambda: bool(_postgres()), "no PostgreSQL server answers (set POSTGRES_URL)"),
}


def _chromium() -> str | None:
    from tests.live import CHROMIUM

    return CHROMIUM


def _php() -> bool:
    loaded = ["php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"]
    return bool(shutil.which("php")) and subprocess.run(loaded, timeout=30).returncode == 0


def _postgres() -> str | None:
    from tests.live import postgres_url

    return postgres_url()


def pytest_configure(config):
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.AXES_ENABLED = False
    settings.REQUEST_LOG_WRITES = False
    if not settings.EMBEDDED:
        # Two runs on one server must not meet.
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"test_eventsapp_{os.getpid()}"


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            # What the tests of a file start together is started once (with --dist loadgroup).
            is_apart = item.get_closest_marker("apart")
            item.add_marker(pytest.mark.xdist_group(item.name if is_apart else item.path.stem))
    _skip_what_cannot_run(items)


def _skip_what_cannot_run(items):
    """Skip what this machine cannot run, saying why; where services are required, let it fail instead."""
    required = os.environ.get("EVENTSAPP_REQUIRE_SERVICES") == "1"
    answers = {}
    for item in items:
        for need, (is_there, reason) in NEEDS.items():
            if item.get_closest_marker(need):
                if need not in answers:
                    answers[need] = is_there()
                if not answers[need] and not required:
                    item.add_marker(pytest.mark.skip(reason=reason))


def pytest_unconfigure(config):
    shutil.rmtree(os.environ["EVENTSAPP_VAR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _nobody_is_known_yet(request):
    """What the process remembers between requests belongs to one test."""
    from django.core.cache import cache

    from eventsapp import request_log
    from eventsapp.auth import known_tokens
    from eventsapp.limits import purses
    from segments import recent

    known_tokens.forget()
    recent.forget()
    purses.forget()
    request_log.log.forget()
    cache.clear()


@pytest.fixture(autouse=True)
def wakeups(monkeypatch):
    """The names of the tasks that were woken: no test publishes to a broker unless it starts its own."""
    woken = []
    wakers = (
        "messaging.receivers", "messaging.matching", "messaging.sending", "eventsapp.deleting", "segments.tagging",
        "segments.sizes", "messaging.single", "messaging.notifying", "messaging.subscriptions", "eventsapp.uploads",
    )  # fmt: skip
    for module in wakers:
        monkeypatch.setattr(f"{module}.wake", woken.append)
    return woken


# Workspaces, staff and apps ------------------------------------------------------------------------------------------


@pytest.fixture
def shop(db):
    from eventsapp.models import Workspace

    return Workspace.objects.create(name="The Shop")


@pytest.fixture
def other_shop(db):
    from eventsapp.models import Workspace

    return Workspace.objects.create(name="Another Shop")


@pytest.fixture
def token(shop):
    """The secret of an app of the shop."""
    from eventsapp.models import ApiToken

    return ApiToken.make(workspace=shop, name="app")[1]


class Api:
    """An app that calls the API as its SDK would."""

    def __init__(self, client, token):
        self.client, self.token = client, token

    def __getattr__(self, method):
        def call(path, body=None, *, headers=None, content_type="application/json"):
            sent = body if isinstance(body, bytes) or body is None else json.dumps(body)
            headers = {"authorization": f"Bearer {self.token}"} | (headers or {})
            return getattr(self.client, method)(path, sent, content_type=content_type, headers=headers)

        if method == "get":
            return lambda path, **kwargs: self.client.get(path, headers={"authorization": f"Bearer {self.token}"})
        return call


@pytest.fixture
def api(client, token):
    return Api(client, token)


@pytest.fixture
def api_with(client, shop):
    """An app whose token has this scope: `api_with("read")`."""
    from eventsapp.models import ApiToken

    def make(scope, workspace=shop):
        return Api(client, ApiToken.make(workspace=workspace, name=scope, scope=scope)[1])

    return make


@pytest.fixture
def staff(shop, django_user_model):
    """Make a logged-in client of somebody with this role: `staff("editor")`."""
    from django.test import Client

    from eventsapp.models import Membership

    def make(role, workspace=shop):
        name = f"{role}-{workspace.pk}@example.org"
        user = django_user_model.objects.create_user(username=name, email=name, password="correct horse")
        Membership.objects.create(user=user, workspace=workspace, role=role)
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        client.user = user
        return client

    return make


@pytest.fixture
def admin(staff):
    return staff("admin")


@pytest.fixture
def editor(staff):
    return staff("editor")


@pytest.fixture
def viewer(staff):
    return staff("viewer")


# People --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def person(shop):
    """Make somebody: `person("ada", email=…, plan="pro")`; other keywords are custom attributes."""
    from eventsapp.models import Contact

    own = {"email", "name", "role", "signed_up_at", "last_seen_at", "unsubscribed_from_emails", "archived_at"}

    def make(external_id, workspace=shop, **fields):
        attributes = {key: value for key, value in fields.items() if key not in own}
        fields = {key: value for key, value in fields.items() if key in own}
        contact = Contact(workspace=workspace, external_id=external_id, custom_attributes=attributes, **fields)
        contact.fold_texts()
        contact.save()
        return contact

    return make


@pytest.fixture
def buyer(person):
    return person("buyer", email="buyer@example.org", name="Ada Buyer")


@pytest.fixture
def does(django_capture_on_commit_callbacks):
    """Record through the real door what somebody does: `does(buyer, "placed-order", times=2, days_ago=3)`."""
    from eventsapp.incoming import read_event
    from eventsapp.ingest import ingest

    def record(contact, name, *, times=1, days_ago=0, at=None, metadata=None, **options):
        at = int(time.time() - days_ago * 86400) if at is None else at
        data = {"event_name": name, "id": contact.public_id, "metadata": metadata or {}}
        events = [read_event(data | {"created_at": at - place}) for place in range(times)]
        with django_capture_on_commit_callbacks(execute=True):
            return ingest(contact.workspace, events, **options)

    return record


@pytest.fixture
def worker():
    """Let the worker do all that waits."""
    from messaging import matching, notifying, sending

    def work():
        matching.match_waiting()
        sending.send_due()
        notifying.post_due()

    return work


@pytest.fixture
def receiver(settings):
    from tests.receiver import Receiver

    settings.WEBHOOK_ALLOW_PRIVATE = True
    with Receiver() as server:
        yield server


@pytest.fixture
def cdnow():
    """The real purchases of 2,357 people, where they are at hand."""
    if not CDNOW.exists():
        pytest.skip("the CDNOW data are not here")
    return CDNOW


@contextmanager
def failing(signal):
    """Somebody who hears this last, and fails."""

    def fail(sender, **kwargs):
        raise RuntimeError("no")

    signal.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            yield
    finally:
        signal.disconnect(fail)
