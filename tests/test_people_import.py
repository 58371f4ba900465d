"""Many people at once, as POST /users would have them: from CSV files, by the command and on a page, and in jobs."""

import csv
import html
import io
import re
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsapp import attributes, uploads
from eventsapp.erasing import erase
from eventsapp.errors import Refused
from eventsapp.merging import merge
from eventsapp.models import (
    ApiToken,
    Contact,
    Event,
    HandOver,
    ImportPart,
    PeopleImport,
    RefusedRow,
    Tag,
    Tagging,
    Workspace,
)
from eventsapp.people import archive, create_contact
from eventsapp.people_columns import Columns, Kinds, Row, faults_in_targets, guess
from eventsapp.people_import import Became, open_rows, store
from eventsapp.tasks import roll_up
from messaging.tasks import sweep
from tests.conftest import Api

pytestmark = pytest.mark.django_db

OURS = "deadbeef" + "0" * 15 + "1"
FIELDS = """
    role external_id email name phone custom_attributes signed_up_at last_seen_at unsubscribed_from_emails archived_at
    external_id_folded email_folded name_folded terms
""".split()


@pytest.fixture(autouse=True)
def var(settings, tmp_path):
    settings.VAR = tmp_path
    return tmp_path


@pytest.fixture
def imports(shop, tmp_path):
    """Import these lines by the command: `imports("user_id,plan", "7,pro")` returns what it says."""

    def run(*lines, options=()):
        file = tmp_path / "people.csv"
        file.write_bytes("\n".join(lines).encode())
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("import_people", str(file), "--workspace", shop.app_id, *options, stdout=out, stderr=err)
        except CommandError as error:
            return f"{out.getvalue()}{err.getvalue()}{error}"
        return out.getvalue().strip()

    return run


def everybody(workspace) -> list[tuple]:
    """What is known of everybody in a workspace, with their tags."""
    tags = {}
    for pk, name in Tagging.objects.order_by("tag__name_folded").values_list("contact_id", "tag__name_folded"):
        tags.setdefault(pk, []).append(name)
    people = Contact.objects.filter(workspace=workspace)
    known = [[*(getattr(one, field) for field in FIELDS), tags.get(one.pk)] for one in people]
    return sorted(known, key=repr)


# What a file says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "targets"),
    [
        ("user_id,email,name,phone", "user_id email name phone"),
        ("User ID,E-mail,Full Name,Phone number", "user_id email name phone"),
        ("External ID,EMAIL ADDRESS,Tel.", "user_id email custom_attributes.Tel_"),
        ("First seen,Last Seen,Role,Tags,Unsubscribed", "signed_up_at last_seen_at role tags unsubscribed_from_emails"),
        ("created_at,signed_up_at", "- signed_up_at"),
        ("created_at,email", "signed_up_at email"),
        ("plan,plan,,cost.$", "custom_attributes.plan - - custom_attributes.cost__"),
        ("user_id,id", "user_id custom_attributes.id"),
        ("email,line,error", "email - -"),
    ],
)
def test_the_header_tells_what_columns_are_for(shop, header, targets):
    wanted = ["" if target == "-" else target for target in targets.split()]
    assert guess(shop, header.split(","), []) == wanted


def test_an_attribute_that_is_there_is_known_by_a_name_that_is_like_its(shop):
    for name in ("plan_level", "Seats", "seats"):
        shop.attributes.create(name=name, data_type="string")
    targets = guess(shop, ["Plan Level", "Seats", "seats", "Plan-Level", "Shoe size", "--"], [])
    assert targets == [
        "custom_attributes.plan_level", "custom_attributes.Seats", "custom_attributes.seats", "",
        "custom_attributes.Shoe size", "custom_attributes.--",
    ]  # fmt: skip


def test_a_column_id_is_ours_or_the_apps_by_its_cells(shop):
    ours = shop.contact_id(7)
    assert guess(shop, ["id", "user_id"], [[ours, "7"], ["", "8"]]) == ["id", "user_id"]
    assert guess(shop, ["id", "email"], [["7", "a@b.org"]]) == ["user_id", "email"]
    assert guess(shop, ["id"], [[OURS]]) == ["user_id"]  # of another workspace


