"""A locked account and a lost relation end what was granted under them, whoever writes the change and however.

That such a token is refused while the lock or the loss lasts is decided when it is shown; here it ends for good, so that
an account that opens again, or a relation that begins anew, brings back no app (RFC 9700 §4.14).
"""

from django.db import migrations

# The rule about patients is that of smartauth/policy/relations.py. The clock is read as it goes: `now()` is when the
# transaction began, and a relation that is ended within it would seem to last.
CREATE = """
CREATE FUNCTION smartauth_revoke(ended uuid[], cause text) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (
        UPDATE smartauth_authorization SET revoked_at = clock_timestamp(), revoked_by = cause
         WHERE id = ANY(ended) AND revoked_at IS NULL
        RETURNING id, client_id, tenant_id, user_id
    )
    INSERT INTO audit_auditrecord
           (at, action, rule, client_id, tenant, user_id, patient, "authorization", resource_type, resource_id, query,
            details, remote_address)
    SELECT clock_timestamp(), 'revoke', 'authorization.' || cause, client.client_id, tenant.slug, gone.user_id, '',
           gone.id, '', '', '', '{}', ''
      FROM gone
      JOIN clients_client client ON client.id = gone.client_id
      JOIN clients_tenant tenant ON tenant.id = gone.tenant_id
$$;

CREATE FUNCTION smartauth_revoke_unrelated(person bigint, place bigint) RETURNS void LANGUAGE sql AS $$
    SELECT smartauth_revoke(array(
        SELECT a.id
          FROM smartauth_authorization a
          LEFT JOIN people_fhiruser f ON f.user_id = a.user_id AND f.tenant_id = a.tenant_id
         WHERE a.kind = 'user' AND a.user_id = person AND a.tenant_id = place AND a.revoked_at IS NULL
           AND a.context->>'patient' IS NOT NULL
           AND split_part(coalesce(f.reference, ''), '/', 1) IN ('', 'Patient')
           AND split_part(coalesce(f.reference, ''), '/', 2) <> a.context->>'patient'
           AND NOT EXISTS (
               SELECT FROM people_proxyrelation r
                WHERE r.user_id = person AND r.tenant_id = place AND r.patient = a.context->>'patient'
                  AND r.starts_at <= clock_timestamp() AND (r.ends_at IS NULL OR r.ends_at > clock_timestamp()))
    ), 'relation')
$$;

CREATE FUNCTION smartauth_relation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM smartauth_revoke_unrelated(OLD.user_id, OLD.tenant_id);
    RETURN NULL;
END $$;

CREATE FUNCTION smartauth_account_locked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM smartauth_revoke(
        array(SELECT id FROM smartauth_authorization WHERE user_id = OLD.id AND revoked_at IS NULL), 'lock');
    RETURN NULL;
END $$;

CREATE TRIGGER smartauth_relation_lost AFTER UPDATE OR DELETE ON people_proxyrelation
    FOR EACH ROW EXECUTE FUNCTION smartauth_relation_changed();
CREATE TRIGGER smartauth_fhir_user_lost AFTER UPDATE OR DELETE ON people_fhiruser
    FOR EACH ROW EXECUTE FUNCTION smartauth_relation_changed();
CREATE TRIGGER smartauth_user_locked AFTER UPDATE OF is_active ON people_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION smartauth_account_locked();
"""
DROP = """
DROP TRIGGER smartauth_user_locked ON people_user;
DROP TRIGGER smartauth_fhir_user_lost ON people_fhiruser;
DROP TRIGGER smartauth_relation_lost ON people_proxyrelation;
DROP FUNCTION smartauth_account_locked();
DROP FUNCTION smartauth_relation_changed();
DROP FUNCTION smartauth_revoke_unrelated(bigint, bigint);
DROP FUNCTION smartauth_revoke(uuid[], text);
"""


class Migration(migrations.Migration):
    dependencies = [("smartauth", "0003_session_end"), ("people", "0001_initial"), ("audit", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
