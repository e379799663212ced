"""Delete expired tokens and exports, spent assertion ids and old receipts. Run it from a timer; at any time."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from fhirproxy import bulk_jobs
from smartauth.retention import purge


class Command(BaseCommand):
    """`purge`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for name, count in {**purge(now), "bulk exports": bulk_jobs.purge(now)}.items():
            self.stdout.write(f"{count} {name}")
