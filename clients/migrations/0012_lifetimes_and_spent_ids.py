"""Token lifetimes of single clients, what a change began from, and ids that were used once and never are again."""

from django.db import migrations, models
from django.db.models.functions import Now

# Whoever deletes a client, in the administration or by hand, spends its id.
SPEND = """
CREATE FUNCTION clients_spend_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO clients_spentclientid (client_id) VALUES (OLD.client_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER client_id_spent AFTER DELETE ON clients_client
    FOR EACH ROW EXECUTE FUNCTION clients_spend_id();
"""
UNDO = """
DROP TRIGGER client_id_spent ON clients_client;
DROP FUNCTION clients_spend_id();
"""


class Migration(migrations.Migration):
    dependencies = [("clients", "0011_key_watch_rounds")]

    operations = [
        migrations.AddField(
            model_name="client",
            name="access_token_lifetime",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Seconds, from 60 to 3600; to 300 for a backend service. Empty: as for everybody",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="client",
            name="refresh_token_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Days without use, from 1 to 365, after which a refresh token ends. Empty: as for everybody",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="client",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("access_token_lifetime__isnull", True),
                        ("access_token_lifetime__range", (60, 3600)),
                        _connector="OR",
                    ),
                    models.Q(
                        ("refresh_token_days__isnull", True), ("refresh_token_days__range", (1, 365)), _connector="OR"
                    ),
                ),
                name="client_lifetimes_in_bounds",
            ),
        ),
        migrations.AddField(
            model_name="draft",
            name="before",
            field=models.JSONField(default=dict),
        ),
        migrations.CreateModel(
            name="SpentClientId",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_id", models.CharField(max_length=255)),
                ("deleted_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=["client_id"], name="client_id_spent_once")],
            },
        ),
        migrations.RunSQL(SPEND, UNDO),
    ]
