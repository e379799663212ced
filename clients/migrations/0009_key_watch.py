"""What the watch over key sets remembers: which keys are in use, what it saw last, and what it found."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("clients", "0008_initial_access_tokens"),
    ]

    operations = [
        migrations.AddField(
            model_name="keyset",
            name="certificate_ends_at",
            field=models.DateTimeField(help_text="Of the host, as of the last good fetch", null=True),
        ),
        migrations.AddField(
            model_name="keyset",
            name="watched_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="keyset",
            name="watched_kids",
            field=models.JSONField(null=True),
        ),
        migrations.CreateModel(
            name="KeyFinding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("unreachable", "Unreachable"),
                            ("unreadable", "Unreadable"),
                            ("private-key", "Private Key"),
                            ("empty", "Empty"),
                            ("kid-clash", "Kid Clash"),
                            ("unfit-key", "Unfit Key"),
                            ("key-in-use-vanished", "Vanished"),
                            ("rotation-without-overlap", "No Overlap"),
                            ("certificate-ends", "Certificate"),
                        ],
                        max_length=32,
                    ),
                ),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
                ("details", models.JSONField(default=dict, help_text="Rules, kids and numbers; never a key")),
                (
                    "client",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="key_findings",
                        to=settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at__isnull", True)),
                        fields=("client", "kind"),
                        name="key_finding_open_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("last_seen_at__gte", models.F("first_seen_at")),
                            models.Q(
                                ("resolved_at__isnull", True),
                                ("resolved_at__gte", models.F("last_seen_at")),
                                _connector="OR",
                            ),
                        ),
                        name="key_finding_times_in_order",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="KeyUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kid", models.CharField(max_length=255)),
                ("used_at", models.DateTimeField()),
                (
                    "client",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to=settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["used_at"], name="key_use_age")],
                "constraints": [models.UniqueConstraint(fields=("client", "kid", "used_at"), name="key_use_once")],
            },
        ),
    ]
