"""How a tenant presents itself (SMART 2.2 brands). The database says when it changed, and tells every worker."""

import django.db.models.deletion
from django.db import migrations, models

# Closing a tenant takes its brand off the list, and opening it puts it back: that is a change of the list.
CREATE = """
CREATE FUNCTION clients_brand_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at = clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION clients_brand_comes_or_goes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE clients_brand SET changed_at = changed_at WHERE tenant_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER brand_changes BEFORE INSERT OR UPDATE ON clients_brand
    FOR EACH ROW EXECUTE FUNCTION clients_brand_changes();
CREATE TRIGGER brand_comes_or_goes AFTER UPDATE OF is_active ON clients_tenant
    FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION clients_brand_comes_or_goes();
CREATE TRIGGER marks_brand AFTER INSERT OR UPDATE OR DELETE ON clients_brand
    FOR EACH ROW EXECUTE FUNCTION marks_leave_tenant();
"""
DROP = """
DROP TRIGGER marks_brand ON clients_brand;
DROP TRIGGER brand_comes_or_goes ON clients_tenant;
DROP TRIGGER brand_changes ON clients_brand;
DROP FUNCTION clients_brand_comes_or_goes();
DROP FUNCTION clients_brand_changes();
"""


class Migration(migrations.Migration):
    dependencies = [("clients", "0006_key_bound_tokens"), ("marks", "0002_marks_by_trigger")]

    operations = [
        migrations.CreateModel(
            name="Brand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("details", models.JSONField(help_text="What is published, as a JSON object")),
                (
                    "is_published",
                    models.BooleanField(default=True, help_text="Everybody may read it while the tenant is active"),
                ),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="brand", to="clients.tenant"
                    ),
                ),
            ],
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
