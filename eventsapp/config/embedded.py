"""The embedded size: what an installation without a database server keeps in its own folder."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def private_folder(path: Path) -> Path:
    """Return `path` as a folder that only its owner can enter, made if it is missing."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def kept_secret(path: Path) -> str:
    """Return the secret kept in the file `path` (mode 0600), making a random one the first time.

    Two processes that start together agree: the file is linked into place whole, and the first one wins.
    """
    private_folder(path.parent)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(get_random_secret_key())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
