"""The end of a browser session ends what was granted for as long as it lasts, whoever ends it and however."""

from django.db import migrations

# Signing out, another user signing in, a changed password and the purge of expired sessions all delete the row.
CREATE = """
CREATE FUNCTION smartauth_end_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE smartauth_authorization SET revoked_at = now(), revoked_by = 'session'
     WHERE session_key = OLD.session_key AND session_key <> '' AND revoked_at IS NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER smartauth_session_gone AFTER DELETE ON django_session
    FOR EACH ROW EXECUTE FUNCTION smartauth_end_session();
"""
DROP = """
DROP TRIGGER smartauth_session_gone ON django_session;
DROP FUNCTION smartauth_end_session();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("smartauth", "0002_app_launch"),
        ("sessions", "0001_initial"),
    ]

    operations = [migrations.RunSQL(CREATE, DROP)]
