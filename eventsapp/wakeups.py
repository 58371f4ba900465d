"""Waking the worker, without ever waiting for the broker.

A wake-up says "there is work"; the work itself stands in the database, and a sweep finds it if a wake-up is lost. So
one thread per process publishes them, at most one of a kind every quarter of a second, and drops what the broker does
not take within a second: a broker that accepts and stays silent would hold a plain `.delay()` for half a minute.
"""

import logging
import os
import threading
import time
from contextlib import suppress

from celery import current_app

logger = logging.getLogger(__name__)

PAUSE = 0.25  # seconds between two wake-ups of one kind
PATIENCE = 1  # seconds that the broker gets
QUIET = 5  # seconds for which a broker that did not answer is left alone; the sweep works meanwhile

TRANSPORT_OPTIONS = {
    "redis": {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "max_retries": 0},
    "amqp": {"read_timeout": PATIENCE, "write_timeout": PATIENCE, "max_retries": 0},
}


class WakeUps:
    """The kinds of work (names of tasks without arguments) that a worker is to hear of, and the thread that says so."""

    def __init__(self):
        self._forget_the_past()
        # A forked child has this object, but not its thread.
        os.register_at_fork(after_in_child=self._forget_the_past)

    def _forget_the_past(self):
        self._waiting: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connection = None

    def wake(self, task: str):
        """Have `task` published soon. Returns at once, never fails."""
        with self._changed:
            self._waiting.add(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish_forever, name="wake-ups", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _publish_forever(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                tasks, self._waiting = self._waiting, set()
            time.sleep(PAUSE if self._publish(tasks) else QUIET)

    def _publish(self, tasks: set[str]) -> bool:
        try:
            if self._connection is None:
                url = current_app.conf.broker_url
                options = (current_app.conf.broker_transport_options or {}) | TRANSPORT_OPTIONS.get(
                    url.partition(":")[0], {}
                )
                self._connection = current_app.connection_for_write(
                    url, connect_timeout=PATIENCE, transport_options=options
                )
            for task in tasks:
                current_app.send_task(task, connection=self._connection, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001  each transport has its own errors; any of them means "not now"
            logger.warning("The broker did not take a wake-up (%s); the sweep will find the work.", error)
            self._drop_connection()
            return False
        return True

    def _drop_connection(self):
        connection, self._connection = self._connection, None
        if connection is not None:
            # It is broken already, and its time-outs bound how long it may say good-bye.
            with suppress(Exception):
                connection.release()


wake = WakeUps().wake
