"""What staff can ask of the messages that people got: a kind of condition in the language of segments."""

from dataclasses import dataclass
from typing import ClassVar

from django.db.models import Count, Max, Q

from eventsapp.models import Contact, Workspace
from messaging.models import Delivery
from segments.conditions import some, spoken_times
from segments.days import Clock
from segments.reading import MOST_ID, Node

# state: (which deliveries, how it is said)
STATES = {
    "sent": (Q(state=Delivery.State.SENT), "was sent"),
    "opened": (Q(opened_at__isnull=False), "opened"),
    "clicked": (Q(clicked_at__isnull=False), "clicked in"),
    "never_sent": (Q(state=Delivery.State.SENT), "was never sent"),
}


@dataclass(frozen=True)
class GotMessage:
    """Was sent a message, opened it, clicked in it, or was never sent it."""

    kind: ClassVar[str] = "message"
    verbs: ClassVar[dict] = {f"{words} message": {"state": state} for state, (_, words) in STATES.items()}

    message: int
    name: str
    state: str

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "GotMessage":
        node.object({"kind", "message", "state"})
        id, state = node.at("message").integer(1, MOST_ID), node.at("state").choice(STATES)
        message = workspace.auto_messages.filter(pk=id).first()
        if message is None:
            raise node.at("message").wrong(f"No auto-message here has the id {id}.")
        return cls(id, message.name, state)

    @property
    def negative(self) -> bool:
        return self.state == "never_sent"

    def names(self):
        return []

    def named(self, types) -> "GotMessage":
        return self

    def contacts(self, clock: Clock, among=None):
        return some(self._deliveries(), among).values("contact_id")

    def facts(self, clock: Clock, contact: Contact) -> str:
        found = self._deliveries().filter(contact=contact).aggregate(times=Count("pk"), last=Max("created_at"))
        word = {"never_sent": "sent"}.get(self.state, self.state)
        if not found["times"]:
            return f"“{self.name}” never {word}"
        return f"“{self.name}” {word} {spoken_times(found['times'])}, {clock.spoken(int(found['last'].timestamp()))}"

    def _deliveries(self):
        return Delivery.objects.filter(STATES[self.state][0], message=self.message)

    def as_json(self) -> dict:
        return {"kind": self.kind, "message": self.message, "state": self.state}

    @staticmethod
    def choices(workspace: Workspace):
        return workspace.auto_messages.values_list("pk", "name")

    def __str__(self):
        return f"{STATES[self.state][1]} “{self.name}”"
