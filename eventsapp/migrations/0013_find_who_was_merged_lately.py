from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('eventsapp', '0012_know_the_users_of_browsers'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(condition=models.Q(('merged_into__isnull', False)), fields=['updated_at'], name='contact_merged'),
        ),
    ]