@pytest.mark.parametrize(
    ("target", "cell", "field", "value"),
    [
        ("user_id", "007", "external_id", "007"),
        ("email", " Ada@Example.org ", "email", "Ada@Example.org"),
        ("phone", "'+44 20", "phone", "+44 20"),
        ("name", "true", "name", "true"),
        ("role", "Lead", "role", "lead"),
        ("signed_up_at", "1600000000", "signed_up_at", 1600000000),
        ("signed_up_at", "2026-03-31", "signed_up_at", 1774908000),
        ("signed_up_at", "2026-03-31 10:00:00", "signed_up_at", 1774951200),
        ("last_seen_at", "2026-03-31T10:00:00+02:00", "last_seen_at", 1774944000),
        ("last_seen_at", "2026-03-31T10:00:00.5Z", "last_seen_at", 1774951200),
        ("unsubscribed_from_emails", "Yes", "unsubscribed_from_emails", True),
        ("unsubscribed_from_emails", "0", "unsubscribed_from_emails", False),
        ("custom_attributes.n", "3", "custom_attributes", {"n": 3}),
        ("custom_attributes.n", "2.50", "custom_attributes", {"n": 2.5}),
        ("custom_attributes.n", "'-4", "custom_attributes", {"n": -4}),
        ("custom_attributes.code", "007", "custom_attributes", {"code": "007"}),
        ("custom_attributes.paid", "true", "custom_attributes", {"paid": True}),
        ("custom_attributes.renewal_at", "2026-03-31", "custom_attributes", {"renewal_at": 1774908000}),
        ("custom_attributes.day", "2026-03-31", "custom_attributes", {"day": "2026-03-31"}),
    ],
)
def test_a_cell_says(shop, target, cell, field, value):
    shop.time_zone = "Europe/Paris"
    row = Columns(["user_id", "x"], ["", target], shop.zone).row(2, ["", cell])
    assert row.fields == {field: value}


@pytest.mark.parametrize(
    ("target", "cell", "sentence"),
    [
        ("email", "ada", "email: “ada” is not an email address. Write one, such as ada@example.org."),
        ("email", "a\0b", "email: Null characters are not allowed."),
        ("last_seen_at", "s\0n", "last_seen_at: “s\ufffdn” is no time."),
        ("user_id", "x" * 256, "external_id: Ensure this field has no more than 255 characters."),
        ("role", "boss", 'role: "boss" is not a valid choice.'),
        ("signed_up_at", "soon", "signed_up_at: “soon” is no time. Write Unix seconds, such as 1760000000, or a date"),
        ("signed_up_at", "0001-01-01", "signed_up_at: "),
        ("signed_up_at", "1e400", "signed_up_at: Write whole Unix seconds"),
        ("last_seen_at", "99999999999", "last_seen_at: Write Unix seconds (UTC) between 1970 and now."),
        ("unsubscribed_from_emails", "maybe", "unsubscribed_from_emails: Write true or false."),
        ("tags", "a;" + "x" * 256, "tags: Write the name of a tag, of up to 255 characters."),
        (
            "custom_attributes.plan",
            "x" * 256,
            "custom_attributes.plan: The text has 256 characters. Write at most 255.",
        ),
        ("custom_attributes.n", "9" * 20, "custom_attributes.n: The number is beyond"),
        ("name", "Ada", "Say who it is: write one of user_id, email or id."),
    ],
)
def test_a_cell_that_cannot_be_kept_is_told(shop, target, cell, sentence):
    row = Columns(["user_id", "x"], ["", target], shop.zone).row(2, ["", cell])
    assert row.fault.startswith(sentence)


