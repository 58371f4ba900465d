"""Mail kept as files, for an installation that has no mail server yet."""

from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from eventsapp.config.embedded import private_folder


class OutboxBackend(BaseEmailBackend):
    """Writes each mail to the folder `settings.EMAIL_OUTBOX` as one .eml file, named after its Message-ID."""

    def send_messages(self, email_messages):
        folder = private_folder(Path(settings.EMAIL_OUTBOX))
        for mail in email_messages:
            name = mail.extra_headers.get("Message-ID", str(uuid4())).strip("<>").partition("@")[0]
            draft = folder / f".{name}.part"
            draft.write_bytes(mail.message().as_bytes())
            draft.rename(folder / f"{name}.eml")
        return len(email_messages)
