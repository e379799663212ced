"""Watch the key sets that clients publish by URL, and keep what is wrong with them as findings."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from clients.key_watching import watch

ROUND_EVERY = 60.0  # seconds between the end of a round and the next


class Command(BaseCommand):
    """`watch_jwks --once` from a timer; without it, it goes on, a round a minute, until it is stopped."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round")
        parser.add_argument("--pause", type=float, default=1.0, metavar="SECONDS", help="between fetches; default 1")

    def handle(self, *, once: bool, pause: float, **options: Any) -> None:
        while True:
            done = watch(timezone.now, pause=max(0.0, pause))
            self.stdout.write(f"{done.key_sets} key sets, {done.fetched} fetched, {done.new_findings} new findings")
            if once:
                return
            close_old_connections()
            time.sleep(ROUND_EVERY)