@pytest.mark.parametrize(
    ("targets", "place", "sentence"),
    [
        (["email", "email"], 1, "Another column is email already."),
        (["custom_attributes.a", "custom_attributes.a"], 1, "Another column is a already."),
        (["shoe"], 0, "“shoe” is nothing that is known of a person."),
        (["custom_attributes.a.b"], 0, "A name of an attribute holds neither . nor $."),
        (["custom_attributes."], 0, "A key is empty."),
        (["", "", "name"], None, ""),
    ],
)
def test_columns_that_cannot_be_kept_so_are_told(targets, place, sentence):
    faults = faults_in_targets(targets)
    assert list(faults) == ([] if place is None else [place])
    assert faults.get(place, "").startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"email\n\xff\n", "not UTF-8"),
        (b'email\na@b.org\n"' + b"x" * 140_000, "breaks off after line 2"),
        (b"ada@example.org,7\n", "here it holds an email address"),
        (b"a," * 250, "251 columns"),
        (b"PK\x03\x04\0\0,\n", "NUL"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(content, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(open_rows(io.BytesIO(content))[1])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_file_may_separate_its_cells_as_spreadsheets_do(imports, shop, separator):
    said = imports("\ufeff" + separator.join(["email", "name"]), separator.join(["a@b.org", '"Ünï; ""x"", y"']))
    assert said == "1 made, 0 changed, 0 unchanged, 0 refused."
    assert Contact.objects.get().name == 'Ünï; "x", y'


# What becomes of a row -----------------------------------------------------------------------------------------------


def test_a_file_makes_and_changes_people_once_however_often_it_is_run(shop, imports, person, does):
    does(person("7", email="old@example.org", plan="free", seats=3), "signed-up")
    file = (
        "user_id,email,name,plan,tags",
        "7,ada@example.org,Ada,pro,VIP; early",
        "8,bea@example.org,,,vip",
        ",cem@example.org,Cem,,",
        ",,,,",
    )
    assert imports(*file, options=["--tag", "From Excel"]) == "2 made, 1 changed, 0 unchanged, 0 refused."
    ada = Contact.objects.get(external_id="7")
    assert (ada.email, ada.name, ada.email_folded) == ("ada@example.org", "Ada", "ada@example.org")
    assert ada.custom_attributes == {"plan": "pro", "seats": 3}
    assert Tag.objects.count() == 3
    assert {*Tagging.objects.values_list("tag__name", "contact__email")} == {
        ("VIP", "ada@example.org"), ("VIP", "bea@example.org"), ("early", "ada@example.org"),
        ("From Excel", "ada@example.org"), ("From Excel", "bea@example.org"), ("From Excel", "cem@example.org"),
    }  # fmt: skip
    before = list(Contact.objects.values())
    assert imports(*file, options=["--tag", "From Excel"]) == "0 made, 0 changed, 3 unchanged, 0 refused."
    assert list(Contact.objects.values()) == before
    assert Event.objects.count() == 1
    assert not HandOver.objects.exists()


def test_of_two_rows_for_one_person_the_later_one_wins_where_both_speak(imports):
    assert imports("user_id,name,plan,city", "7,Ada,free,Rome", "7,,pro,") == (
        "1 made, 1 changed, 0 unchanged, 0 refused."
    )
    ada = Contact.objects.get()
    assert (ada.name, ada.custom_attributes) == ("Ada", {"plan": "pro", "city": "Rome"})


def test_people_are_found_as_the_api_finds_them(shop, other_shop, imports, person, django_capture_on_commit_callbacks):
    nameless, archived, stranger = person(None, email="n@example.org"), person("9"), person("1", other_shop)
    archive(archived, archived=True)
    old, heir = person("old", email="old@example.org"), person("heir")
    with django_capture_on_commit_callbacks(execute=True):
        merge(old, heir)
    for user_id in ("s1", "s2"):
        person(user_id, email="shared@example.org")
    said = imports(
        "id,user_id,email,name",
        ",1,N@example.org,Adopted",
        ",9,,Archived",
        f"{nameless.public_id},,,By id",
        f"{stranger.public_id},,,Stranger",
        f"{old.public_id},,,Merged",
        ",old,,Merged too",
        ",,shared@example.org,Which",
        f"{nameless.public_id},heir,,Taken",
        options=["--map", "id=id"],
    )
    assert said.startswith("0 made, 3 changed, 0 unchanged, 5 refused.")
    for sentence in (
        "line 5: User Not Found",
        f"line 6: This contact was merged into {heir.public_id}.",
        "line 7: The external_id “old” is of somebody who was merged into another contact.",
        "line 8: 2 people share the email shared@example.org. Name the one you mean by user_id.",
        f"line 9: A contact matching those details already exists with id={heir.public_id}.",
    ):
        assert sentence in said
    nameless.refresh_from_db()
    assert (nameless.external_id, nameless.name) == ("1", "By id")
    archived.refresh_from_db()
    assert archived.archived_at and archived.name == "Archived"
    stranger.refresh_from_db()
    assert stranger.name is None


def test_leads_and_users_with_one_email_are_two(imports, person):
    person(None, role="lead", email="joe@example.org")
    rows = ["joe@example.org,lead,Joe the lead", "joe@example.org,,Joe the user"]
    assert imports("email,role,name", *rows).endswith("1 made, 1 changed, 0 unchanged, 0 refused.")
    assert {*Contact.objects.values_list("role", "name")} == {("lead", "Joe the lead"), ("user", "Joe the user")}
    assert imports("email,role,name", *rows).endswith("0 made, 0 changed, 2 unchanged, 0 refused.")


def test_people_may_change_their_user_ids_in_one_file(shop, imports, person):
    one, two = person("1"), person("2")
    rows = [f"{one.public_id},3", f"{two.public_id},1", f"{one.public_id},2"]
    assert imports("id,user_id", *rows).endswith("3 changed, 0 unchanged, 0 refused.")
    assert {*Contact.objects.values_list("pk", "external_id")} == {(one.pk, "2"), (two.pk, "1")}


def test_refused_rows_are_kept_to_be_mended_and_imported(shop, imports, tmp_path):
    lines = ["email,phone,note", "ada,+44,=1+1", "a@b.org,,,more", "bea@example.org,+45,"]
    said = imports(*lines)
    assert "1 made, 0 changed, 0 unchanged, 2 refused." in said
    assert "line 2: email: “ada” is not an email address." in said
    assert "line 3: The row has 4 cells, the header 3." in said
    [kept] = (tmp_path / "imports").iterdir()
    rows = list(csv.reader(kept.read_text("utf-8-sig").splitlines()))
    assert rows[0] == ["email", "phone", "note", "line", "error"]
    assert rows[1][:4] == ["ada", "'+44", "'=1+1", "2"]
    assert rows[2][:4] == ["a@b.org", "", "", "3"] and rows[2][5:] == ["more"]
    mended = kept.read_text("utf-8-sig").replace("ada,", "ada@example.org,").replace(",more", "")
    assert imports(*mended.splitlines()) == "2 made, 0 changed, 0 unchanged, 0 refused."
    ada = Contact.objects.get(email="ada@example.org")
    assert (ada.phone, ada.custom_attributes) == ("+44", {"note": "=1+1"})


def test_columns_are_mapped_by_hand_where_their_names_do_not_say(imports):
    lines = ["Kunde,Mail,Plan=Tarif,Notiz", "7,ada@example.org,pro,x"]
    options = ["--map", "Kunde=user_id", "--map", "Plan=Tarif=custom_attributes.plan", "--map", "Notiz="]
    assert imports(*lines, options=options).startswith("1 made")
    ada = Contact.objects.get()
    assert (ada.external_id, ada.email, ada.custom_attributes) == ("7", "ada@example.org", {"plan": "pro"})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--map", "Kunde=user_id"], "“Kunde” is no column. Write COLUMN=FIELD; the columns are email, name."),
        (["--map", "email"], "“email” is no column."),
        (["--map", "name=email"], "name: Another column is email already."),
        (["--map", "email=mail"], "email: “mail” is nothing that is known of a person."),
        (["--map", "email="], "No column says who a row is about."),
        (["--tag", "x" * 256], "Write the name of a tag"),
    ],
)
def test_what_the_command_cannot_do_it_says_before_it_begins(imports, options, sentence):
    assert sentence in imports("email,name", "ada@example.org,Ada", options=options)
    assert not Contact.objects.exists()


