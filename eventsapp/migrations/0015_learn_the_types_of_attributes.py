from collections import Counter

from django.db import migrations

DATES, AT_ONCE = range(-62_135_510_400, 10**11), 2_000


def type_of(name, value):
    match value:
        case bool():
            return "boolean"
        case int() if name.endswith("_at"):
            return "date" if value in DATES else None
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "float"
        case str():
            return "string"


def learn(apps, schema_editor):
    """What most values are is a guess: the next value that an app writes settles it."""
    Contact, DataAttribute = apps.get_model("eventsapp", "Contact"), apps.get_model("eventsapp", "DataAttribute")
    seen = {}
    written = Contact.objects.exclude(custom_attributes={}).values_list("workspace_id", "custom_attributes")
    for workspace, attributes in written.iterator(chunk_size=AT_ONCE):
        for name, value in attributes.items():
            if type := type_of(name, value):
                seen.setdefault((workspace, name), Counter())[type] += 1
    DataAttribute.objects.bulk_create(
        (
            DataAttribute(workspace_id=workspace, name=name, data_type=types.most_common(1)[0][0], is_guess=True)
            for (workspace, name), types in sorted(seen.items())
        ),
        batch_size=AT_ONCE,
    )


class Migration(migrations.Migration):
    dependencies = [("eventsapp", "0014_give_attributes_a_type")]
    operations = [migrations.RunPython(learn, migrations.RunPython.noop)]
