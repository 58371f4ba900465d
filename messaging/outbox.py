"""Mail kept as files, for an installation that has no mail server yet."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from eventsapp.config.embedded import private_folder


def forget(mail_ids: Iterable[str]):
    """Delete the mails with these Message-IDs that were kept as files, here or where mail goes to a server by now."""
    folder = Path(settings.EMAIL_OUTBOX)
    for mail_id in mail_ids:
        (folder / f"{_name(mail_id)}.eml").unlink(missing_ok=True)


def _name(mail_id: str) -> str:
    return mail_id.strip("<>").partition("@")[0]


class OutboxBackend(BaseEmailBackend):
    """Writes each mail to the folder `settings.EMAIL_OUTBOX` as one .eml file, named after its Message-ID."""

    def send_messages(self, email_messages):
        folder = private_folder(Path(settings.EMAIL_OUTBOX))
        for mail in email_messages:
            name = _name(mail.extra_headers.get("Message-ID", str(uuid4())))
            draft = folder / f".{name}.part"
            draft.write_bytes(mail.message().as_bytes())
            draft.rename(folder / f"{name}.eml")
        return len(email_messages)
