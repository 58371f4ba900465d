"""An app that posts events from several threads, again and again until each is answered, and writes down every answer.

`python -m tests.poster '{"ports": […], "token": …, "seconds": …, "threads": …, "seed": …}'` prints a JSON object:
order number of each event → the statuses it was answered with, in order; 0 stands for a connection that broke.
"""

import http.client
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

import psycopg

from tests.live import ROOT, Installation

PEOPLE, NAMES = 60, 30
PATIENCE = 30  # seconds for an event that is not answered


def post_all(ports, token, seconds, threads, seed) -> dict[str, list[int]]:
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(lambda place: _post_some(ports, token, seconds, f"{seed}-{place}"), range(threads))
        return {order: statuses for part in parts for order, statuses in part.items()}


def _post_some(ports, token, seconds, own) -> dict[str, list[int]]:
    chance, answers, end = random.Random(own), {}, time.monotonic() + seconds
    ports = cycle(chance.sample(ports, len(ports)))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = _connection(next(ports))
    while time.monotonic() < end:
        order = f"{own}-{len(answers)}"
        body, statuses = json.dumps(_event(chance, order)), answers.setdefault(order, [])
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                connection.request("POST", "/events", body, headers)
                with connection.getresponse() as response:
                    response.read()
                    statuses.append(response.status)
                if response.status < 500:
                    break
            except (OSError, http.client.HTTPException):
                statuses.append(0)
                connection.close()
                connection = _connection(next(ports))
            time.sleep(0.05)
    connection.close()
    return answers


def _connection(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)


def _event(chance, order) -> dict:
    """People meet under a user_id with an email, or under that email alone."""
    person = chance.randrange(PEOPLE)
    who = {"email": f"Person{person}@example.org"}
    if chance.random() < 0.6:
        who["user_id"] = f"person-{person}"
    name = f"did.{chance.randrange(NAMES)}"
    return who | {
        "event_name": name.upper() if chance.random() < 0.3 else name,
        "created_at": int(time.time()) - chance.randrange(100_000),
        "metadata": {"order": order},
    }


@contextmanager
def four_posters(installation: Installation, ports: list[int], *, seconds: int):
    """Four processes of eight threads each post for so long; yields a dict that holds their answers afterwards."""
    asked = {"ports": ports, "token": installation.token, "seconds": seconds, "threads": 8}
    commands = [[sys.executable, "-m", "tests.poster", json.dumps(asked | {"seed": seed})] for seed in range(4)]
    posters = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    answers = {}
    yield answers
    for poster in posters:
        answers |= json.loads(poster.communicate(timeout=seconds + 120)[0])
        assert poster.returncode == 0


def stored_orders(installation: Installation) -> dict[str, int]:
    """How often each order number is stored."""
    with psycopg.connect(installation.environment["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT metadata->>'order', count(*) FROM eventsapp_event GROUP BY 1")
        return dict(rows.fetchall())


if __name__ == "__main__":
    json.dump(post_all(**json.loads(sys.argv[1])), sys.stdout)
