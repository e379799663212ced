"""Which tokens a client got lately, found without reading everybody's records."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # The trail may be long, and the server goes on writing it meanwhile.

    dependencies = [("audit", "0003_append_only")]

    operations = [
        AddIndexConcurrently(
            model_name="auditrecord",
            index=models.Index(
                condition=models.Q(("action", "token")), fields=["client_id", "-at"], name="audit_of_client_tokens"
            ),
        ),
    ]
