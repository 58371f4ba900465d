"""What documents promise that can rot."""

import json
import re
from pathlib import Path

import pytest

from messaging import drafting, text
from messaging.models import Delivery
from segments import comparisons
from segments.conditions import FIELDS
from segments.definition import KINDS, parse
from segments.engine import answer, one_moment
from segments.models import Segment

ROOT = Path(__file__).resolve().parents[1]


def read(*names):
    return "\n".join((ROOT / name).read_text() for name in names)


def test_every_setting_of_the_environment_is_documented():
    settings = read("eventsapp/config/settings.py")
    named = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', settings)) | {"DATABASE_URL", "CACHE_URL", "EMAIL_URL"}
    assert len(named) >= 12
    operations = read("docs/operations.md")
    assert {name for name in named if f"`{name}`" not in operations} == set()


def test_the_language_is_documented():
    language = read("docs/segments.md")
    operators = {*comparisons.TEXT, *comparisons.NUMBER, *comparisons.BOOLEAN, *comparisons.DATE, *comparisons.PRESENCE}
    for word in (*KINDS, *FIELDS):
        assert f"`{word}`" in language, word
    for operator in operators:
        assert re.search(rf"\b{operator}\b", language), operator


@pytest.mark.django_db
def test_every_example_of_the_language_can_be_asked(shop):
    examples = re.findall(r"```json\n(.+?)```", read("docs/segments.md"), re.DOTALL)
    # The first shows every kind, with ids that are anybody's.
    assert {kind for kind in KINDS if f'"kind": "{kind}"' in examples[0]} >= {*KINDS} - {"event_time"}
    assert len(examples) >= 8
    for example in examples[1:]:
        definition = parse(shop, json.loads(example))
        with one_moment() as now:
            assert answer(definition, now).count == 0


@pytest.mark.django_db
def test_the_example_of_an_auto_message_is_read_as_it_is_written(shop, api_with):
    known = {"conditions": [{"kind": "attribute", "field": "email", "op": "known"}]}
    Segment.objects.create(pk=12, workspace=shop, name="Buyers", definition=known)
    [example] = re.findall(r"```json\n(\{\"name\": \"Win them back.+?)```", read("docs/api.md"), re.DOTALL)
    written = json.loads(example)
    made = api_with("admin").post("/auto_messages", written)
    assert made.status_code == 200, made.content
    assert set(written) == set(drafting.READERS)
    told = made.json()
    assert {name for name in written if told[name] != written[name]} == {"audience"}, "its definition gets a version"


def test_states_and_own_filters_of_messages_are_documented():
    messages = read("docs/messages.md")
    for state in Delivery.State.labels:
        assert f"| {state.lower()} |" in messages
    for own in ("money", "fallback", "date"):
        assert own in text.HTML.filters
        assert f"\\| {own}" in messages


def test_readme_names_both_commands_and_its_links_lead_somewhere():
    readme = read("README.md")
    assert "make run" in readme
    assert "make test" in readme
    links = re.findall(r"\]\(([^)#:]+)\)", readme)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("static/ui/*.js")), ids=lambda path: path.name)
def test_modules_are_strict_and_imports_end_with_a_semicolon(path):
    """Hashed names are put into what Django's storage takes for an import."""
    for line in path.read_text().splitlines():
        if line.startswith("import"):
            assert re.fullmatch(r'import (\{[^}]+\} from )?"\./\w[\w-]*\.js";', line)


def test_the_browsers_share_stays_small():
    size = sum(path.stat().st_size for path in ROOT.glob("static/ui/*.js"))
    assert size <= 25_000
    assert (ROOT / "static/ui/app.css").stat().st_size <= 24_000
