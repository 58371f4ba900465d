"""History from files, and the commands of an operator."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from eventsapp.importing import event_in
from eventsapp.models import ApiToken, Contact, Event, EventSummary, HandOver, Membership, Workspace
from eventsapp.summaries import differences

pytestmark = pytest.mark.django_db


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue().strip()


@pytest.mark.parametrize(
    ("row", "event"),
    [
        ({"user_id": "007", "created_at": "5"}, {"user_id": "007", "created_at": 5}),
        ({"a": "", "b": "x"}, {"metadata": {"b": "x"}}),
        ({"n": "3", "f": "2.50", "e": "1e3", "neg": "-4"}, {"metadata": {"n": 3, "f": 2.5, "e": 1000.0, "neg": -4}}),
        ({"code": "007", "plus": "+4", "dot": ".5"}, {"metadata": {"code": "007", "plus": "+4", "dot": ".5"}}),
        ({"yes": "true", "no": "false", "y": "True"}, {"metadata": {"yes": True, "no": False, "y": "True"}}),
        ({"p_amount": "4900", "p_currency": "usd"}, {"metadata": {"p": {"amount": 4900, "currency": "usd"}}}),
        ({"p_amount": "4900", "p_currency": ""}, {"metadata": {"p_amount": 4900}}),
        ({"email": "a@b", "uuid": "u", "id": "i"}, {"email": "a@b", "uuid": "u", "id": "i"}),
    ],
    ids=str,
)
def test_a_csv_row_becomes_an_event(row, event):
    assert event_in(row) == event


def test_a_csv_file_is_imported_once_however_often_it_is_run(shop, tmp_path):
    file = tmp_path / "history.csv"
    file.write_text(
        "\ufeffuser_id,event_name,created_at,item\n"
        '1,Placed.Order,1600000000,"a, ""quoted"" lamp"\n'
        "2,placed-order,1600000001,Ünï\n\n"
        "1,placed-order,1600000002,\n"
    )
    assert run("import_events", str(file)) == "3 stored, 0 were there, 0 refused."
    assert run("import_events", str(file)) == "0 stored, 3 were there, 0 refused."
    assert Event.objects.count() == 3
    assert EventSummary.objects.get(contact__external_id="1").count == 2
    assert {event.source for event in Event.objects.all()} == {"import"}
    assert Event.objects.get(contact__external_id="2").metadata == {"item": "Ünï"}
    assert not HandOver.objects.exists()


def test_bad_rows_are_told_by_line_and_kept_and_the_others_stored(shop, settings, tmp_path):
    settings.VAR = tmp_path
    file = tmp_path / "history.jsonl"
    good = {"event_name": "x", "created_at": 1600000000, "user_id": "1"}
    lines = [
        json.dumps(good),
        "{broken",
        json.dumps(good | {"created_at": "soon"}),
        "",
        json.dumps(good | {"user_id": "2"}),
    ]
    file.write_text("\n".join(lines))
    with pytest.raises(CommandError, match="2 refused rows are in"):
        run("import_events", str(file))
    assert Event.objects.count() == 2
    [kept] = (tmp_path / "imports").glob("*.rejected.jsonl")
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["line"] for row in rows] == [2, 3]
    assert rows[0]["row"] == "{broken"
    assert "whole Unix seconds" in rows[1]["error"]


def test_the_kept_rows_can_be_mended_and_imported_as_they_are(shop, tmp_path):
    row = {"event_name": "x", "created_at": 1600000000, "user_id": "1"}
    file = tmp_path / "mended.jsonl"
    file.write_text(
        "\ufeff" + json.dumps({"line": 2, "error": "…", "row": row}) + "\n" + json.dumps(row | {"user_id": "2"})
    )
    assert run("import_events", str(file)) == "2 stored, 0 were there, 0 refused."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", b'event_name,created_at\n"' + b"x" * 140_000, "Is a quote left open"),
        ("events.txt", b"x", "neither .csv nor .jsonl"),
        ("events.csv", b"user_id,name\n1,2\n", "created_at, event_name is missing"),
        ("events.csv", b"event_name,created_at\n\xff\xfe,1\n", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(shop, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        run("import_events", str(tmp_path / name))


def test_a_row_with_other_cells_than_the_header_is_refused(shop, settings, tmp_path):
    settings.VAR = tmp_path
    file = tmp_path / "history.csv"
    file.write_text("user_id,event_name,created_at\n1,x,1600000000,more\n1,x,1600000000\n")
    with pytest.raises(CommandError):
        run("import_events", str(file))
    assert Event.objects.count() == 1


def test_the_commands_print_what_the_next_one_needs(db):
    app_id = run("create_workspace", "My product", "--unknown-people", "reject")
    assert Workspace.objects.get().unknown_people == "reject"
    assert Workspace.objects.get().app_id == app_id
    secret = run("create_token", "--name", "app", "--workspace", app_id)
    assert ApiToken.objects.get().allows("events:write")
    assert not ApiToken.objects.get().allows("admin")
    assert len(secret) > 30
    assert secret not in str(ApiToken.objects.values())
    password = run("create_staff", "Sam@Example.org")
    assert Membership.objects.get().user.check_password(password)
    assert Membership.objects.get().user.username == "sam@example.org"
    with pytest.raises(CommandError, match="There are: " + app_id):
        run("create_token", "--name", "app", "--workspace", "nope")


def test_without_a_workspace_the_commands_say_how_to_make_one(db):
    with pytest.raises(CommandError, match="create_workspace"):
        run("create_token", "--name", "app")


def test_wrong_summaries_are_found_and_mended(shop, person, does):
    ada, bea, cem = person("ada"), person("bea"), person("cem")
    does(ada, "placed-order", times=3)
    does(bea, "placed-order", times=2)
    assert run("check_summaries") == "Every summary says what its events say."
    EventSummary.objects.filter(contact=ada).update(count=7, first_at=1)
    type = EventSummary.objects.filter(contact=bea).get().type
    EventSummary.objects.filter(contact=bea).delete()
    EventSummary.objects.create(contact=cem, type=type, count=1, first_at=5, last_at=5, imported_count=4)
    assert len(differences()) == 3
    with pytest.raises(CommandError, match="3 summaries are wrong"):
        run("check_summaries")
    assert "3 mended" in run("check_summaries", "--repair")
    assert differences() == []
    assert EventSummary.objects.get(contact=ada).count == 3
    baseline = EventSummary.objects.get(contact=cem)
    assert (baseline.count, baseline.first_at, baseline.imported_count) == (0, None, 4)


def test_the_demo_makes_people_who_did_things_and_sends_nothing(shop):
    run("demo", "--people", "40", "--events", "300", "--seed", "3")
    assert Contact.objects.people().count() == 40
    assert Event.objects.count() >= 295  # two of one second and the same metadata would be one
    assert not HandOver.objects.exists()
    assert differences() == []
    assert shop.segments.count() == 4
