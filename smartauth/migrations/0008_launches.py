"""A launch that an EHR begins is a row, and an authorization request knows the one it goes on with."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("clients", "0006_key_bound_tokens"),
        ("smartauth", "0007_key_bound_tokens"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency(settings.OAUTH2_PROVIDER_APPLICATION_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Launch",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("handle", models.CharField(help_text="SHA-256 of the launch parameter", max_length=64, unique=True)),
                ("begun_by", models.CharField(help_text="client_id of the EHR", max_length=255)),
                ("context", models.JSONField(default=dict, help_text="patient, encounter, fhirContext, …")),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "client",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.OAUTH2_PROVIDER_APPLICATION_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="clients.tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="pendingauthorization",
            name="launch",
            field=models.ForeignKey(
                blank=True,
                help_text="What the EHR began that this request goes on with",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="smartauth.launch",
            ),
        ),
        migrations.AddIndex(
            model_name="launch",
            index=models.Index(fields=["expires_at"], name="launch_expiry"),
        ),
        migrations.AddConstraint(
            model_name="launch",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("created_at"))), name="launch_expires_after_it_began"
            ),
        ),
    ]
