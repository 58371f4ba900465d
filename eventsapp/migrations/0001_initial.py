

import django.db.models.deletion
import django.utils.timezone
import eventsapp.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='EventType',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('watched', models.BooleanField(default=False, help_text='A live rule waits for it, so ingest hands its events over.')),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('name', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Workspace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('app_id', models.CharField(default=eventsapp.models.new_app_id, editable=False, max_length=20, unique=True)),
                ('key', models.CharField(default=eventsapp.models.new_workspace_key, editable=False, max_length=8, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('time_zone', models.CharField(default='UTC', max_length=64, validators=[eventsapp.models.check_time_zone])),
                ('unknown_people', models.CharField(choices=[('create', 'Create them'), ('reject', 'Refuse the event (404)')], default='create', help_text='What happens to an event for a user_id or email that nobody here has.', max_length=10, verbose_name="people we don't know yet")),
                ('rate_limit', models.PositiveIntegerField(default=100000, help_text='Requests that each token may send in ten seconds; more are answered with 429.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Contact',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('user', 'User'), ('lead', 'Lead'), ('visitor', 'Visitor')], default='user', max_length=10)),
                ('external_id', models.CharField(blank=True, max_length=255, null=True, verbose_name='user_id')),
                ('email', models.CharField(blank=True, max_length=255, null=True)),
                ('name', models.CharField(blank=True, max_length=255, null=True)),
                ('phone', models.CharField(blank=True, max_length=64, null=True)),
                ('custom_attributes', models.JSONField(blank=True, default=dict, encoder=eventsapp.models.Utf8Json)),
                ('created_at', models.BigIntegerField(default=eventsapp.models.now_in_seconds, editable=False)),
                ('updated_at', models.BigIntegerField(default=eventsapp.models.now_in_seconds, editable=False)),
                ('signed_up_at', models.BigIntegerField(blank=True, null=True)),
                ('last_seen_at', models.BigIntegerField(blank=True, null=True)),
                ('unsubscribed_from_emails', models.BooleanField(default=False)),
                ('archived_at', models.BigIntegerField(editable=False, null=True)),
                ('deleted_at', models.BigIntegerField(editable=False, null=True)),
                ('external_id_folded', models.CharField(editable=False, max_length=765, null=True)),
                ('email_folded', models.CharField(editable=False, max_length=765, null=True)),
                ('name_folded', models.CharField(editable=False, max_length=765, null=True)),
                ('terms', models.JSONField(editable=False, encoder=eventsapp.models.Utf8Json, null=True)),
                ('merged_into', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='merged', to='eventsapp.contact')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='contacts', to='eventsapp.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='EventSummary',
            fields=[
                ('pk', models.CompositePrimaryKey('type_id', 'contact_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('count', models.IntegerField(default=0)),
                ('first_at', models.BigIntegerField(null=True)),
                ('last_at', models.BigIntegerField(null=True)),
                ('imported_count', models.IntegerField(default=0)),
                ('imported_first_at', models.BigIntegerField(null=True)),
                ('imported_last_at', models.BigIntegerField(null=True)),
                ('contact', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='summaries', to='eventsapp.contact')),
                ('type', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='summaries', to='eventsapp.eventtype')),
            ],
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('editor', 'Editor'), ('admin', 'Admin')], default='editor', max_length=10)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('invited_by', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='eventsapp.workspace')),
            ],
        ),
        migrations.AddField(
            model_name='eventtype',
            name='workspace',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='event_types', to='eventsapp.workspace'),
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('scope', models.CharField(choices=[('write', 'Write events and people, read'), ('events:write', 'Write events'), ('people:write', 'Write people'), ('read', 'Read, segment previews too'), ('admin', 'Everything')], default='write', max_length=20)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('hint', models.CharField(editable=False, help_text='How the secret begins, to tell tokens apart.', max_length=8)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='eventsapp.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('created_at', models.BigIntegerField(help_text='When it happened: Unix seconds.')),
                ('fingerprint', models.BigIntegerField(help_text='Tells apart what one person did twice in one second.')),
                ('received_at', models.DateTimeField(help_text="When we stored it, by the database's clock.")),
                ('source', models.CharField(choices=[('api', 'API'), ('browser-verified', 'Browser, verified'), ('browser', 'Browser'), ('import', 'Import')], default='api', max_length=16)),
                ('metadata', models.JSONField(default=dict, encoder=eventsapp.models.Utf8Json)),
                ('terms', models.JSONField(encoder=eventsapp.models.Utf8Json, null=True)),
                ('uuid', models.UUIDField(help_text="Its sender's own id; without one it is computed.", null=True)),
                ('pk', models.CompositePrimaryKey('contact_id', 'created_at', 'type_id', 'fingerprint', blank=True, editable=False, primary_key=True, serialize=False)),
                ('contact', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='eventsapp.contact')),
                ('type', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='eventsapp.eventtype')),
            ],
            options={
                'indexes': [models.Index(fields=['type', 'created_at', 'contact'], name='event_type_recent'), models.Index(fields=['type', 'received_at'], name='event_type_received')],
            },
        ),
        migrations.CreateModel(
            name='HandOver',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.BigIntegerField(help_text='When it happened: Unix seconds.')),
                ('fingerprint', models.BigIntegerField(help_text='Tells apart what one person did twice in one second.')),
                ('received_at', models.DateTimeField(help_text="When we stored it, by the database's clock.")),
                ('source', models.CharField(choices=[('api', 'API'), ('browser-verified', 'Browser, verified'), ('browser', 'Browser'), ('import', 'Import')], default='api', max_length=16)),
                ('metadata', models.JSONField(default=dict, encoder=eventsapp.models.Utf8Json)),
                ('terms', models.JSONField(encoder=eventsapp.models.Utf8Json, null=True)),
                ('uuid', models.UUIDField(help_text="Its sender's own id; without one it is computed.", null=True)),
                ('occurrence', models.IntegerField(help_text="The person's count of this event right after it.")),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('attempts', models.IntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('parked_at', models.DateTimeField(help_text='Given up after several attempts; staff see it.', null=True)),
                ('contact', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='eventsapp.contact')),
                ('type', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='eventsapp.eventtype')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('parked_at', None)), fields=['due_at'], name='hand_over_due')],
                'constraints': [models.UniqueConstraint(fields=('contact', 'created_at', 'type', 'fingerprint'), name='one_hand_over_per_event')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('editor', 'Editor'), ('admin', 'Admin')], default='editor', max_length=10)),
                ('last_used_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='eventsapp.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'workspace'), name='one_membership_per_user_and_workspace')],
            },
        ),
        migrations.AddConstraint(
            model_name='eventtype',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='one_event_type_per_name'),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['workspace', 'email_folded'], name='contact_email_begins', opclasses=['int8_ops', 'varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['workspace', 'name_folded'], name='contact_name_begins', opclasses=['int8_ops', 'varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['workspace', 'external_id_folded'], name='contact_external_id_begins', opclasses=['int8_ops', 'varchar_pattern_ops']),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.UniqueConstraint(fields=('workspace', 'external_id'), name='one_contact_per_external_id'),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.UniqueConstraint(condition=models.Q(('external_id', None), ('role', 'user')), fields=('workspace', 'email_folded'), name='one_user_per_email_without_external_id'),
        ),
    ]
