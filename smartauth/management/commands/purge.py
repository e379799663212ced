"""Delete expired tokens and exports, spent assertion ids, old receipts and deleted state. Run it from a timer."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from fhirproxy import app_states, bulk_expiry
from smartauth.retention import purge


class Command(BaseCommand):
    """`purge`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for name, count in purge(now).items():
            self.stdout.write(f"{count} {name}")
        self.stdout.write(f"{app_states.purge(now)} deleted app states")
        exports = bulk_expiry.purge(now)
        self.stdout.write(f"{exports.deleted} bulk exports")
        if exports.kept:
            self.stderr.write(f"{exports.kept} bulk exports are kept: their FHIR server did not delete them.")
