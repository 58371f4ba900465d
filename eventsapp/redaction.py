"""What of a sent text may be shown to staff: everything but its secrets.

Works on the text as it came, not on what it says: half a body, or one that is no JSON, hides its secrets too.
"""

import json
import re

HIDDEN = "[hidden]"

SECRET_KEY = re.compile(
    r"pass(word|wd|phrase|code)|token|secret|authori[sz]ation|credential|jwt|cookie"
    r"|(api|private|access|signing)[_\-. ]?key|user[_\-. ]?hash"
    r"|(^|[^a-z])(credit|debit)?card|(^|[^a-z])(auth|pwd|pin|cvc|cvv|iban|ssn)($|[^a-z])",
    re.IGNORECASE,
)
# One of our own tokens, a JWT or what stands in an Authorization header, under whatever key.
SECRET_VALUE = re.compile(r"\bev_[\w-]{16,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*|\bBearer\s+[\w.~+/=-]{16,}", re.IGNORECASE)
IN_LINK = re.compile(r"""([?&]([^=&?\s"']+)=)[^&\s"'<>]+""")
# A text in quotes, perhaps cut; a mark; a word.
PIECE = re.compile(r""""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[{}\[\]:,=&\n]|[^\s{}\[\]:,=&"']+""", re.DOTALL)
BARE_VALUE = re.compile(r"[^,&}\]\n]*")


def without_secrets(text: str) -> str:
    """Return `text` (JSON, a form, or what was meant to be one) with the values of secret keys hidden.

    A key is secret by its name: password, token, api_key, user_hash, card_number and the like.
    """
    if SECRET_KEY.search(text) or "\\u" in text:
        shown, place = [], 0
        for start, end in _secrets(text):
            shown += text[place:start], HIDDEN
            place = end
        text = IN_LINK.sub(_in_link, "".join(shown) + text[place:])
    return SECRET_VALUE.sub(HIDDEN, text)


def _in_link(parameter: re.Match) -> str:
    return parameter[1] + HIDDEN if SECRET_KEY.search(parameter[2]) else parameter[0]


def _secrets(text: str):
    """Yield (start, end) of each value under a secret key."""
    key, place = None, 0
    while piece := PIECE.search(text, place):
        place = piece.end()
        if piece[0] in (":", "="):
            if key and SECRET_KEY.search(key):
                start, place = _value(text, place)
                yield start, place
            key = None
        else:
            key = _name(piece[0])


def _name(piece: str) -> str:
    try:
        return str(json.loads(piece)) if "\\" in piece else piece.strip("\"'")
    except ValueError:
        return piece


def _value(text: str, place: int) -> tuple[int, int]:
    """Return where the value that begins after `place` starts and ends; one that is cut ends with the text."""
    while place < len(text) and text[place] in " \t\r\n>":
        place += 1
    first = PIECE.match(text, place)
    if not first or first[0][0] not in "\"'{[":
        return place, BARE_VALUE.match(text, place).end()
    depth, end = 0, place
    while piece := PIECE.search(text, end):
        end = piece.end()
        depth += (piece[0] in "{[") - (piece[0] in "}]")
        if depth == 0:
            return place, end
    return place, len(text)
