"""Mail kept as files, for an installation that has no mail server yet."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from eventsapp.config.embedded import private_folder
from eventsapp.models import Contact


def forget(mail_ids: Iterable[str], people: Iterable[Contact]):
    """Delete the mails with these Message-IDs that were kept as files, here or where mail goes to a server by now, and
    the trials of texts that were filled in with one of these people."""
    folder = Path(settings.EMAIL_OUTBOX)
    for mail_id in mail_ids:
        (folder / f"{_name(mail_id)}.eml").unlink(missing_ok=True)
    trials = tuple(trial_of(contact) for contact in people)
    for file in folder.glob("trial-*.eml"):
        if file.name.startswith(trials):
            file.unlink(missing_ok=True)


def trial_of(contact: Contact) -> str:
    """Return how the Message-ID of a trial begins that tells of this person; a made-up one has no id."""
    return f"trial-{contact.public_id}-" if contact.pk else "trial-"


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
