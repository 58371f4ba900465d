"""A definition in a link: the `?q=` of the people page."""

import base64
import binascii
import json

import msgspec

LONGEST = 8_000  # characters


def encode(definition: dict) -> str:
    """Return a definition as base64url of its compact JSON, without padding."""
    text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_json(text: str | bytes) -> object:
    """Return the JSON value in `text`, strictly: no half characters, no endless numbers. Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def read_definition(text: str | bytes) -> dict:
    """Return the JSON object in `text`. Raises ValueError when it is nothing that has a list of conditions."""
    data = read_json(text)
    if not isinstance(data, dict) or not isinstance(data.get("conditions"), list):
        raise ValueError("this holds no definition")
    return data


def decode(text: str) -> dict:
    """Return the definition in `?q=`, not checked any further. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError("the link is too long")
    try:
        return read_definition(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except binascii.Error as error:
        raise ValueError("the link is cut or changed") from error
