"""Initial access tokens, with which clients register themselves (RFC 7591 §3)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clients", "0007_brands")]

    operations = [
        migrations.CreateModel(
            name="InitialAccessToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("token_digest", models.CharField(editable=False, help_text="SHA-256 of the token", max_length=64)),
                ("label", models.CharField(blank=True, default="", help_text="For whom it is", max_length=255)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Empty: never", null=True)),
                (
                    "uses_left",
                    models.PositiveIntegerField(blank=True, help_text="Empty: without a limit", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenants",
                    models.ManyToManyField(
                        blank=True, help_text="Where its clients are active or wait for it", to="clients.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("token_digest",), name="initial_access_token_once"),
                ],
            },
        ),
    ]
