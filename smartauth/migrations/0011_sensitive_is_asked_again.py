"""What a tenant newly counts as sensitive begins without a tick, so nobody is let in by an answer from before that.

Whoever writes the policy, and however: the same way as lost rights end grants.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION smartauth_forget_answers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE smartauth_authorization SET remembered_until = NULL, remembered_scope = ''
     WHERE tenant_id = NEW.id AND remembered_until IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER smartauth_sensitive_changed AFTER UPDATE OF policy ON clients_tenant
    FOR EACH ROW WHEN (
        NOT coalesce(OLD.policy -> 'sensitive_categories', '[]') @> coalesce(NEW.policy -> 'sensitive_categories', '[]')
    ) EXECUTE FUNCTION smartauth_forget_answers();
"""
DROP = """
DROP TRIGGER smartauth_sensitive_changed ON clients_tenant;
DROP FUNCTION smartauth_forget_answers();
"""


class Migration(migrations.Migration):
    dependencies = [("smartauth", "0010_refused_at_tenant"), ("clients", "0016_skins")]

    operations = [migrations.RunSQL(CREATE, DROP)]
