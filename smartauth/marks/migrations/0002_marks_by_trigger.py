"""The database leaves the marks itself, so that no writer can forget to: the ORM, the admin, or SQL typed by hand."""

from django.db import migrations

# A row's own column names what changed. Old and new value both count: a renamed client is two changes.
FUNCTIONS = """
CREATE FUNCTION marks_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marks_mark (tag)
    SELECT DISTINCT TG_ARGV[0] || key
      FROM unnest(ARRAY[to_jsonb(OLD) ->> TG_ARGV[1], to_jsonb(NEW) ->> TG_ARGV[1]]) AS key
     WHERE key IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION marks_leave_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marks_mark (tag) VALUES ('keys');
    RETURN NULL;
END $$;

CREATE FUNCTION marks_leave_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marks_mark (tag)
    SELECT 'tenant:' || slug FROM clients_tenant WHERE id IN (OLD.tenant_id, NEW.tenant_id);
    RETURN NULL;
END $$;

CREATE FUNCTION marks_leave_activation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marks_mark (tag)
    SELECT 'client:' || client_id FROM clients_client WHERE id IN (OLD.client_id, NEW.client_id);
    RETURN NULL;
END $$;
"""

# trigger name: (event and table, call). Rows that die of age leave no mark: caches know when they end.
TRIGGERS = {
    "marks_tenant": ("INSERT OR UPDATE OR DELETE ON clients_tenant", "marks_leave('tenant:', 'slug')"),
    "marks_client": ("UPDATE OR DELETE ON clients_client", "marks_leave('client:', 'client_id')"),
    "marks_activation": ("INSERT OR UPDATE OR DELETE ON clients_activation", "marks_leave_activation()"),
    "marks_key_set": ("DELETE ON clients_keyset", "marks_leave('jwks:', 'jwks_uri')"),
    "marks_upstream": ("INSERT OR UPDATE OR DELETE ON fhirproxy_upstream", "marks_leave_tenant()"),
    "marks_user": ("UPDATE OF is_active ON people_user", "marks_leave('user:', 'id')"),
    "marks_user_gone": ("DELETE ON people_user", "marks_leave('user:', 'id')"),
    "marks_fhir_user": ("INSERT OR UPDATE OR DELETE ON people_fhiruser", "marks_leave('user:', 'user_id')"),
    "marks_relation": ("INSERT OR UPDATE OR DELETE ON people_proxyrelation", "marks_leave('user:', 'user_id')"),
    "marks_authorization": (
        "UPDATE OF revoked_at, expires_at ON smartauth_authorization",
        "marks_leave('authorization:', 'id')",
    ),
    "marks_authorization_gone": ("DELETE ON smartauth_authorization", "marks_leave('authorization:', 'id')"),
    "marks_access_token": (
        "UPDATE OF revoked_at, expires, scope ON smartauth_accesstoken",
        "marks_leave('token:', 'token_checksum')",
    ),
    "marks_access_token_gone": ("DELETE ON smartauth_accesstoken", "marks_leave('token:', 'token_checksum')"),
    "marks_signing_key": ("INSERT OR UPDATE OR DELETE ON smartauth_signingkey", "marks_leave_keys()"),
}
CONDITIONS = {"marks_access_token_gone": "WHEN (OLD.expires > now())"}


def create() -> str:
    """Return the statements that make every function and trigger."""
    made = [
        f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {CONDITIONS.get(name, '')} EXECUTE FUNCTION {call};"
        for name, (event, call) in TRIGGERS.items()
    ]
    return "\n".join([FUNCTIONS, *made])


def drop() -> str:
    """Return the statements that remove them again."""
    triggers = [f"DROP TRIGGER {name} ON {event.rpartition(' ')[2]};" for name, (event, _) in TRIGGERS.items()]
    functions = ("marks_leave", "marks_leave_keys", "marks_leave_tenant", "marks_leave_activation")
    return "\n".join([*triggers, *(f"DROP FUNCTION {name}();" for name in functions)])


class Migration(migrations.Migration):
    dependencies = [
        ("marks", "0001_initial"),
        ("clients", "0002_initial"),
        ("people", "0001_initial"),
        ("smartauth", "0001_initial"),
        ("fhirproxy", "0001_initial"),
    ]

    operations = [migrations.RunSQL(create(), drop())]
