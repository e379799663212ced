"""Authorization requests that an app pushed wait under the digest of their request_uri (RFC 9126)."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("smartauth", "0005_refused_authorization")]

    operations = [
        migrations.AddField(
            model_name="pendingauthorization",
            name="request_uri",
            field=models.CharField(
                blank=True,
                default="",
                help_text="SHA-256 of the request_uri it was pushed as (RFC 9126)",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="pendingauthorization",
            name="opened_at",
            field=models.DateTimeField(blank=True, help_text="When a browser came with that request_uri", null=True),
        ),
        migrations.AddConstraint(
            model_name="pendingauthorization",
            constraint=models.UniqueConstraint(
                condition=models.Q(("request_uri", ""), _negated=True),
                fields=("request_uri",),
                name="pending_authorization_pushed_once",
            ),
        ),
    ]
