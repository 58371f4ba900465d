"""Text as it is compared: the same on every database, because it is folded here and stored."""

import unicodedata


def fold(text: str) -> str:
    """Return `text` as comparisons see it: Unicode NFC, then lower case by Python's rules.

    SQLite lowers ASCII alone and PostgreSQL by its locale, so neither is asked.
    """
    return unicodedata.normalize("NFC", text).lower()


def holds(text: str, words: str) -> bool:
    """Whether `words` stand somewhere in `text`, in whatever case."""
    return fold(words) in fold(text)
