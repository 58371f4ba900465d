"""`manage.py serve`, as a newcomer meets it."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.live import ROOT, Installation, free_port, wait_for

pytestmark = pytest.mark.slow


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found.append(int(entry))
    return found


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Served(Installation):
    """What `make run` starts, in a folder of its own."""

    def serve(self):
        self.environment.pop("SECRET_KEY", None)
        self.environment.pop("BASE_URL", None)
        process = self.start([sys.executable, "manage.py", "serve", "--port", str(self.port)], "serve.log")
        wait_for(lambda: self.health() is not None, 60, "the page to answer")
        return process

    def printed(self) -> str:
        return (self.var / "serve.log").read_text()

    def curl(self, **replaced: str) -> str:
        """The printed command, to be run by a shell."""
        [command] = re.findall(r"^ *(curl .*?\}\}')$", self.printed(), re.M | re.S)
        for old, new in replaced.items():
            command = command.replace(old, new)
        return command

    def shell(self, command: str) -> str:
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture(scope="module")
def served():
    with Served() as installation:
        installation.process = installation.serve()
        yield installation


def test_the_printed_curl_is_an_event_and_a_message_within_two_seconds(served, client):
    code = f"CODE{time.time_ns()}"
    answer = served.shell(re.sub(r"C'\$RANDOM\$RANDOM'", code, served.curl()))
    assert answer.startswith("HTTP/1.1 202")
    began = time.monotonic()
    wait_for(lambda: any(code in mail for mail in served.outbox()), 2, "the message in the outbox")
    assert time.monotonic() - began < 2
    page = served.shell(_logged_in(served) + f"curl -sL -b $jar '{served.url}/app/people/?search=ada'")
    [person] = set(re.findall(r'href="(/app/\w+/people/[0-9a-f]{24}/)"', page))
    assert code in served.shell(_logged_in(served) + f"curl -s -b $jar {served.url}{person}")


def _logged_in(served) -> str:
    """The start of a shell script that logs in by the printed words; its cookies are in $jar."""
    email, password = re.search(r"Log in as (\S+) with the password (\S+)", served.printed()).groups()
    url = f"{served.url}/login/"
    return f"""
        set -e; jar=$(mktemp)
        secret=$(curl -s -c $jar {url} | grep -o 'csrfmiddlewaretoken" value="[^"]*' | head -1 | cut -d'"' -f3)
        curl -s -o /dev/null -b $jar -c $jar {url} --data-urlencode csrfmiddlewaretoken=$secret \\
            --data-urlencode username={shlex.quote(email)} --data-urlencode password={shlex.quote(password)}
    """


def test_pasted_twice_the_curl_is_two_events(served):
    before = len(served.outbox())
    for _ in range(2):
        assert served.shell(served.curl()).startswith("HTTP/1.1 202")
    wait_for(lambda: len(served.outbox()) == before + 2, 5, "two messages")


def test_what_it_keeps_is_private(served):
    for name in ("credentials.json", "secret_key"):
        assert stat.S_IMODE((served.var / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((served.var / "broker").stat().st_mode) == 0o700


def test_a_killed_child_is_back_within_five_seconds(served):
    for _ in range(2):
        before = children_of(served.process.pid)
        assert len(before) == 3
        for child in before:
            os.killpg(child, signal.SIGKILL)
        wait_for(lambda old=set(before): len(set(children_of(served.process.pid)) - old) == 3, 5, "new children")
        wait_for(lambda: served.health() is not None, 8, "the web to answer")
    code = served.shell(served.curl()).split()[1]
    assert code == "202"


def test_a_taken_port_is_said_and_ends_it(served):
    with Served() as second:
        command = [sys.executable, "manage.py", "serve", "--port", str(served.port)]
        done = subprocess.run(command, cwd=ROOT, env=second.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert "Choose another" in done.stderr


def test_ctrl_c_ends_everything_and_the_next_start_prints_the_same():
    with Served() as installation:
        installation.environment["HOST"] = "127.0.0.1"
        process = installation.serve()
        everybody = [process.pid, *children_of(process.pid)]
        everybody += [grandchild for child in everybody[1:] for grandchild in children_of(child)]
        assert len(everybody) >= 4
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(5)
        wait_for(lambda: not any(is_running(pid) for pid in everybody), 1, "all to end")
        assert time.monotonic() - began < 5.5
        first = installation.printed()
        installation.serve()
        again = installation.printed().removeprefix(first)
        secrets = re.compile(r"password \S+|Bearer \S+")
        assert secrets.findall(again) == secrets.findall(first)
        assert json.loads((installation.var / "credentials.json").read_text())["password"] in again


def test_a_server_with_a_database_of_its_own_gets_no_demo(tmp_path):
    """DATABASE_URL set: no demo data, no login, no token; a secret key is wanted."""
    with Installation(DATABASE_URL=f"sqlite:///{tmp_path}/own.sqlite3") as own:
        port = str(free_port())
        process = own.start([sys.executable, "manage.py", "serve", "--port", port], "serve.log")
        wait_for(lambda: "create_staff" in (own.var / "serve.log").read_text(), 30, "the greeting")
        own.kill(process)
        assert not (own.var / "credentials.json").exists()
        assert own.python("from eventsapp.models import Workspace; print(Workspace.objects.count())") == "0"
        del own.environment["SECRET_KEY"]
        with pytest.raises(subprocess.CalledProcessError) as caught:
            own.manage("check")
        assert "SECRET_KEY is missing" in caught.value.stderr
