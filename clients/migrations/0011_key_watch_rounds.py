"""When the watch over key sets went its last round, and since when it knows each key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("clients", "0010_life_cycle"),
    ]

    operations = [
        migrations.AddField(
            model_name="keyset",
            name="first_seen",
            field=models.JSONField(db_default={}, default=dict, help_text="kid to when the watch first saw it"),
        ),
        migrations.CreateModel(
            name="KeyWatchRound",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("key_sets", models.PositiveIntegerField()),
                ("fetched", models.PositiveIntegerField()),
                (
                    "failed",
                    models.PositiveIntegerField(
                        default=0, help_text="Key sets that could not be judged, by a fault of ours"
                    ),
                ),
                ("new_findings", models.PositiveIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="key_watch_round_is_the_last")
                ],
            },
        ),
    ]
