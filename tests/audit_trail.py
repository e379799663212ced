"""Rewriting the audit trail in a test, which only the owner of its table can do."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def rewritable() -> Iterator[None]:
    """Let audit records be changed and deleted within."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord DISABLE TRIGGER audit_append_only")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE audit_auditrecord ENABLE TRIGGER audit_append_only")
