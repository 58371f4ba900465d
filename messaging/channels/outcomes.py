"""How a handing over may fail."""


class TryAgainLater(Exception):
    """The far end did not take the message this time. Says so in its words."""


class RefusedForGood(Exception):
    """The far end will never take this message. Says so in its words."""


def words(said: bytes | str, most: int = 500) -> str:
    """What a far end said, as one short line that any database keeps."""
    said = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())[:most]
