"""Intercom's own SDKs, each in an environment of its own, against a live server: only the base URL is changed.

For Ruby and PHP it is a script that sends with the language's own HTTP library what their SDKs send.
"""

import json
import os
import shutil
import subprocess
import venv
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live import ROOT, Installation, database, postgres_url

pytestmark = pytest.mark.sdks
HERE, ENVIRONMENTS = Path(__file__).parent / "sdks", ROOT / ".venv-sdks"
AT = 1_760_000_000
METADATA = {
    "text": "Ünïcode",
    "number": 3.67,
    "boolean": True,
    "order_date": 1759990000,
    "article": "https://example.org/a.html",
    "order": {"url": "https://example.org/o", "value": "3434"},
    "price": {"amount": 2999, "currency": "usd"},
    "stripe_invoice": "inv_3434",
    "image": "https://example.org/a.png",
    "nested": {"a": [1, {"b": None}]},
}
# Which script drives which SDK, and what that SDK lacks.
SDKS = {
    "python5": ("modern.py", {}),
    "python4": ("modern.py", {}),
    "python3": ("legacy.py", {}),
    "node7": ("modern.cjs", {}),
    "node6": ("modern.cjs", {"follow_urls": True}),
    "ruby": ("ruby.rb", {}),
    "php": ("php.php", {}),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def installation(request):
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            if not postgres_url():
                skip_or_fail("no PostgreSQL server answers (set POSTGRES_URL)")
            environment["DATABASE_URL"] = stack.enter_context(database())
        yield stack.enter_context(Installation(**environment)).set_up()


@pytest.fixture
def tokens(installation):
    """Tokens of new workspaces: one for all, one that only reads, one that may ask little, one with few names."""

    # Made by one process: one for each would take longer than all that an SDK asks.
    made = installation.python("""
import json
from eventsapp.models import ApiToken, Workspace

def token(scope="admin", *, of=None, **fields):
    workspace = of or Workspace.objects.create(**fields)
    return ApiToken.make(workspace=workspace, name="sdk", scope=scope)[1]

shop = Workspace.objects.create(name="SDK")
print(json.dumps({
    "admin": token(of=shop),
    "read": token("read", of=shop),
    "slow": token(name="Slow", rate_limit=2),
    "few_names": token(name="Few names", event_name_limit=1),
}))
""")
    return json.loads(made) | {"wrong": "ev_nobody"}


def skip_or_fail(reason):
    if os.environ.get("EVENTSAPP_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def command_of(sdk: str, script: str) -> list[str]:
    """Make the SDK's environment, exactly as its files pin it; return the command that runs a script in it."""
    if sdk in ("ruby", "php"):
        return [sdk, script]
    pinned, folder = HERE / sdk, ENVIRONMENTS / sdk
    folder.mkdir(parents=True, exist_ok=True)
    if sdk.startswith("python"):
        interpreter = folder / "bin" / "python"
        if not interpreter.exists():
            venv.create(folder, with_pip=True)
        install = [interpreter, "-m", "pip", "install", "-q", "-r", pinned / "requirements.txt"]
        run = [str(interpreter), script]
    else:
        if not shutil.which("npm"):
            skip_or_fail("npm is not installed")
        for file in ("package.json", "package-lock.json"):
            shutil.copy(pinned / file, folder)
        install, run = ["npm", "ci", "--silent", "--no-audit", "--no-fund"], ["node", script]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        skip_or_fail(f"{sdk} could not be installed: {done.stderr[-500:]}")
    return run


def marked(sdk: str):
    """As the languages that a machine may lack are: see conftest.NEEDS."""
    return pytest.param(sdk, marks=getattr(pytest.mark, sdk)) if sdk in ("ruby", "php") else sdk


@pytest.mark.parametrize("sdk", [marked(sdk) for sdk in SDKS])
def test_the_sdk_works_unmodified(installation, tokens, sdk):
    script, lacks = SDKS[sdk]
    command = command_of(sdk, str(HERE / script))
    if installation.health() is None:
        installation.start_web()
    app_id = json.loads(installation.request("GET", "/me", token=tokens["admin"])[1])["app"]["id_code"]
    asked = {"url": installation.url, "tokens": tokens, "at": AT, "metadata": METADATA}
    asked["visitor"] = installation.make_visitor(app_id)
    asked |= {"environment": str(ENVIRONMENTS / sdk)} | lacks
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, env=environment | {"SDK": json.dumps(asked)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    status, body = installation.request(
        "GET", f"/events?type=user&intercom_user_id={made['id']}", token=tokens["admin"]
    )
    listed = json.loads(body)["events"]
    orders = [event for event in listed if event["event_name"] == "placed-order"]
    assert status == 200
    assert [order["created_at"] for order in orders] == [AT + number for number in (4, 3, 2, 1, 0)]
    assert all(order["metadata"] == METADATA for order in orders)
    assert {event["email"] for event in listed} == {"sdk@example.org"}
    body = installation.request("GET", f"/events?type=lead&intercom_user_id={made['lead']}", token=tokens["admin"])[1]
    assert [event["event_name"] for event in json.loads(body)["events"]] == ["asked"]
