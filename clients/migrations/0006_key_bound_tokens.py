"""Clients whose tokens are bound to a key (RFC 9449 §5.2)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clients", "0005_pushed_requests")]

    operations = [
        migrations.AddField(
            model_name="client",
            name="dpop_bound_access_tokens",
            field=models.BooleanField(
                default=False,
                help_text="Its tokens are good only with a proof by the key they were issued to (RFC 9449)",
            ),
        ),
        migrations.AddField(
            model_name="client",
            name="require_dpop_nonce",
            field=models.BooleanField(default=False, help_text="Its proofs must carry a nonce of ours"),
        ),
    ]
