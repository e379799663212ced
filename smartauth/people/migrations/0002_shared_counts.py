"""A table for Django's cache, in which sign-ins are counted: a guess at one worker counts at every other.

As `createcachetable` makes it; that command would be one more step for the operator.
"""

from django.db import migrations

CREATE = """
CREATE UNLOGGED TABLE smartauth_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX smartauth_cache_expires ON smartauth_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, "DROP TABLE smartauth_cache;")]
