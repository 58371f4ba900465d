"""How a handing over may fail."""


class TryAgainLater(Exception):
    """The far end did not take the message this time. Says so in its words."""


class RefusedForGood(Exception):
    """The far end will never take this message. Says so in its words."""
