"""How the pages of a tenant look. The database tells every worker of a change, as it does for the tenant itself."""

import django.db.models.deletion
from django.db import migrations, models

CREATE = """
CREATE FUNCTION marks_leave_skins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO marks_mark (tag) VALUES ('skins');
    RETURN NULL;
END $$;

CREATE TRIGGER marks_skin AFTER INSERT OR UPDATE OR DELETE ON clients_skin
    FOR EACH ROW EXECUTE FUNCTION marks_leave_tenant();
CREATE TRIGGER marks_skins AFTER INSERT OR UPDATE OR DELETE ON clients_skin
    FOR EACH STATEMENT EXECUTE FUNCTION marks_leave_skins();
"""
DROP = """
DROP TRIGGER marks_skins ON clients_skin;
DROP TRIGGER marks_skin ON clients_skin;
DROP FUNCTION marks_leave_skins();
"""


class Migration(migrations.Migration):
    dependencies = [("clients", "0015_people"), ("marks", "0002_marks_by_trigger")]

    operations = [
        migrations.CreateModel(
            name="Skin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("is_active", models.BooleanField(default=True, verbose_name="pages wear it")),
                ("name", models.CharField(max_length=60)),
                ("logo", models.BinaryField(blank=True, default=b"")),
                ("logo_type", models.CharField(blank=True, default="", editable=False, max_length=10)),
                ("logo_digest", models.CharField(blank=True, default="", editable=False, max_length=64)),
                ("logo_width", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("logo_height", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("logo_alt", models.CharField(blank=True, default="", max_length=100)),
                (
                    "logo_says_name",
                    models.BooleanField(default=False, verbose_name="the picture shows the name"),
                ),
                ("accent_light", models.CharField(blank=True, default="", help_text="Empty: ours", max_length=7)),
                ("accent_dark", models.CharField(blank=True, default="", help_text="Empty: ours", max_length=7)),
                ("texts", models.JSONField(blank=True, default=dict, help_text="By language, then by name")),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="skin", to="clients.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("accent_light__regex", "^(#[0-9a-f]{6})?$"), ("accent_dark__regex", "^(#[0-9a-f]{6})?$")
                        ),
                        name="skin_accents_are_colours",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("logo", b""), ("logo_digest", ""), ("logo_type", "")),
                            models.Q(
                                ("logo_type__in", ["image/png", "image/jpeg", "image/webp"]),
                                models.Q(("logo_digest", ""), _negated=True),
                                models.Q(("logo", b""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="skin_logo_is_whole",
                    ),
                ],
            },
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