def test_of_a_file_that_breaks_off_nothing_is_imported(imports):
    said = imports("user_id", *map(str, range(60)), '"' + "x" * 140_000)
    assert "breaks off after line 61" in said
    assert not Contact.objects.exists()


@pytest.mark.parametrize(
    ("name", "type", "cells", "values"),
    [
        ("seats", None, ["3", "2.5", ""], [3, 2.5, None]),
        ("code", None, ["12", "A12", "true"], ["12", "A12", "true"]),
        ("paid", None, ["true", "yes", "1"], ["true", "yes", "1"]),
        ("renewal_at", None, ["2026-03-31", "1774915200"], [1774915200, 1774915200]),
        ("code", "string", ["12", "13"], ["12", "13"]),
        ("seats", "integer", ["3", "many"], [3, "Write a"]),
        ("renewal_at", "date", ["2026-03-31", "soon"], [1774915200, "Write a date"]),
    ],
)
def test_an_attribute_has_one_type(shop, imports, name, type, cells, values):
    if type:
        attributes.make(shop, name, type, options=[])
    said = imports(f"user_id,{name}", *(f"{place},{cell}" for place, cell in enumerate(cells)))
    for place, value in enumerate(values):
        told = f"line {place + 2}: custom_attributes.{name}: {value}" in said if isinstance(value, str) else False
        kept = Contact.objects.filter(external_id=place).first()
        assert told or kept.custom_attributes.get(name) == value
        assert not (told and kept)


def test_a_refused_row_gives_no_attribute_its_type(shop, imports, person):
    for user_id in "12":
        person(user_id, email="shared@example.org")
    assert "1 refused" in imports("email,plan", "shared@example.org,pro")
    assert types_in(shop) == {}
    imports("user_id,plan", "1,3")
    assert types_in(shop) == {"plan": "integer"}


# One by one ----------------------------------------------------------------------------------------------------------

USER_IDS, EMAILS = ["", "1", "2", "Ü"], ["", "a@x.org", "A@x.org", "b@x.org", "nobody"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(USER_IDS),
        st.sampled_from(EMAILS),
        st.sampled_from(["", "Ada", "Bea"]),
        st.sampled_from(["", "1600000000", "1700000000", "2"]),
        st.sampled_from(["", "1", "1.0", "true", "pro"]),
    ),
    max_size=12,
)
KNOWN = st.lists(
    st.tuples(st.sampled_from(["user", "lead"]), st.sampled_from(USER_IDS), st.sampled_from(EMAILS[:-1])), max_size=5
)


