"""Whether a text names somebody: as a link, a form or JSON may write it, whatever its case."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

# Begins with a plain character, for speed, as does `_whole`.
QUOTED = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")


class Names:
    """Names of somebody, to be looked for in very many texts, of which hardly any holds one.

    A short look at many texts at once leaves out most of them; the others are looked at closely.
    """

    def __init__(self, names: Iterable[str]):
        spelled = {way for name in names for way in (name, _in_json(name, ascii=True), _in_json(name, ascii=False))}
        self._ways = [(_fold(way), _whole(way)) for way in sorted(spelled)]

    def are_in(self, text: str) -> bool:
        """Whether one of them stands in a text, as it is or unquoted."""
        for read in _readings(text):
            folded = _fold(read)
            if any(name in folded and whole.search(read) for name, whole in self._ways):
                return True
        return False

    def may_be_in(self, text: str) -> bool:
        """Whether one of them may stand in a text, or in one of some that are joined by line ends; if not, none does,
        and that is quickly known."""
        # Neither unquoting nor folding looks beyond the end of a line.
        return any(name in folded for folded in map(_fold, _readings(text)) for name, _ in self._ways)


def _in_json(name: str, *, ascii: bool) -> str:
    return json.dumps(name, ensure_ascii=ascii)[1:-1]


def _whole(name: str) -> re.Pattern:
    """The user_id 7 is not named by 17."""
    # What comes before is looked at last: a pattern that begins with plain characters is found much faster.
    text = re.escape(name)
    return re.compile(rf"{text}(?!\w)(?<!\w{text})", re.IGNORECASE)


def _readings(text: str) -> Iterator[str]:
    yield text
    if "%" in text or "+" in text:
        # As unquote_plus does it, which takes several times as long where there is much to unquote.
        yield QUOTED.sub(_unquoted, text.replace("+", " "))


def _unquoted(quoted: re.Match) -> str:
    return _unquote(quoted[0])


_unquote = lru_cache(maxsize=1024)(unquote)


def _fold(text: str) -> str:
    """Return a text in which all is alike that IGNORECASE takes for alike, and maybe more. Each character becomes what
    it becomes alone, so that a part of a text becomes a part of what the whole becomes."""
    # Of İ casefold() leaves a dot above the i, and of ı nothing like it.
    return text.casefold().replace("\u0307", "").replace("ı", "i")
