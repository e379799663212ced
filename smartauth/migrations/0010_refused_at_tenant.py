"""A refused authorization request keeps where it was for, so that its page can look like that hospital's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("smartauth", "0009_people"),
    ]

    operations = [
        migrations.AddField(
            model_name="refusedauthorization",
            name="tenant",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Slug of the tenant it was for, where that was known",
                max_length=32,
            ),
        ),
    ]
