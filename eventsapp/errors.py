"""What can be wrong with a request, in the words of the API's `error.list`."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One entry of an `error.list`: a code that every SDK knows, a sentence that tells what to write, the field."""

    code: str
    message: str
    field: str | None = None

    def as_json(self) -> dict:
        return {"code": self.code, "message": self.message} | ({"field": self.field} if self.field else {})


def missing(field: str, message: str) -> Fault:
    return Fault("parameter_not_found", message, field)


def shared(email: str, number: int) -> Fault:
    """Why nobody is found by an email that `number` people have."""
    return Fault("conflict", f"{number} people share the email {email}. Name the one you mean by user_id.", "email")


def invalid(field: str, message: str) -> Fault:
    return Fault("parameter_invalid", message, field)


def faults_in(detail, path: str = "") -> Iterator[Fault]:
    """Yield the faults of a serializer's errors, however deep, with the dotted path of their field."""
    if isinstance(detail, dict):
        for field, inner in detail.items():
            yield from faults_in(inner, path if field == "non_field_errors" else f"{path}.{field}" if path else field)
    elif isinstance(detail, list):
        for inner in detail:
            yield from faults_in(inner, path)
    else:
        code = "parameter_not_found" if detail.code in ("required", "null") else "parameter_invalid"
        yield Fault(code, str(detail), path or None)


class Refused(Exception):
    """The request cannot be answered as it is. Carries the HTTP status and every fault found."""

    def __init__(self, *faults: Fault, status: int = 400):
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults
        self.status = status


class NotFound(Refused):
    """Nobody and nothing here has that id."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(Fault("not_found", message, field), status=404)


class Merged(Refused):
    """Whoever had that id was merged into another contact: `heir` is that one's id in the API."""

    def __init__(self, heir: str):
        super().__init__(Fault("contact_merged", f"This contact was merged into {heir}.", "id"), status=410)
        self.heir = heir
