

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('eventsapp', '0009_keep_together_what_is_of_a_type'),
        ('segments', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='segment',
            name='measured_at',
            field=models.DateTimeField(editable=False, help_text='When its counting was begun last.', null=True),
        ),
        migrations.CreateModel(
            name='SegmentSize',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('count', models.IntegerField(null=True)),
                ('everyone', models.IntegerField(null=True)),
                ('problem', models.TextField(blank=True)),
                ('segment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sizes', to='segments.segment')),
            ],
            options={
                'ordering': ['at', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='TagRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tag_name', models.CharField(max_length=255)),
                ('adds', models.BooleanField(help_text='Whether the tag is put on, not taken off.')),
                ('question', models.TextField(help_text='Who was asked for, in words.')),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('members', models.BinaryField(help_text='A roaring bitmap of contact ids.')),
                ('size', models.IntegerField()),
                ('position', models.IntegerField(default=0, help_text='How many of the members were gone through.')),
                ('changed', models.BinaryField(default=bytes, help_text='A roaring bitmap of contact ids.')),
                ('changed_size', models.IntegerField(default=0)),
                ('done_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tag', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='eventsapp.tag')),
                ('undoes', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='undone_by', to='segments.tagrun')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tag_runs', to='eventsapp.workspace')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('done_at', None)), fields=['id'], name='tag_run_waiting'), models.Index(fields=['workspace', '-id'], name='tag_run_newest')],
            },
        ),
    ]