@given(known=KNOWN, rows=ROWS, type=st.sampled_from([None, "string", "integer", "boolean"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_does_what_its_rows_posted_one_by_one_do(client, known, rows, type):
    columns = ["user_id", "email", "name", "signed_up_at", "custom_attributes.plan"]
    by_file, by_api = (_with_people(known, type) for _ in range(2))
    api = Api(client, ApiToken.make(workspace=by_api, name="app")[1])
    kinds = Kinds(len(columns))
    for cells in rows:
        kinds.see(cells)
    columns = Columns.of(by_file, columns, columns, kinds.of)
    read = [columns.row(line, list(cells)) for line, cells in enumerate(rows)]
    outcomes = store(by_file, read)
    for row, outcome in zip(read, outcomes, strict=True):
        said = {field: value for field, value in zip(columns.targets, row.cells, strict=True) if value} | row.fields
        said.pop("custom_attributes.plan", None)
        if "signed_up_at" in said:
            said["signed_up_at"] = int(said["signed_up_at"])
        answer = api.post("/users", said)
        assert (outcome.what == Became.REFUSED) == (answer.status_code != 200), (row, outcome, answer.json())
        for error in answer.json().get("errors", ()):
            assert error["message"] in outcome.sentence
    assert everybody(by_file) == everybody(by_api)
    assert types_in(by_file) == types_in(by_api)
    assert {outcome.what for outcome in store(by_file, read[-1:])} <= {Became.UNCHANGED, Became.REFUSED}


POSTED = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(["1", "2", 3]),
        "email": st.sampled_from(EMAILS[1:]),
        "name": st.sampled_from(["Ada", "Bea", None]),
        "signed_up_at": st.sampled_from([1_600_000_000, "now"]),
        "custom_attributes": st.fixed_dictionaries({}, optional={"plan": st.sampled_from([None, 1, 1.5, True, "pro"])}),
    },
)
DELETED = st.fixed_dictionaries(
    {}, optional={"user_id": st.sampled_from(USER_IDS[1:]), "email": st.sampled_from(EMAILS[1:-1])}
)
ITEMS = st.lists(st.tuples(st.just("post"), POSTED) | st.tuples(st.just("delete"), DELETED), min_size=1, max_size=12)


@given(known=KNOWN, items=ITEMS, type=st.sampled_from([None, "string", "integer", "boolean"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_job_does_what_its_items_sent_one_by_one_do(client, known, items, type):
    by_job, by_api = (_with_people(known, type) for _ in range(2))
    at_once, one_by_one = (Api(client, ApiToken.make(workspace=shop, name="app")[1]) for shop in (by_job, by_api))
    sent = [{"method": method, "data_type": "user", "data": data} for method, data in items]
    job = at_once.post("/bulk/users", {"items": sent}).json()
    answers = [
        one_by_one.post("/users", data) if method == "post" else one_by_one.delete(f"/users?{urlencode(data)}")
        for method, data in items
    ]
    refused = [answer.json()["errors"] for answer in answers if answer.status_code != 200]
    failed = [one["errors"] for one in at_once.get(f"/jobs/{job['id']}/error").json()["items"]]
    assert [task["item_count"] for task in job["tasks"]] == [len(items)]
    assert (job["state"] == "completed") == (not refused)
    # Of those who are deleted no failure is kept.
    assert is_within(list(map(faults, failed)), list(map(faults, refused)))
    if not any(method == "delete" for method, _ in items):
        assert list(map(faults, failed)) == list(map(faults, refused))
    assert everybody(by_job) == everybody(by_api)
    assert types_in(by_job) == types_in(by_api)


def faults(errors: list[dict]) -> list[tuple]:
    """What is the same of an error in two shops: ids, which a message may name, are not."""
    return sorted((error["code"], error.get("field") or "") for error in errors)


def is_within(some: list, others: list) -> bool:
    """Whether these stand among the others, in their order."""
    left = iter(others)
    return all(one in left for one in some)


def types_in(workspace: Workspace) -> dict[str, str]:
    return dict(workspace.attributes.values_list("name", "data_type"))


def _with_people(known, type) -> Workspace:
    workspace = Workspace.objects.create(name="A Shop")
    if type:
        attributes.make(workspace, "plan", type, options=[])
    for role, user_id, email in known:
        if (user_id or email) and not (user_id and workspace.contacts.filter(external_id=user_id).exists()):
            with suppress(Refused):
                create_contact(
                    workspace,
                    {"role": role, "external_id": user_id or None, "email": email or None, "custom_attributes": {}},
                )
    return workspace


# On the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(editor, shop, django_capture_on_commit_callbacks):
    return Page(editor, shop, django_capture_on_commit_callbacks)


class Page:
    """What an editor does on the pages of an import."""

    def __init__(self, client, workspace, committing):
        self.client, self.committing = client, committing
        self.address = reverse("people_imports", args=[workspace.app_id])

    def upload(self, *lines, name="people.csv"):
        file = SimpleUploadedFile(name, lines[0] if isinstance(lines[0], bytes) else "\n".join(lines).encode())
        answer = self.client.post(self.address, {"file": file})
        return PeopleImport.objects.get(pk=answer.url.split("/")[-2]) if answer.status_code == 302 else answer

    def ask(self, run, uses=(), *, tags="", **others):
        """Import with these uses of the columns: one of the choices, or the name of an attribute after a `=`."""
        data = {"columns-TOTAL_FORMS": len(run.header), "columns-INITIAL_FORMS": len(run.header), "tags": tags} | others
        for place, use in enumerate(uses):
            use, _, name = use.partition("=")
            data |= {f"columns-{place}-use": use, f"columns-{place}-name": name}
        with self.committing(execute=True):
            return self.client.post(run.get_absolute_url(), data)

    def text(self, run, **headers) -> str:
        return self.client.get(run.get_absolute_url(), headers=headers).content.decode()


def test_an_editor_imports_a_file(page, shop, wakeups, does, person):
    person("7", plan="free")
    run = page.upload(
        "User ID;E-mail;Plan;Secret", "7;ada@example.org;pro;x", "8;nobody;free;y", "9;cem@example.org;;z"
    )
    draft = page.text(run)
    assert "3 rows. Nothing is changed yet" in draft
    assert re.findall(r'<option value="([a-z_]+)" selected', draft) == ["user_id", "email", "attribute", "attribute"]
    assert "ada@example.org" in draft
    answer = page.ask(run, ["user_id", "email", "attribute=plan", ""], tags="Spring fair, vip")
    assert answer.url == run.get_absolute_url()
    assert wakeups == ["eventsapp.tasks.import_people"]
    assert Contact.objects.count() == 1
    assert "0 of 3 rows" in page.text(run)
    assert uploads.work() == 3
    fragment = page.text(run, **{"hx-request": "true"})
    assert "<html" not in fragment and "every 1s" not in fragment and "Done" in fragment
    assert "email: “nobody” is not an email address." in fragment
    run.refresh_from_db()
    assert (run.made, run.changed, run.unchanged, run.refused) == (1, 1, 0, 1)
    assert Contact.objects.get(external_id="7").custom_attributes == {"plan": "pro"}
    assert {*Tagging.objects.values_list("tag__name", "contact__external_id")} == {
        ("Spring fair", "7"), ("Spring fair", "9"), ("vip", "7"), ("vip", "9"),
    }  # fmt: skip
    assert not run.parts.exists()
    tagged = re.search(r'href="([^"]+)">People tagged “vip”', fragment)[1]
    assert "<strong>2</strong> people match" in page.client.get(tagged).content.decode()
    assert "people.csv" in page.client.get(page.address).content.decode()


def test_the_refused_rows_are_a_file_to_mend_and_import(page):
    run = page.upload("email,phone", "ada,+44", "bea@example.org,", "cem,=1")
    page.ask(run, ["email", "phone"])
    uploads.work()
    answer = page.client.get(run.get_absolute_url() + "refused/")
    assert answer["Content-Disposition"] == 'attachment; filename="people-refused.csv"'
    kept = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(kept.splitlines()))
    assert [row[:3] for row in rows] == [["email", "phone", "line"], ["ada", "'+44", "2"], ["cem", "'=1", "4"]]
    again = page.upload(kept.replace("ada,", "ada@example.org,").replace("cem,", "cem@example.org,"))
    assert again.targets == ["email", "phone", "", ""]
    page.ask(again, again.targets)
    uploads.work()
    assert Contact.objects.get(email="ada@example.org").phone == "+44"
    again.refresh_from_db()
    assert (again.made, again.refused) == (2, 0)


@pytest.mark.parametrize(
    ("uses", "tags", "sentence"),
    [
        (["", "name"], "", "No column says who a row is about"),
        (["email", "email"], "", "Another column is email already."),
        (["email", "attribute="], "", "A key is empty. Give every value a name."),
        (["email", "attribute=a.b"], "", "A name of an attribute holds neither . nor $."),
        (["email", "shoe"], "", "shoe is not one of the available choices."),
        (["email", "name"], "ok, " + "x" * 256, "Write the name of a tag, of up to 255 characters."),
    ],
)
def test_a_form_with_an_error_keeps_what_was_chosen(page, uses, tags, sentence):
    run = page.upload("mail,who", "ada@example.org,Ada")
    answer = page.ask(run, uses, tags=tags or "fair, early")
    assert answer.status_code == 422
    text = html.unescape(answer.content.decode())
    assert sentence in text
    assert f'value="{tags or "fair, early"}"' in text
    for use in uses:
        use, _, name = use.partition("=")
        assert use == "shoe" or f'<option value="{use}" selected>' in text
        assert f'value="{name}"' in text or not name
    run.refresh_from_db()
    assert run.asked_at is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty. Choose another."),
        (b"email\n", "The file has no rows below its first line"),
        (b"email\n\xff\n", "The file is not UTF-8."),
        (b'email\na@b.org\n"' + b"x" * 140_000, "Is a quote left open?"),
        (b"x" * 20_000_001, "Up to 20 MB are taken here, and this file has more than that."),
        (b"x" * 31_000_000, "this file has 31 MB."),
    ],
    ids=["empty", "header alone", "not UTF-8", "open quote", "too large", "much too large"],
)
def test_a_file_that_is_no_use_is_told_and_not_kept(page, content, sentence):
    answer = page.upload(content)
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.content.decode())
    assert not PeopleImport.objects.exists()
    assert not ImportPart.objects.exists()


