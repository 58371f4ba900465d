"""Real processes for tests that need them: the product's own, and the services around it, on free ports."""

import atexit
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from eventsapp.supervisor import clock, web, worker, workers

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# Services ------------------------------------------------------------------------------------------------------------


def postgres_url() -> str | None:
    """Return the URL of a PostgreSQL server on which databases may be made, or None when none answers."""
    import psycopg

    candidates = (f"postgresql://{user}@127.0.0.1:5432/postgres" for user in ("postgres", getpass.getuser()))
    for url in filter(None, (os.environ.get("POSTGRES_URL"), *candidates)):
        try:
            with psycopg.connect(url, connect_timeout=2):
                return url
        except psycopg.OperationalError:
            continue
    return None


@contextmanager
def database():
    """A PostgreSQL database of one's own on the server that is there; yields its URL."""
    import psycopg

    url = postgres_url()
    name = f"eventsapp_live_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield re.sub(r"/[^/]*$", f"/{name}", url)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A PostgreSQL of one's own, which can be killed and started again on the same port and data."""

    def __init__(self):
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="eventsapp-postgres-"))
        self.process = None
        # It refuses to run as root.
        self.owner = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self.owner:
            shutil.chown(self.folder, "postgres", "postgres")
        bin = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.bin = bin[-1] if bin else Path(shutil.which("initdb") or "/missing").parent

    @property
    def url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self):
        data = self.folder / "data"
        if not data.exists():
            command = [self.bin / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self.owner)
        command = [self.bin / "postgres", "-D", data, "-p", str(self.port), "-k", self.folder]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=self.folder, **self.owner)
        wait_for(self._answers, 60, "PostgreSQL to start")
        return self

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def kill(self):
        """Stop it as a power cut would: sessions break, what was committed stays."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def restart(self):
        """Stop it as an operator would, and start it: what it had in memory is gone."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.start()

    __enter__ = start

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A Redis of one's own, which can be stopped and started on the same port."""

    def __init__(self):
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
        wait_for(lambda: _accepts(self.port), 10, "Redis to start")
        return self

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    __enter__ = start

    def __exit__(self, *_):
        self.stop()


def _accepts(port) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def silent_port(port: int):
    """Something that accepts connections on `port` and never says a word."""
    listener = socket.create_server(("127.0.0.1", port))
    held = []

    def accept():
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            connection.close()
        thread.join(5)


# The product -----------------------------------------------------------------------------------------------------------


# In one process: to start one takes longer than each of these.
SET_UP = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("collectstatic", interactive=False, verbosity=0)
call_command("create_workspace", "Live shop")
call_command("create_token", name="live", scope="admin")
"""


@cache
def _migrated() -> Path:
    """A database of SQLite with all tables and nothing in them, to be copied."""
    with Installation() as installation:
        installation.manage("migrate", "-v0")
        kept = Path(tempfile.mkdtemp(prefix="eventsapp-migrated-")) / "eventsapp.sqlite3"
        shutil.copy(installation.var / "eventsapp.sqlite3", kept)
    atexit.register(shutil.rmtree, kept.parent, ignore_errors=True)
    return kept


class Installation:
    """An installation in a folder of its own: `with Installation() as shop:`. Start its processes as needed."""

    def __init__(self, **environment: str):
        self.var = Path(tempfile.mkdtemp(prefix="eventsapp-live-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "TEST_DATABASE_URL")}
        self.environment = kept | {
            "EVENTSAPP_VAR": str(self.var),
            "BASE_URL": self.url,
            "SECRET_KEY": "only for this test",
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "eventsapp.config.settings",
        }
        self.environment |= environment
        self.processes: list[subprocess.Popen] = []
        self.clock: subprocess.Popen | None = None
        self.token = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            self.kill(process)
        if "PYTEST_CURRENT_TEST" in os.environ:
            self.print_logs()
        shutil.rmtree(self.var, ignore_errors=True)

    def print_logs(self):
        """Show how each process ended its log: pytest prints it with a failure."""
        for log in sorted(self.var.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            print(f"--- {log.name}, the last of {len(lines)} lines", *lines[-40:], sep="\n")  # noqa: T201

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command; return what it printed. Raises CalledProcessError."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=900
        )
        return done.stdout.strip()

    def set_up(self):
        """Make the database, a workspace and a token, without demo data."""
        if "DATABASE_URL" not in self.environment:
            shutil.copy(_migrated(), self.var / "eventsapp.sqlite3")
        self.app_id, self.token = self.python(SET_UP).splitlines()
        return self

    def python(self, code: str) -> str:
        """Run Python with Django set up, as `manage.py shell -c` would; return what it printed."""
        return self.manage("shell", "-v0", "-c", code)

    def start(self, command: list[str], log: str) -> subprocess.Popen:
        with (self.var / log).open("ab") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=file, stderr=file, start_new_session=True
            )
        self.processes.append(process)
        return process

    def start_web(self, port: int | None = None) -> subprocess.Popen:
        """Start a web process, on the installation's own port or another one; return it when it answers."""
        port = port or self.port
        process = self.start(web("127.0.0.1", port), "web.log")
        wait_for(lambda: self.health(port) is not None, 30, "the web to answer")
        return process

    def start_worker(self) -> subprocess.Popen:
        """Start a worker, and with the first one the clock of its sweeps; return the worker."""
        if not self.clock:
            self.clock = self.start(clock(), "clock.log")
        return self.start(worker(), "worker.log")

    def start_workers(self):
        """Start the workers of a server that has room for more than one, and the clock of their sweeps."""
        for name, command in (workers(embedded=False) | {"clock": clock()}).items():
            self.start(command, f"{name}.log")

    def kill(self, process: subprocess.Popen, number=signal.SIGKILL):
        """End a process with its whole group, as an operator's kill -9 would."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(10)

    def health(self, port: int | None = None) -> dict | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}/healthz", timeout=5) as response:
                return json.load(response)
        except (urllib.error.URLError, OSError):
            return None

    def request(
        self, method: str, path: str, body=None, *, port: int | None = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Call the API, through another web process or with another token if one is named; return status and body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post_event(self, user_id: str, *, token: str | None = None, **changes) -> int:
        """Post an order by somebody with an email address; return the status."""
        event = {
            "event_name": "placed-order",
            "created_at": int(time.time()),
            "user_id": user_id,
            "email": f"{user_id}@example.org",
            "metadata": {"code": uuid.uuid4().hex},
        }
        return self.request("POST", "/events", event | changes, token=token)[0]

    def preview(self, *conditions: dict) -> int:
        """How many people the API counts for these conditions, all of which must hold."""
        definition = {"version": 1, "match": "all", "conditions": conditions}
        return json.loads(self.request("POST", "/segments/preview", {"definition": definition})[1])["count"]

    def outbox(self) -> list[str]:
        """The mails in the outbox, as text."""
        return [path.read_text() for path in (self.var / "outbox").glob("*.eml")]

    def make_rule(self, event="placed-order", **fields):
        """Make a live rule that answers `event` with its code; return its id."""
        thanks = {"name": "Rule", "subject": "Thanks", "body": "<p>{{ event.metadata.code }}</p>"}
        fields = thanks | {"frequency": "every_time"} | fields
        made = self.python(f"""
