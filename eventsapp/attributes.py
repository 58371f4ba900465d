"""Custom attributes: each has a type in its workspace, that of the first value that an app wrote, and keeps it.

Browsers can say anything: the type of what only they have used is a guess, until an app writes a value.
"""

from collections.abc import Callable, Sequence

from django.db import transaction
from django.utils import timezone

from eventsapp.errors import Fault, NotFound, Refused, invalid
from eventsapp.incoming import fault_in_value
from eventsapp.metadata import FILTER_KINDS, kind_of
from eventsapp.models import Contact, DataAttribute, Workspace, key_in
from eventsapp.panels import Dependent, listed

Type = DataAttribute.Type
CUSTOM = "custom_attributes."  # before the name of one, where fields are named
DATES = "_at"  # how the name of a date ends, and of nothing else that is a whole number
NUMBERS = (Type.INTEGER, Type.FLOAT)
MOST_GUESSES = 500  # attributes of a workspace that only browsers have used
# The kinds of filters, by type.
KINDS = {
    Type.STRING: "text",
    Type.INTEGER: "number",
    Type.FLOAT: "number",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
}

# Each answers with what would miss an attribute; upper apps add theirs.
used_by: list[Callable[[DataAttribute], list[Dependent]]] = []


def fault_in_name(name: str) -> str | None:
    """Return what is wrong with the name of an attribute, as a sentence, or None."""
    if "." in name or "$" in name:
        return "A name of an attribute holds neither . nor $. Write - or _ instead."
    return fault_in_value(name, None)


def type_of(name: str, value) -> str | None:
    """Return the type of an attribute's value, None for what says nothing of it."""
    match FILTER_KINDS.get(kind_of(name, value, date_suffix=DATES)):
        case "text":
            return Type.STRING
        case "boolean":
            return Type.BOOLEAN
        case "date":
            return Type.DATE
        case "number" if isinstance(value, float) and not value.is_integer():
            return Type.FLOAT
        case "number" if not name.endswith(DATES):
            return Type.INTEGER
    return None


class Types:
    """The types of the attributes that some documents ({name: value}) name: `learn` one document after the other, then
    `write` what was learned.

    `settles` is False for what browsers send: it makes only guesses, and guesses bind it.
    """

    def __init__(self, workspace: Workspace, documents: Sequence[dict], *, settles: bool = True):
        self.workspace, self.settles = workspace, settles
        self.names = {name for document in documents for name, value in document.items() if value is not None}
        self.changed: dict[str, DataAttribute] = {}
        self._look_up()

    def _look_up(self):
        found = self.workspace.attributes.filter(name__in=self.names) if self.names else ()
        self.known = {attribute.name: attribute for attribute in found}

    def misfits(self, document: dict) -> dict[str, str]:
        """Return what of a document does not fit: {name: sentence}. Guesses bind browsers alone."""
        return {
            name: fault
            for name, value in document.items()
            if value is not None and (attribute := self._binding(name, value)) and (fault := _fault(attribute, value))
        }

    def check(self, document: dict):
        """Raises Refused for what of a document does not fit."""
        if misfits := self.misfits(document):
            raise Refused(*(invalid(f"{CUSTOM}{name}", sentence) for name, sentence in misfits.items()))

    def _binding(self, name: str, value) -> DataAttribute | None:
        attribute = self.known.get(name)
        is_free = attribute and self.settles and attribute.is_guess and type_of(name, value)
        return None if is_free else attribute

    def learn(self, document: dict):
        """Give each of its attributes that is new here the type of its value."""
        for name, value in document.items():
            if type := type_of(name, value):
                self._learn(name, type)

    def _learn(self, name: str, type: str):
        attribute = self.known.get(name)
        if attribute is None:
            given = {"data_type": type, "is_guess": not self.settles}
            self.known[name] = DataAttribute(workspace=self.workspace, name=name, **given)
        elif self.settles and attribute.is_guess:
            attribute.data_type, attribute.is_guess, self.changed[name] = type, False, attribute
        elif self.settles and (attribute.data_type, type) == (Type.INTEGER, Type.FLOAT):
            attribute.data_type, self.changed[name] = type, attribute

    def write(self):
        """Keep what was learned. Must run in the transaction that stores the documents, so that it is undone with it.
        Another writer may have been faster, with other types: `misfits` knows those from then on."""
        new = [self.known[name] for name in sorted(self.known) if self.known[name].pk is None]
        if new and not self.settles:
            guesses = self.workspace.attributes.filter(is_guess=True).count()
            new = new[: max(MOST_GUESSES - guesses, 0)]
        changed = [self.changed[name] for name in sorted(self.changed) if self.changed[name].pk]
        DataAttribute.objects.bulk_update(changed, ["data_type", "is_guess"])
        if new:
            DataAttribute.objects.bulk_create(new, ignore_conflicts=True)
            self._look_up()


