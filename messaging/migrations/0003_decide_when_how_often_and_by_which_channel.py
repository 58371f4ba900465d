

import django.core.serializers.json
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import messaging.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('eventsapp', '0009_keep_together_what_is_of_a_type'),
        ('messaging', '0002_note_opens_and_clicks'),
        ('segments', '0002_measure_sizes_and_tag_many_at_once'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='policy', serialize=False, to='eventsapp.workspace')),
                ('most', models.PositiveIntegerField(blank=True, help_text='Of all rules together, those for transactions left out. Empty: no limit.', null=True, verbose_name='most messages per person')),
                ('most_days', models.PositiveIntegerField(default=7, verbose_name='in so many days')),
                ('webhook_secret', models.CharField(default=messaging.models.new_secret, editable=False, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='RuleVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('rule', models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder, help_text='The fields of AutoMessage.VERSIONED.')),
                ('trigger_name', models.CharField(max_length=255)),
                ('made_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.CreateModel(
            name='Sender',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, max_length=100)),
                ('email', models.EmailField(max_length=254)),
            ],
            options={
                'ordering': ['email'],
            },
        ),
        migrations.RemoveIndex(
            model_name='automessage',
            name='auto_message_live',
        ),
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_due',
        ),
        migrations.AddField(
            model_name='automessage',
            name='allows_browser',
            field=models.BooleanField(default=False, help_text='Whether events from browsers that prove nothing make emails and webhooks go out.'),
        ),
        migrations.AddField(
            model_name='automessage',
            name='channel',
            field=models.CharField(choices=[('email', 'Email'), ('webhook', 'Webhook'), ('in_app', 'In-app message')], default='email', max_length=10),
        ),
        migrations.AddField(
            model_name='automessage',
            name='conditions',
            field=models.JSONField(blank=True, help_text='A definition, instead of a saved segment.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='delay_seconds',
            field=models.PositiveIntegerField(default=0, help_text="From the event's matching to the sending."),
        ),
        migrations.AddField(
            model_name='automessage',
            name='guard_per_hour',
            field=models.PositiveIntegerField(default=10000, help_text='Above this many in an hour it pauses itself.', validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AddField(
            model_name='automessage',
            name='hours',
            field=models.JSONField(blank=True, help_text='When it may go out: {"days": [0 to 6, Monday is 0], "from": "09:00", "to": "17:00"}.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='is_transactional',
            field=models.BooleanField(default=False, help_text='Part of what somebody ordered: it goes to those who unsubscribed, too.'),
        ),
        migrations.AddField(
            model_name='automessage',
            name='most_times',
            field=models.PositiveIntegerField(blank=True, help_text='How often one person gets it at all.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AddField(
            model_name='automessage',
            name='nth',
            field=models.PositiveIntegerField(blank=True, help_text="Only if it is somebody's nth of these events.", null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AddField(
            model_name='automessage',
            name='paused_because',
            field=models.TextField(blank=True, editable=False, help_text='If it paused itself.'),
        ),
        migrations.AddField(
            model_name='automessage',
            name='per_seconds',
            field=models.PositiveIntegerField(blank=True, help_text='In which it is sent at most once.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='starts_on',
            field=models.DateField(blank=True, help_text='The first day on which events count.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='stops_on',
            field=models.DateField(blank=True, help_text='The last one.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='unless',
            field=models.JSONField(blank=True, help_text='What cancels it meanwhile: {"event", "where": […], "same": [keys whose values are the trigger\'s]}.', null=True),
        ),
        migrations.AddField(
            model_name='automessage',
            name='url',
            field=models.URLField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name='delivery',
            name='is_let_through',
            field=models.BooleanField(default=False, editable=False, help_text='What one person may get in all had room for it.'),
        ),
        migrations.AlterField(
            model_name='automessage',
            name='body',
            field=models.TextField(blank=True, max_length=20000),
        ),
        migrations.AlterField(
            model_name='automessage',
            name='frequency',
            field=models.CharField(choices=[('once', 'Only the first time'), ('every_time', 'Every time'), ('once_per', 'At most once in some time')], default='once', max_length=20),
        ),
        migrations.AlterField(
            model_name='automessage',
            name='state',
            field=models.CharField(choices=[('draft', 'Draft'), ('live', 'Live'), ('paused', 'Paused'), ('archived', 'Archived')], default='draft', editable=False, max_length=10),
        ),
        migrations.AlterField(
            model_name='automessage',
            name='subject',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='reason',
            field=models.CharField(blank=True, choices=[('', '—'), ('too_old', 'Too old: it happened more than 24 hours before we heard of it'), ('hours', 'Waits for the hours in which it may go out'), ('not_live', 'The rule is not live any more'), ('outside_dates', "Before the rule's first day, or after its last"), ('unverified', 'From a browser that proved nothing'), ('not_in_audience', 'Not in the audience'), ('frequency', 'Already had this message'), ('cap', 'Had enough messages lately'), ('no_address', 'No email address'), ('unsubscribed', 'Unsubscribed from emails'), ('suppressed', 'Their address bounced, or they complained'), ('gone', 'No longer among the people here'), ('unless', 'They did meanwhile what the rule waits for'), ('by_staff', 'Cancelled by a colleague'), ('archived', 'The rule is archived'), ('template_error', 'The text could not be filled in'), ('refused', 'It was refused'), ('broken', 'Something broke here while sending'), ('gave_up', 'It was not taken for a day')], default='', max_length=20),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='state',
            field=models.CharField(choices=[('queued', 'Queued'), ('held', 'Held'), ('sending', 'Sending'), ('sent', 'Sent'), ('failed', 'Failed'), ('skipped', 'Skipped'), ('cancelled', 'Cancelled')], default='queued', max_length=10),
        ),
        migrations.AddField(
            model_name='ruleversion',
            name='made_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='ruleversion',
            name='message',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='messaging.automessage'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='version',
            field=models.ForeignKey(help_text='The rule that it was made from.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='deliveries', to='messaging.ruleversion'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state__in', ('queued', 'sending')), models.Q(('reason', 'hours'), ('state', 'held')), _connector='OR'), fields=['due_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'sent')), fields=['contact', 'sent_at'], name='delivery_contact_sent'),
        ),
        migrations.AddField(
            model_name='sender',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='senders', to='eventsapp.workspace'),
        ),
        migrations.AddField(
            model_name='automessage',
            name='sender',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='messaging.sender'),
        ),
        migrations.AddIndex(
            model_name='automessage',
            index=models.Index(condition=models.Q(('state__in', ('live', 'paused'))), fields=['trigger'], name='auto_message_answering'),
        ),
        migrations.AddConstraint(
            model_name='ruleversion',
            constraint=models.UniqueConstraint(fields=('message', 'number'), name='one_version_per_number'),
        ),
        migrations.AddConstraint(
            model_name='sender',
            constraint=models.UniqueConstraint(fields=('workspace', 'email'), name='one_sender_per_address', violation_error_message='This address is a sender already.'),
        ),
    ]
