"""Delete expired tokens, spent assertion ids and old receipts. Run it from a timer; it can be run at any time."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from smartauth.retention import purge


class Command(BaseCommand):
    """`purge`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        for name, count in purge(timezone.now()).items():
            self.stdout.write(f"{count} {name}")