def learn(workspace: Workspace, documents: Sequence[dict], *, settles: bool = True) -> list[dict[str, str]]:
    """Learn from all of these documents, and return of each what does not fit: see `Types`."""
    types = Types(workspace, documents, settles=settles)
    for document in documents:
        types.learn(document)
    types.write()
    return [types.misfits(document) for document in documents]


def check(workspace: Workspace, document: dict, *, settles: bool = True):
    """Do what `learn` does for one document. Raises Refused for what does not fit."""
    types = Types(workspace, [document], settles=settles)
    types.learn(document)
    types.write()
    types.check(document)


def misfits(workspace: Workspace, document: dict, *, settles: bool = True) -> dict[str, str]:
    """Return what of a document does not fit the types of its workspace: {name: sentence}. See `Types`."""
    return Types(workspace, [document], settles=settles).misfits(document)


def _fault(attribute: DataAttribute, value) -> str | None:
    type = type_of(attribute.name, value)
    # An integer becomes a float as soon as an app writes one.
    if type != attribute.data_type and not {type, attribute.data_type} <= {*NUMBERS}:
        label = Type(attribute.data_type).label
        return f"Write {label}: that is what {attribute.name} is in this workspace."
    if attribute.options and value not in attribute.options:
        return f"Write one of {', '.join(attribute.options)}: {attribute.name} is nothing else."
    return None


# What staff and scripts say of them ----------------------------------------------------------------------------------


def attribute_by_id(workspace: Workspace, id: str) -> DataAttribute:
    """Return the attribute with this id. Raises NotFound."""
    found = workspace.attributes.filter(pk=key_in(id)).first()
    if found is None:
        raise NotFound("Data attribute not found", "id")
    return found


def make(workspace: Workspace, name: str, data_type: str, *, description: str = "", options: list[str]):
    """Make an attribute before its first use, and return it. Raises Refused when its name is taken, or is that of a
    date and its type is none, or the other way round."""
    _check_name(name, data_type)
    attribute, made = DataAttribute.objects.get_or_create(
        workspace=workspace,
        name=name,
        defaults={"data_type": data_type, "description": description, "options": options},
    )
    if not made:
        raise Refused(invalid("name", f"There is an attribute {name} already: PUT /data_attributes/{attribute.pk}."))
    return attribute


def _check_name(name: str, data_type: str):
    if (data_type == Type.DATE) == name.endswith(DATES) or data_type in (Type.STRING, Type.BOOLEAN):
        return
    message = "The name of a date ends in _at, such as renewal_at."
    if data_type != Type.DATE:
        message = "A number under a name that ends in _at is a date. Choose date, or another name."
    raise Refused(invalid("name", message))


@transaction.atomic
def change(
    attribute: DataAttribute,
    *,
    data_type: str | None = None,
    archived: bool | None = None,
    messenger_writable: bool | None = None,
    **fields,
) -> DataAttribute:
    """Change what is not None, and return the attribute. `fields` are description and options; `messenger_writable`
    says whether browsers may change it. Raises Refused (422) when it is to be archived and something asks for it, or
    somebody has a value that is not of its new type."""
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=attribute.workspace_id)
    # As it is now: whoever learns a type waits until this is done.
    attribute = workspace.attributes.select_for_update(no_key=True).filter(pk=attribute.pk).first()
    if attribute is None:
        raise NotFound("Data attribute not found", "id")
    if data_type and data_type != attribute.data_type:
        _give_type(attribute, data_type)
    # Whoever says something of it means it as it is.
    attribute.is_guess = attribute.is_guess and not data_type and not fields.get("options")
    if archived and (users := [user for users in used_by for user in users(attribute)]):
        message = f"{attribute} is used by {listed(users)}. Change that first."
        raise Refused(Fault("data_invalid", message, "archived"), status=422)
    for name, value in fields.items():
        if value is not None:
            setattr(attribute, name, value)
    if archived is not None:
        attribute.archived_at = (attribute.archived_at or timezone.now()) if archived else None
    attribute.save()
    if messenger_writable is not None:
        _protect(workspace, attribute.name, protected=not messenger_writable)
    return attribute


def _give_type(attribute: DataAttribute, data_type: str):
    """What was given by a slip of an app can be put right, once nobody has a value of the slip any more."""
    _check_name(attribute.name, data_type)
    attribute.data_type, attribute.is_guess = data_type, False
    attribute.options = attribute.options if data_type == Type.STRING else []
    having = Contact.objects.filter(workspace=attribute.workspace_id, custom_attributes__has_key=attribute.name)
    for pk, theirs in having.order_by("pk").values_list("pk", "custom_attributes").iterator():
        if _fault(attribute, theirs[attribute.name]):
            whose = attribute.workspace.contact_id(pk)
            message = f"The contact {whose} has a value that is not {Type(data_type).label}. Change that first."
            raise Refused(Fault("data_invalid", message, "data_type"), status=422)


def _protect(workspace: Workspace, name: str, *, protected: bool):
    names = workspace.protected | {name} if protected else workspace.protected - {name}
    workspace.protected_attributes = "\n".join(sorted(names))
    workspace.save(update_fields=["protected_attributes"])
