

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0005_keep_addresses_that_bounced'),
    ]

    operations = [
        migrations.CreateModel(
            name='Pace',
            fields=[
                ('channel', models.CharField(max_length=10, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('left', models.FloatField()),
            ],
        ),
    ]