def test_without_a_file_the_form_asks_for_one(page):
    answer = page.client.post(page.address)
    assert (answer.status_code, "Choose a file." in answer.content.decode()) == (422, True)


def test_a_column_that_the_form_does_not_name_is_left_out(page):
    run = page.upload("email,name", "ada@example.org,Ada")
    page.ask(run, ["email"], **{"columns-TOTAL_FORMS": "1"})
    uploads.work()
    assert Contact.objects.get().name is None


def test_whatever_a_cell_holds_does_not_stop_an_import(page):
    cells = ["a\0b", "\ud7ff\U0001f600", "<script>", "=1+1", "x" * 3000, "1e400", "NaN", "9" * 40, "'", "\\u0000"]
    rows = [f'{place}@b.org,"{cell}"' for place, cell in enumerate(cells)] + ['"\0",x', ",only", "a,b,c"]
    run = page.upload("email,x", *rows)
    assert "<script>" not in page.text(run).partition("<main")[2]
    page.ask(run, ["email", "attribute=x"])
    assert uploads.work() == len(rows)
    run.refresh_from_db()
    assert run.done_at
    assert run.position == len(rows) and run.made == 8
    page.text(run)
    assert b"".join(page.client.get(run.get_absolute_url() + "refused/").streaming_content)


