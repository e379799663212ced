"""The end of a browser session ends what was granted for as long as it lasts, whoever ends it and however."""

from django.db import migrations

# Signing out, another user signing in and the purge of expired sessions all delete the row. The key itself is the value
# of the cookie, so Authorizations know it by its digest.
CREATE = """
CREATE FUNCTION smartauth_session_digest(session_key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT encode(sha256(decode(session_key, 'escape')), 'hex') $$;

CREATE INDEX smartauth_session_by_digest ON django_session (smartauth_session_digest(session_key));

CREATE FUNCTION smartauth_end_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH ended AS (
        UPDATE smartauth_authorization SET revoked_at = now(), revoked_by = 'session'
         WHERE session = smartauth_session_digest(OLD.session_key) AND session <> '' AND revoked_at IS NULL
        RETURNING id, client_id, tenant_id, user_id
    )
    INSERT INTO audit_auditrecord
           (at, action, rule, client_id, tenant, user_id, patient, "authorization", resource_type, resource_id, query,
            details, remote_address)
    SELECT now(), 'revoke', 'authorization.session', client.client_id, tenant.slug, ended.user_id, '', ended.id, '', '',
           '', '{}', ''
      FROM ended
      JOIN clients_client client ON client.id = ended.client_id
      JOIN clients_tenant tenant ON tenant.id = ended.tenant_id;
    RETURN NULL;
END $$;

CREATE TRIGGER smartauth_session_gone AFTER DELETE ON django_session
    FOR EACH ROW EXECUTE FUNCTION smartauth_end_session();
"""
DROP = """
DROP TRIGGER smartauth_session_gone ON django_session;
DROP FUNCTION smartauth_end_session();
DROP INDEX smartauth_session_by_digest;
DROP FUNCTION smartauth_session_digest(text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("smartauth", "0002_app_launch"),
        ("audit", "0001_initial"),
        ("sessions", "0001_initial"),
    ]

    operations = [migrations.RunSQL(CREATE, DROP)]
