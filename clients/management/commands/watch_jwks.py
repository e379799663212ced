"""Watch the key sets that clients publish by URL, and keep what is wrong with them as findings."""

import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from clients.key_watching import watch
from clients.watch_loop import go_on
from smartauth.stopping import stopped_by_signals


class Command(BaseCommand):
    """`watch_jwks --once` from a timer; without it, it goes on, a round a minute, until SIGTERM or SIGINT."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round")
        parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="between rounds; default 60")
        parser.add_argument("--pause", type=float, default=1.0, metavar="SECONDS", help="between fetches; default 1")

    def handle(self, *, once: bool, every: float, pause: float, **options: Any) -> None:
        if not 0.1 <= every <= 86_400:
            raise CommandError("--every is the seconds from one round to the next, 0.1 to 86400.")
        if not 0 <= pause <= 60:
            raise CommandError("--pause is the seconds between two fetches, 0 to 60.")

        def do_round(stop: threading.Event) -> None:
            done = watch(timezone.now, pause=pause, stop=stop)
            failed = f", {done.failed} failed" if done.failed else ""
            self.stdout.write(
                f"{done.key_sets} key sets, {done.fetched} fetched, {done.new_findings} new findings{failed}"
            )
            self.stdout.flush()  # Whoever reads a pipe should not wait for a full buffer.

        if not once:
            # A fetch under way is finished: it takes five seconds at most.
            with stopped_by_signals() as stop:
                go_on(do_round, every=every, stop=stop)
            return
        try:
            do_round(threading.Event())
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"No round: the database does not answer ({type(error).__name__}).") from None