def test_a_worker_that_is_killed_half_way_goes_on_where_it_stopped(page, monkeypatch):
    monkeypatch.setattr("eventsapp.uploads.AT_ONCE", 2)
    run = page.upload("user_id,name", *(f"{number},x" for number in range(7)))
    page.ask(run, ["user_id", "name"], tags="all")
    with connection.execute_wrapper(Killer(at=3)), pytest.raises(Killed):
        uploads.work()
    run.refresh_from_db()
    assert run.position == Contact.objects.count() == 4
    assert run.done_at is None
    assert "4 of 7 rows" in page.text(run)
    assert uploads.work() == 3
    run.refresh_from_db()
    assert (run.made, run.position, Contact.objects.count(), Tagging.objects.count()) == (7, 7, 7, 7)
    assert uploads.work() == 0


class Killed(BaseException):
    """The process ends."""


class Killer:
    """Ends the process when so many parts have begun to make people."""

    def __init__(self, at):
        self.left = at

    def __call__(self, execute, sql, *rest):
        answer = execute(sql, *rest)
        if re.match('INSERT .*INTO "eventsapp_tagging"', sql):
            self.left -= 1
            if not self.left:
                raise Killed
        return answer


def test_after_a_second_other_work_gets_its_turn(page, monkeypatch, wakeups):
    monkeypatch.setattr("eventsapp.uploads.AT_ONCE", 2)
    monkeypatch.setattr("eventsapp.uploads.AT_A_TIME", -1)
    page.ask(page.upload("user_id", "1", "2", "3"), ["user_id"])
    assert uploads.work() == 2
    assert wakeups == ["eventsapp.tasks.import_people"] * 2
    sweep()
    assert Contact.objects.count() == 3


def test_an_import_is_asked_for_once(page):
    run = page.upload("user_id", "1")
    page.ask(run, ["user_id"])
    with pytest.raises(uploads.UnderWay):
        uploads.ask(run, targets=["user_id"], tags=[])
    with pytest.raises(uploads.UnderWay):
        uploads.throw_away(run)
    assert page.ask(run, ["user_id"]).status_code == 200  # shows how far it is
    uploads.work()
    assert Contact.objects.count() == 1


def test_a_file_may_be_thrown_away(page):
    run = page.upload("user_id", "1")
    assert page.ask(run, action="throw_away").url == page.address
    assert not PeopleImport.objects.exists()
    assert not ImportPart.objects.exists()


def test_what_is_old_is_forgotten(page):
    draft = page.upload("email", "ada@example.org")
    done = page.upload("email", "ada", "bea")
    page.ask(done, ["email"])
    uploads.work()
    roll_up()
    assert (PeopleImport.objects.count(), RefusedRow.objects.count()) == (2, 2)
    PeopleImport.objects.update(uploaded_at=F("uploaded_at") - timedelta(days=8))
    PeopleImport.objects.filter(pk=done.pk).update(done_at=F("done_at") - timedelta(days=8))
    roll_up()
    assert not PeopleImport.objects.filter(pk=draft.pk).exists()
    assert not ImportPart.objects.exists()
    assert not RefusedRow.objects.exists()
    assert "not kept any more" in page.text(done)


