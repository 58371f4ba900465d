

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('eventsapp', '0010_find_who_was_deleted_lately'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(condition=models.Q(('archived_at', None), ('deleted_at', None), ('merged_into', None), ('role__in', ('user', 'lead'))), fields=['workspace', 'created_at'], name='contact_people_new'),
        ),
    ]
