import json

from django.core.serializers.json import DjangoJSONEncoder
from django.db import migrations

VERSIONED = (
    "channel", "where", "nth", "audience_id", "conditions", "frequency", "per_seconds", "most_times",
    "delay_seconds", "unless", "starts_on", "stops_on", "hours", "is_transactional", "allows_browser",
    "sender_id", "subject", "body", "url",
)


def number_what_is_live(apps, schema_editor):
    rules = apps.get_model("messaging", "AutoMessage").objects.exclude(state="draft").select_related("trigger")
    version = apps.get_model("messaging", "RuleVersion")
    for rule in rules:
        kept = json.loads(json.dumps({name: getattr(rule, name) for name in VERSIONED}, cls=DjangoJSONEncoder))
        version.objects.create(message=rule, number=1, rule=kept, trigger_name=rule.trigger.name)


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0003_decide_when_how_often_and_by_which_channel"),
    ]

    operations = [
        migrations.RunPython(number_what_is_live, migrations.RunPython.noop),
    ]
