"""The settings for pages of an app's users: the snippet, the proof, the look, and who may change them."""

import html
import subprocess
import sys

import pytest
from django.urls import reverse

from eventsapp.identity import user_hash
from eventsapp.models import Contact
from messaging.browser_views import HASHES
from messaging.models import Messenger
from tests.live import ROOT

pytestmark = pytest.mark.django_db
LOOK = {
    "alignment": "left",
    "horizontal_padding": "12",
    "vertical_padding": "8",
    "action_color": "#AA3300",
    "theme_mode": "dark",
}


def address(name, shop, *more):
    return reverse(name, args=[shop.app_id, *more])


def text_of(response) -> str:
    return html.unescape(response.content.decode())


def test_the_page_shows_the_snippet_and_admins_the_secret(admin, viewer, shop):
    admin.post(address("add_identity_secret", shop))
    secret = shop.identity_secrets.get().secret
    for client, sees in ((admin, True), (viewer, False)):
        page = text_of(client.get(address("browser", shop)))
        assert f"/widget/{shop.app_id}" in page
        assert f'app_id: "{shop.app_id}"' in page
        assert (secret in page) is sees
        assert all(code in page for code in HASHES.values())


def test_the_light_waits_for_the_first_event_of_a_browser(viewer, shop, client):
    light = {"HX-Request": "true"}
    assert "Waiting for the first event" in text_of(viewer.get(address("browser", shop)))
    assert viewer.get(address("browser", shop), headers=light).status_code == 204
    said = {"device_secret": "d" * 32, "visit_secret": "v" * 32, "settings": {}}
    session = client.post(f"/widget/{shop.app_id}/boot", said, content_type="application/json").json()["session_token"]
    event = {"event_name": "x", "created_at": 1760000000, "uuid": "9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10"}
    client.post(
        f"/widget/{shop.app_id}/events", {"session_token": session, "events": [event]}, content_type="application/json"
    )
    assert "Connected" in text_of(viewer.get(address("browser", shop), headers=light))


def test_only_admins_change_anything(editor, viewer, shop):
    for client in (editor, viewer):
        for name in ("add_identity_secret", "change_identity", "change_look"):
            assert client.post(address(name, shop), LOOK).status_code == 403
        assert client.post(address("remove_identity_secret", shop, 1)).status_code == 403
    assert not shop.identity_secrets.exists()


def test_secrets_are_of_their_workspace_and_a_few_at_most(admin, shop, other_shop):
    for _ in range(5):
        admin.post(address("add_identity_secret", shop))
    assert shop.identity_secrets.count() == 3
    theirs = other_shop.identity_secrets.create()
    assert admin.post(address("remove_identity_secret", shop, theirs.pk)).status_code == 404
    admin.post(address("remove_identity_secret", shop, shop.identity_secrets.first().pk))
    assert shop.identity_secrets.count() == 2


def test_what_is_protected_is_one_name_a_line(admin, shop, client):
    sent = {"enforces_identity": "on", "protected_attributes": " plan \r\n\r\nemail\r\nplan"}
    assert admin.post(address("change_identity", shop), sent).status_code == 302
    shop.refresh_from_db()
    assert (shop.enforces_identity, shop.protected_attributes) == (True, "plan\nemail")
    said = {"device_secret": "d" * 32, "visit_secret": "v" * 32, "settings": {"user_id": "25"}}
    assert client.post(f"/widget/{shop.app_id}/boot", said, content_type="application/json").status_code == 401
    assert not Contact.objects.exists()


def test_the_look_is_what_browsers_are_told(admin, shop, client):
    assert "#2456d6" in text_of(admin.post(address("look_preview", shop), LOOK | {"action_color": "#2456d6"}))
    assert not Messenger.objects.exists()
    assert admin.post(address("change_look", shop), LOOK).status_code == 302
    said = {"device_secret": "d" * 32, "visit_secret": "v" * 32, "settings": {}}
    told = client.post(f"/widget/{shop.app_id}/boot", said, content_type="application/json").json()["messenger"]
    assert told == {
        "alignment": "left",
        "horizontal_padding": 12,
        "vertical_padding": 8,
        "action_color": "#AA3300",
        "theme_mode": "dark",
        "hide_default_launcher": True,
    }


@pytest.mark.parametrize(
    "wrong", [{"action_color": "red}</style><script>"}, {"alignment": "up"}, {"horizontal_padding": "-1"}]
)
def test_a_look_that_cannot_be_is_refused_and_kept(admin, shop, wrong):
    answer = admin.post(address("change_look", shop), LOOK | wrong)
    assert answer.status_code == 422
    assert html.escape(next(iter(wrong.values()))) in answer.content.decode() or "alignment" in wrong
    preview = admin.post(address("look_preview", shop), LOOK | wrong).content.decode()
    assert "Not yet" in preview
    assert "<script>" not in preview
    assert not Messenger.objects.exists()


RUNNERS = {
    "Python": [sys.executable, "-c", "secret, user_id = 's3cret', 'ünï-25'\n{code}\nprint(user_hash)"],
    "Node": ["node", "-e", "const secret = 's3cret', user_id = 'ünï-25';\n{code}\nconsole.log(user_hash);"],
    "Ruby": ["ruby", "-e", "secret, user_id = 's3cret', 'ünï-25'\n{code}\nputs user_hash"],
    "PHP": ["php", "-r", "$secret = 's3cret'; $user_id = 'ünï-25';\n{code}\necho $user_hash;"],
}


MARKS = {"Node": [pytest.mark.node], "Ruby": [pytest.mark.ruby], "PHP": [pytest.mark.php]}


@pytest.mark.parametrize("language", [pytest.param(name, marks=MARKS.get(name, [])) for name in HASHES])
def test_the_code_that_we_show_makes_the_hash_that_we_want(language):
    *command, program = RUNNERS[language]
    command = [*command, program.replace("{code}", HASHES[language])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == user_hash("s3cret", "ünï-25"), done.stderr


def test_the_documents_show_the_same_code():
    told = (ROOT / "docs" / "javascript.md").read_text()
    assert all(code in told for code in HASHES.values())
