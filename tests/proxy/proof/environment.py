"""A database for a run outside pytest: the same cluster and settings as the tests, thrown away afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


@contextmanager
def prepared() -> Iterator[None]:
    """Give a process a database with every table and nothing in them."""
    from smartauth.sandbox import postgres
    from tests import settings as test_settings

    cluster = test_settings.CLUSTER
    if cluster is not None:
        postgres.start(cluster, durable=False)
    django.setup()
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        yield
    finally:
        runner.teardown_databases(databases)
        if cluster is not None and postgres.is_idle(cluster):
            postgres.stop(cluster)


def emptied() -> None:
    """Take everything out of the database, so that the next world begins as the first did."""
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False, inhibit_post_migrate=True)
