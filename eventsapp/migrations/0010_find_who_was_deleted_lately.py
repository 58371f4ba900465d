from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('eventsapp', '0009_keep_together_what_is_of_a_type'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='contact_deleted'),
        ),
    ]
