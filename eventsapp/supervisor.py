"""One process tree: the web, the worker and its clock as children that come back when they die and end when told to.

Runs as a program of its own (`python -m eventsapp.supervisor`) that loads nothing else: it is there for good, and with
Django in it would take a hundred megabytes.
"""

import ctypes
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

logger = logging.getLogger(__name__)

PATIENCE = 4  # seconds between “please end” and the end
LOOK_EVERY = 0.2  # seconds
STEADY = 10  # seconds after which a child is no longer new
LONGEST_PAUSE = 4  # seconds before a child that keeps dying is started again
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A command that is to be running."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen | None = None
    started: float = 0.0
    start_at: float = 0.0
    deaths: int = 0

    def start(self):
        self.process = subprocess.Popen(self.command, start_new_session=True, preexec_fn=_end_with_parent)  # noqa: PLW1509
        self.started = time.monotonic()

    def look(self):
        """Start it if it is not running and its pause is over: none at first, longer the more often it died young."""
        now = time.monotonic()
        if self.process and self.process.poll() is None:
            if now - self.started > STEADY:
                self.deaths = 0
            return
        if self.process:
            self.kill_group()
            pause = min(self.deaths, LONGEST_PAUSE)
            logger.warning("The %s ended (code %s); starting it again.", self.name, self.process.returncode)
            self.process, self.start_at, self.deaths = None, now + pause, self.deaths + 1
        if now >= self.start_at:
            self.start()

    def ask_to_end(self):
        """The child ends its own children in its own order."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def kill_group(self):
        """End whatever is left of the child and its own children: a port they hold would stop the next one."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _end_with_parent():
    """A supervisor that is killed outright must not leave its children behind (Linux alone knows how)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _allow_open_files():
    """Each connection is a file, of which many systems give a program a thousand unless it asks for more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST_CONNECTIONS
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most == resource.RLIM_INFINITY else min(most, wanted), most))


class Supervisor:
    """Keeps children running until SIGTERM or Ctrl-C; then ends all of them within five seconds."""

    def __init__(self, children: Sequence[Child]):
        self.children = children
        self.ending = False

    def run(self):
        _allow_open_files()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        while not self.ending:
            for child in self.children:
                child.look()
            time.sleep(LOOK_EVERY)
        self._end_children()

    def _end(self, *_):
        self.ending = True

    def _end_children(self):
        for child in self.children:
            child.ask_to_end()
        deadline = time.monotonic() + PATIENCE
        for child in self.children:
            if child.process:
                try:
                    child.process.wait(max(deadline - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    logger.warning("The %s does not end by itself; killing it.", child.name)
        for child in self.children:
            child.kill_group()


MOST_CONNECTIONS = 4096  # to the web, idle ones included: each page of an app's user keeps one or two
CELERY = [sys.executable, "-m", "celery", "--quiet", "--app", "eventsapp.config"]


def web(host: str, port: int) -> list[str]:
    """The command of the web server. One process: the wake-ups and caches of several would do, but one is enough."""
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port),
        "--workers", "1", "--blocking-threads", "32", "--backpressure", str(MOST_CONNECTIONS), "--backlog", "512",
        "--no-ws", "--log-level", "error", "--respawn-failed-workers",
        "eventsapp.config.wsgi:application",
    ]  # fmt: skip


def worker(*queues: str, processes: int = 2) -> list[str]:
    """The command of a worker: of these queues, or of all. With one process its tasks run in the worker itself."""
    pool = ["--pool", "prefork", "--concurrency", str(processes)] if processes > 1 else ["--pool", "solo"]
    return [
        *CELERY, "worker", *pool, "--loglevel", "warning",
        "--without-gossip", "--without-mingle", "--without-heartbeat", *(["-Q", ",".join(queues)] if queues else []),
    ]  # fmt: skip


def workers(*, embedded: bool) -> dict[str, list[str]]:
    """The commands of the workers by name. Where there is room for more than one, mail servers that hang hold nothing
    else up, nor do the receivers of webhooks of events: those are posted side by side by one process."""
    if embedded:
        return {"worker": worker()}
    return {
        "worker": worker("matching", "celery"),
        "sender": worker("sending"),
        "poster": worker("posting", processes=1),
    }


def clock() -> list[str]:
    """The command of the clock that calls for the sweep. A child of its own: inside a worker nobody would revive it."""
    return [*CELERY, "beat", "--pidfile=", "--loglevel", "warning"]


def become_supervisor(commands: dict[str, Sequence[str]]):
    """Turn this process into the supervisor of `commands` (by name). Does not return."""
    os.execv(sys.executable, [sys.executable, "-m", "eventsapp.supervisor", json.dumps(commands)])


if __name__ == "__main__":
    logging.basicConfig(format="{asctime} {levelname} supervisor: {message}", style="{")
    Supervisor([Child(name, command) for name, command in json.loads(sys.argv[1]).items()]).run()
