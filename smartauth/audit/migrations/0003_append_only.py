"""The audit trail only grows: the database refuses to change or delete a record, whoever asks.

Whoever owns the table can take the trigger away first, and that is somebody else than the server where the operator
gives the server a role of its own. Emptying the table as a whole needs that ownership anyway.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are never changed or deleted' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_auditrecord
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
"""
DROP = """
DROP TRIGGER audit_append_only ON audit_auditrecord;
DROP FUNCTION audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_patients_of_a_record")]

    operations = [migrations.RunSQL(CREATE, DROP)]
