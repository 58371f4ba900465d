"""The embedded broker: a message appears whole, or not yet."""

import json
import subprocess
import sys
import time
from queue import Empty

import pytest
from kombu import Connection

from eventsapp.config import filebroker
from tests.live import ROOT

WRITER = """
import sys
from kombu import Connection
from eventsapp.config import filebroker

filebroker.install()
folder = sys.argv[1]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
channel = Connection("filesystem://", transport_options=options).channel()
for number in range(2_000):
    channel._put("work", {"number": number, "text": "x" * 2_000})
"""


@pytest.fixture
def channel(tmp_path):
    filebroker.install()
    (tmp_path / "control").mkdir()
    options = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path)}
    options["control_folder"] = str(tmp_path / "control")
    return Connection("filesystem://", transport_options=options).channel()


def test_a_reader_that_is_faster_than_the_writer_gets_every_message_whole(channel, tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT)
    numbers, deadline = set(), time.monotonic() + 60
    while len(numbers) < 2_000 and time.monotonic() < deadline:
        try:
            numbers.add(channel._get("work")["number"])
        except Empty:
            assert writer.poll() in (None, 0)
    assert numbers == set(range(2_000))
    assert writer.wait(10) == 0


def test_a_queue_is_bound_once_and_read_back(channel, tmp_path):
    for _ in range(2):
        channel._queue_bind("celery", "celery", "", "celery")
    channel._queue_bind("celery", "other", "", "other")
    assert json.loads((tmp_path / "control" / "celery.exchange").read_text()) == [
        ["other", "", "other"],
        ["celery", "", "celery"],
    ]
    assert [binding.queue for binding in channel.get_table("celery")] == ["other", "celery"]
