"""Whoever is deleted is found wherever their names stand; that it is found quickly loses nothing."""

import json
import re
import sys
from urllib.parse import quote, quote_plus, unquote_plus

import msgspec
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventsapp.erasing import erase
from eventsapp.models import BulkJob, Contact, PeopleImport, RefusedRow, Workspace
from eventsapp.naming import Names

# Who is another by upper and lower case, or by what stands for both.
CASED = "".join(
    c for c in map(chr, range(sys.maxunicode + 1)) if {c.lower(), c.upper(), c.casefold(), c.title()} != {c}
)
# What IGNORECASE takes for a letter, beyond both cases of it.
ALIKE = {"i": "Iİı", "k": "K\u212a", "s": "Sſ", "å": "Å\u212b", "µ": "μΜ", "σ": "ςΣ", "é": "É", "ß": "ẞ", "ö": "Ö"}


def stand_in(names: set[str], text: str) -> bool:
    """Whether one of these names is in a text: what is promised, put plainly."""
    spelled = names | {json.dumps(name, ensure_ascii=ascii)[1:-1] for name in names for ascii in (True, False)}
    whole = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, spelled))})(?!\w)", re.IGNORECASE)
    return bool(whole.search(text) or whole.search(unquote_plus(text)))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("kim+4711@example.org", True),
        ("to KIM+4711@Example.org, at once", True),
        ("\u212aİm+4711@example.org", True),
        ("email=kim%2B4711%40example.org&x=1", True),
        ("email=k%69m%2b4711%40example%2Eorg", True),
        ("kim_4711@example.org", False),
        ("ada@example.org", False),
        ("ada@example.organic", False),
        ("Bada@example.org and bada@example.org.", False),
        ("kım+4711@example.org.", True),
        ("the user 4711, or the 8", True),
        ("14711, 47114711 or 4711a", False),
        (r"{\"user_id\": \"4711\"}", True),
        ("Zo\\u00eb", True),
        ("ZOË", True),
        ("Zo%C3%ABs", False),
        ("Zo%C3%AB", True),
    ],
    ids=ascii,
)
def test_names_stand_in_links_forms_and_json(text, holds):
    names = {"kim+4711@example.org", "4711", "da@example.org", "Zoë"}
    assert stand_in(names, text) is holds
    assert Names(names).are_in(text) is holds


def test_letters_that_are_alike_are_alike_to_the_quick_look():
    for letter in CASED:
        named = Names({letter})
        for alike in re.findall(re.escape(letter), CASED, re.IGNORECASE):
            assert named.may_be_in(alike), (letter, alike)


USER_ID = 'the "user"'
LETTERS = st.sampled_from('aikszåµσéßöE7-_.@"\\%+ /ı\u0307\u212aſİ\n\t\x1f')
NAME = st.text(LETTERS, min_size=1, max_size=6)
JUNK = st.text(st.one_of(LETTERS, st.characters(exclude_categories=["Cs"])), max_size=5)


@st.composite
def written(draw, names):
    """One of these names as somebody may have written it, among other things."""
    name = draw(st.sampled_from(names))
    text = "".join(draw(st.sampled_from([letter, *ALIKE.get(letter, ""), letter.upper()])) for letter in name)
    if draw(st.booleans()):
        text = "".join(
            draw(st.sampled_from([letter, "".join(f"%{byte:02x}" for byte in letter.encode())])) for letter in text
        )
    for way in draw(st.lists(st.sampled_from([quote, quote_plus, json.dumps, str.upper]), max_size=2)):
        text = way(text)
    return draw(JUNK) + text + draw(JUNK)


@st.composite
def names_and_texts(draw):
    names = draw(st.lists(NAME, min_size=1, max_size=3))
    return names, draw(st.lists(st.one_of(written(names), JUNK), min_size=1, max_size=4))


@settings(max_examples=500, deadline=None)
@given(told=names_and_texts())
@example(told=(["a%"], ["a%25", "41"]))
@example(told=(["é"], ["%C3", "%A9"]))
def test_the_quick_look_misses_nothing_and_the_close_one_finds_what_is_there(told):
    names, texts = told
    named = Names(names)
    for text in texts:
        assert named.are_in(text) is stand_in({*names}, text)
    if any(stand_in({*names}, text) for text in texts):
        assert named.may_be_in("\n".join(texts))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=names_and_texts(), more=st.lists(st.lists(JUNK, max_size=2), max_size=3))
@example(told=(['x"'], ["x%22"]), more=[['"']])
@example(told=(['x\\"'], ["x\\%22"]), more=[])
def test_refused_rows_and_failed_items_that_name_somebody_are_forgotten_and_no_others(db, told, more):
    workspace = Workspace.objects.create(name="random")
    [name, *others], texts = told
    email = name.replace("\0", "")
    run = PeopleImport.objects.create(
        workspace=workspace, file_name="x", header=["a"], kinds=[[]], targets=["user_id"], asked_at=timezone.now()
    )
    texts = [text.replace("\0", "") for text in texts]
    rows = [[USER_ID], [f" {USER_ID}\n"], [f"{USER_ID}s"], *([text] for text in texts)]
    rows += [[text.replace("\0", "") for text in cells] for cells in more] + [["-", *texts]]
    RefusedRow.objects.bulk_create(
        RefusedRow(
            of=run,
            line=line,
            error=cells[0] if line % 2 and line > 3 and cells else "no",
            cells=msgspec.json.encode(cells),
        )
        for line, cells in enumerate(rows)
    )
    job = BulkJob.objects.create(workspace=workspace, closing_at=timezone.now(), failed=list(map(json.dumps, rows)))
    contact = Contact.objects.create(workspace=workspace, email=email, external_id=USER_ID)
    names = {email, contact.public_id}
    erase(contact)
    cells = RefusedRow.objects.filter(of=run).order_by("line").values_list("cells", flat=True)
    expected = [[] if any(stand_in(names, cell) or cell.strip() == USER_ID for cell in row) else row for row in rows]
    assert [msgspec.json.decode(bytes(one)) for one in cells] == expected
    failed = [item for item in map(json.dumps, rows) if not stand_in(names | {USER_ID}, item)]
    assert BulkJob.objects.get(pk=job.pk).failed == failed
