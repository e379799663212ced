"""One row per change that caches must notice."""

from django.db import models
from django.db.models.functions import Now


class CurrentTransactionId(models.Func):
    """The id of the writing transaction, comparable with snapshots (PostgreSQL `pg_current_xact_id`)."""

    function = "pg_current_xact_id"
    template = "(%(function)s()::text::bigint)"
    output_field = models.BigIntegerField()


class Mark(models.Model):
    """Something named by `tag` changed in transaction `transaction_id`.

    Rows become visible in commit order, not in id order. A reader therefore asks for every transaction that was not yet
    over when it last looked, instead of for every id above the last: it misses nothing, however long a writer took.
    """

    tag = models.TextField()
    transaction_id = models.BigIntegerField(db_default=CurrentTransactionId())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["transaction_id"], name="mark_transaction")]

    def __str__(self) -> str:
        return self.tag
