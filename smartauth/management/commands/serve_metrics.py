"""Serve metrics for Prometheus and details for people, on a port of their own."""

import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from smartauth.marks.poller import poller
from smartauth.operations.server import FactReader, OperationsServer
from smartauth.stopping import stopped_by_signals


class Command(BaseCommand):
    """`serve_metrics [--host HOST] [--port PORT]`: GET /metrics and GET /details, until SIGTERM or SIGINT.

    Whoever reaches the port may read both, so it listens on loopback unless told otherwise.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=9464, help="default: %(default)s")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        if not 0 < port < 65_536:
            raise CommandError("--port is a number from 1 to 65535.")
        try:
            server = OperationsServer(host, port, FactReader(timezone.now))
        except OSError as error:
            raise CommandError(f"Nothing can listen on {host} port {port}: {error.strerror or error}.") from None
        # It reads the marks as every worker does, to say whether that works.
        poller.serve()
        poller.is_fresh()
        with server, stopped_by_signals() as stop:
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
            at = f"[{host}]" if ":" in host else host
            self.stdout.write(f"http://{at}:{port}/metrics and http://{at}:{port}/details")
            self.stdout.flush()
            stop.wait()
            server.shutdown()
