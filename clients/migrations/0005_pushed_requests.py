"""Clients that may begin a launch only with a request they pushed (RFC 9126 §6)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clients", "0004_smart_version")]

    operations = [
        migrations.AddField(
            model_name="client",
            name="require_pushed_authorization_requests",
            field=models.BooleanField(
                default=False, help_text="It may begin a launch only with a request it pushed before (RFC 9126)"
            ),
        ),
    ]
