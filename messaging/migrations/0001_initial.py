

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('eventsapp', '0001_initial'),
        ('segments', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AutoMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('live', 'Live'), ('paused', 'Paused')], default='draft', editable=False, max_length=10)),
                ('where', models.JSONField(blank=True, default=list, help_text='Conditions on the metadata of that very event.')),
                ('frequency', models.CharField(choices=[('once', 'Only the first time'), ('every_time', 'Every time')], default='once', max_length=20)),
                ('subject', models.CharField(max_length=255)),
                ('body', models.TextField(max_length=20000)),
                ('live_since', models.DateTimeField(editable=False, help_text="Events received from then on count, by the database's clock.", null=True)),
                ('caught_up', models.BooleanField(default=True, editable=False, help_text='Events stored while it was going live were looked for.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('audience', models.ForeignKey(blank=True, help_text='Empty: everyone.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='auto_messages', to='segments.segment')),
                ('trigger', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='auto_messages', to='eventsapp.eventtype')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='auto_messages', to='eventsapp.workspace')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('event_id', models.UUIDField(help_text='The id of the event in the API.')),
                ('event', models.JSONField(help_text='What the text may use of it: event_name, created_at (Unix seconds), metadata.')),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('held', 'Held'), ('sending', 'Sending'), ('sent', 'Sent'), ('failed', 'Failed'), ('skipped', 'Skipped')], default='queued', max_length=10)),
                ('reason', models.CharField(blank=True, choices=[('', '—'), ('too_old', 'Too old: it happened more than 24 hours before we heard of it'), ('not_in_audience', 'Not in the audience'), ('frequency', 'Already had this message'), ('no_address', 'No email address'), ('unsubscribed', 'Unsubscribed from emails'), ('gone', 'No longer among the people here'), ('not_live', 'The rule is not live any more'), ('template_error', 'The text could not be filled in'), ('refused', 'The mail server refused it'), ('broken', 'Something broke here while sending'), ('gave_up', 'The mail server did not take it for a day')], default='', max_length=20)),
                ('detail', models.TextField(blank=True, help_text='The error in its own words.')),
                ('attempts', models.IntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Not before: every wait of a delivery is this.')),
                ('queued_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Since when it has been tried.')),
                ('claim', models.UUIDField(editable=False, help_text='Whose it is while it is being sent.', null=True)),
                ('subject', models.TextField(blank=True, help_text='As sent.')),
                ('body', models.TextField(blank=True, help_text='As sent: HTML.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('contact', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='eventsapp.contact')),
                ('message', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='messaging.automessage')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
            },
        ),
        migrations.CreateModel(
            name='Recipient',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('contact', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='eventsapp.contact')),
                ('message', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='messaging.automessage')),
            ],
        ),
        migrations.AddIndex(
            model_name='automessage',
            index=models.Index(condition=models.Q(('state', 'live')), fields=['trigger'], name='auto_message_live'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state__in', ('queued', 'sending'))), fields=['due_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['message', 'contact'], name='delivery_message_contact'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['message', '-id'], name='delivery_message_newest'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('message', 'contact', 'event_id'), name='one_delivery_per_message_and_event'),
        ),
        migrations.AddConstraint(
            model_name='recipient',
            constraint=models.UniqueConstraint(fields=('message', 'contact'), name='one_lock_per_message_and_contact'),
        ),
    ]