from eventsapp.ingest import event_type
from eventsapp.models import Workspace
from messaging.models import AutoMessage
from messaging.rules import go_live
workspace = Workspace.objects.get(app_id={self.app_id!r})
rule = AutoMessage.objects.create(workspace=workspace, trigger=event_type(workspace, {event!r}), **{fields!r})
go_live(rule)
print(rule.pk)
""")
        return int(made)

    def make_visitor(self, app_id: str | None = None) -> str:
        """Make a visitor who did something in a page; return what getVisitorId() returns there."""
        address, secrets = f"/widget/{app_id or self.app_id}", {"device_secret": "d" * 32, "visit_secret": "v" * 32}
        told = json.loads(self.request("POST", f"{address}/boot", secrets | {"settings": {}})[1])
        event = {"event_name": "viewed", "created_at": 1760000000, "uuid": "9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10"}
        self.request("POST", f"{address}/events", {"session_token": told["session_token"], "events": [event]})
        return told["visitor_id"]

    def make_failure(self, rule: int) -> int:
        """Make a delivery of a rule, to anybody, that failed; return its id."""
        made = self.python(f"""
from eventsapp.models import Contact
from messaging.models import Delivery
event = {{"event_name": "placed-order", "created_at": 1760000000, "metadata": {{}}}}
delivery = Delivery.objects.create(
    message_id={rule}, contact=Contact.objects.first(), event_id="9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10", event=event,
    state="failed", reason="refused",
)
print(delivery.pk)
""")
        return int(made)

    def make_failed_ping(self, subscription: str) -> str:
        """Have the ping of a subscription (by its id in the API) fail; return the notification's id."""
        return self.python(f"""
from messaging.models import Notification
pings = Notification.objects.filter(subscription__public_id={subscription!r})
pings.update(state="failed", reason="refused")
print(pings.get().public_id)
""")

    def deliveries(self) -> dict[str, int]:
        """How many deliveries there are of each state and reason."""
        return json.loads(
            self.python("""
import json
from collections import Counter
from messaging.models import Delivery
print(json.dumps(Counter(" ".join(row).strip() for row in Delivery.objects.values_list("state", "reason"))))
""")
        )


def wait_for(question, seconds: float, what: str, every: float = 0.1):
    """Ask until the answer is true; return it. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := question():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(every)


if __name__ == "__main__" and sys.argv[1:] == ["postgres"]:
    print(postgres_url() or "")  # noqa: T201  what make asks
