"""What can be wrong with a request, in the words of the API's `error.list`."""

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


def invalid(field: str, message: str) -> Fault:
    return Fault("parameter_invalid", message, field)


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
        super().__init__(Fault("not_found", f"This contact was merged into {heir}.", "id"), status=410)
        self.heir = heir