def test_viewers_cannot_import_and_strangers_see_nothing(page, viewer, staff, shop, other_shop):
    run = page.upload("user_id", "1")
    addresses = [page.address, run.get_absolute_url(), run.get_absolute_url() + "refused/"]
    stranger = staff("admin", other_shop)
    below_theirs = [address.replace(shop.app_id, other_shop.app_id) for address in addresses[1:]]
    for method in ("get", "post"):
        assert {getattr(viewer, method)(address).status_code for address in addresses} == {403}
        assert {getattr(stranger, method)(address).status_code for address in addresses + below_theirs} == {404}
    people_page = reverse("people", args=[shop.app_id])
    assert page.address in page.client.get(people_page).content.decode()
    assert page.address not in viewer.get(people_page).content.decode()


def test_of_somebody_who_is_deleted_no_file_keeps_anything(page, person):
    ada = person("7", email="grace@shop.example")
    lines = (
        "user_id,email,age",
        "7,,30",
        "8,Grace@Shop.example,31",
        "9,bea@example.org,7",
        "10,bea,7",
        "10,bea;grace@shop.example,",
    )
    waiting, refused = page.upload(*lines), page.upload(*lines)
    page.ask(refused, ["user_id", "email", "attribute=age"])
    PeopleImport.objects.filter(pk=waiting.pk).update(file_name="other.csv")
    uploads.work()
    Contact.objects.exclude(pk=ada.pk).delete()
    erase(ada)
    everything = list(_everything())
    assert not any("grace@shop.example" in value.lower() for value in everything)
    assert any("bea@example.org" in value for value in everything)
    waiting.refresh_from_db()
    assert (waiting.size, waiting.refused) == (5, 3)
    page.ask(waiting, ["user_id", "email", "attribute=age"])
    uploads.work()
    waiting.refresh_from_db()
    assert (waiting.made, waiting.refused, waiting.position) == (1, 4, 5)
    assert Contact.objects.people().get().external_id == "9"
    assert page.text(waiting).count(uploads.GONE) == 3
    assert page.text(refused).count(uploads.GONE) == 1


def _everything():
    """Every value of every table, as a text."""
    for model in apps.get_models():
        for value in (value for row in model.objects.values_list() for value in row):
            yield bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)


def test_an_import_that_fails_makes_way_for_others_and_is_given_up_where_staff_see_it(page, other_shop):
    broken = page.upload("email,x", "ada@b.org,1")
    page.ask(broken, ["email", "attribute=x"])
    other = uploads.upload(other_shop, "other.csv", [b"email\n", b"ben@b.org\n"], by=None)
    uploads.ask(other, targets=["email"], tags=[])
    # A row that this version cannot read any more.
    ImportPart.objects.filter(of=broken).update(rows=b"[[")
    for _ in range(uploads.MOST_ATTEMPTS):
        uploads.work()
        PeopleImport.objects.update(due_at=timezone.now())
    broken.refresh_from_db()
    other.refresh_from_db()
    assert (other.made, other.done_at is not None) == (1, True)
    assert (broken.was_given_up, broken.attempts) == (True, uploads.MOST_ATTEMPTS)
    assert uploads.work() == 0
    assert "Given up" in page.text(broken)
    PeopleImport.objects.update(done_at=timezone.now() - timedelta(days=8))
    uploads.forget_old()
    assert not ImportPart.objects.exists()


def test_a_row_of_endless_cells_is_no_row(shop):
    with pytest.raises(ValueError, match="Line 2 has 5,000 cells"):
        uploads.upload(shop, "people.csv", [b"email\n", b"," * 4999 + b"\n"], by=None)


def test_a_draft_forgets_who_is_deleted_whatever_its_columns_are_taken_for(page, person):
    gone = person("kd-4711")
    run = page.upload("kundennummer,name", "kd-4711,Ada", "kd-4712,Ben")
    erase(gone)
    page.ask(run, ["user_id", "name"])
    uploads.work()
    assert list(Contact.objects.exclude(external_id=None).values_list("external_id", flat=True)) == ["kd-4712"]


def test_what_somebody_has_of_another_type_may_come_back_from_a_file(shop, person, api):
    person("ada", seats="three")
    api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}})
    shop.attributes.update(data_type="integer")
    row = Row(2, [], None, {"external_id": "ada", "name": "Ada", "custom_attributes": {"seats": "three"}})
    assert [outcome.what for outcome in store(shop, [row])] == ["changed"]
    worse = Row(2, [], None, {"external_id": "ada", "custom_attributes": {"seats": "four"}})
    assert [outcome.what for outcome in store(shop, [worse])] == ["refused"]
