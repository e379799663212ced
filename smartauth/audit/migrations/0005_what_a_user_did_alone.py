"""What somebody did where no record was in context, such as signing in, found without reading everybody's records."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # The trail may be long, and the server goes on writing it meanwhile.

    dependencies = [("audit", "0004_tokens_of_a_client")]

    operations = [
        AddIndexConcurrently(
            model_name="auditrecord",
            index=models.Index(
                condition=models.Q(("patient", ""), ("user_id__isnull", False)),
                fields=["user_id", "-at"],
                name="audit_of_user_alone",
            ),
        ),
    ]
