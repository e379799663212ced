"""Codes and refresh tokens that are bound to a key, and the proofs that were used (RFC 9449)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("smartauth", "0006_pushed_requests"), ("clients", "0006_key_bound_tokens")]

    operations = [
        migrations.AddField(
            model_name="pendingauthorization",
            name="dpop_jkt",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Thumbprint of the only key that may exchange the code",
                max_length=43,
            ),
        ),
        migrations.AddField(
            model_name="authorizationcode",
            name="dpop_jkt",
            field=models.CharField(
                blank=True, default="", help_text="Thumbprint of the only key that may exchange it", max_length=43
            ),
        ),
        migrations.AddField(
            model_name="refreshtoken",
            name="dpop_jkt",
            field=models.CharField(
                blank=True, default="", help_text="Thumbprint of the only key that may use it", max_length=43
            ),
        ),
        migrations.CreateModel(
            name="ProofId",
            fields=[
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the key's thumbprint and the jti",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("expires_at", models.DateTimeField(help_text="From then on the proof is too old to be accepted")),
            ],
            options={"indexes": [models.Index(fields=["expires_at"], name="proof_id_expiry")]},
        ),
    ]
