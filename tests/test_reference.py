"""The reference page: the same document for people, and commands that work as they stand."""

import re
import shlex
from html import unescape

import pytest
from django.urls import reverse

from eventsapp.openapi import document

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client):
    response = client.get("/docs/api/")
    assert response.status_code == 200
    return response.content.decode()


def operations():
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def names_somebody(one: tuple) -> bool:
    method, path, _ = one
    return (
        "{" in path
        or method == "delete"
        or path in ("/contacts/merge", "/contacts/convert", "/visitors", "/visitors/convert")
    )


def article(page: str, id: str) -> str:
    return re.search(rf'<article[^>]* id="{id}".*?</article>', page, re.DOTALL)[0]


def test_every_operation_is_shown_with_its_parameters_body_and_answers(page):
    for method, path, operation in operations():
        shown = article(page, operation["operationId"])
        assert f'<span class="pill">{method.upper()}</span> <code>{path}</code>' in shown
        assert operation["summary"] in unescape(shown)
        for parameter in operation.get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in shown
        for body in operation.get("requestBody", {}).get("content", {}).values():
            if "$ref" in body["schema"]:
                name = body["schema"]["$ref"].rpartition("/")[2]
                for field in document()["components"]["schemas"][name].get("properties", {}):
                    assert f"<code>{field}</code>" in shown
        for status in operation["responses"]:
            assert f">{status}</" in shown


def test_every_link_within_the_page_leads_to_its_place(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert len(links) >= 40
    assert links - set(ids) == set()


def test_every_command_works_as_it_stands(page, client, api_with):
    api = api_with("admin")
    api.post("/contacts", {"external_id": "314159", "email": "known@example.org"})
    # Before anything is made, which might have the id of an example.
    for method, path, operation in sorted(operations(), key=names_somebody, reverse=True):
        shown = re.search(rf'<code id="{operation["operationId"]}-curl">(.*?)</code>', page, re.DOTALL)[1]
        words = shlex.split(unescape(shown))
        assert words[:3] == ["curl", "-i", "-X"]
        headers = dict(
            re.split(": ?", words[place + 1], maxsplit=1) for place, word in enumerate(words) if word == "-H"
        )
        if "Authorization" in headers:
            headers["Authorization"] = headers["Authorization"].replace("<your token>", api.token)
        body = words[words.index("-d") + 1] if "-d" in words else ""
        response = client.generic(words[3], re.sub(r"^https?://[^/]+", "", words[4]), body, headers=headers)
        if (method, path) == ("post", "/contacts"):
            assert response.status_code == 409, "the person is there already"
        elif names_somebody((method, path, operation)):
            assert response.status_code == 404, "an example is nobody's id"
        else:
            assert response.status_code in (200, 202), response.content


def test_it_is_public_strict_and_linked_from_the_settings(page, client, viewer, shop):
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page)
    assert not re.search(r'(src|href)="https?://', page)
    assert shop.name not in page
    assert 'href="/docs/api/"' in viewer.get(reverse("settings", args=[shop.app_id])).content.decode()
    assert "There is nothing here" in client.get("/docs/nothing/").content.decode()
