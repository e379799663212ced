"""Run everything a newcomer needs on one port: database, FHIR server, authorization server, proxy."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from fhirproxy.r4server import process as r4server
from smartauth import endpoints
from smartauth.conf import config
from smartauth.sandbox import postgres, running
from smartauth.sandbox.seed import TENANT, Seeded, seed
from smartauth.sandbox.welcome import welcome
from smartauth.serving import command_line

READY_WITHIN = 60  # seconds


class Command(BaseCommand):
    """`sandbox [--workers N]`; stops with Ctrl-C. `sandbox --reset` deletes what it stored."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=int, default=2)
        parser.add_argument("--reset", action="store_true", help="delete the embedded database, users, keys and tokens")

    def handle(self, *args: Any, **options: Any) -> None:
        # The same way out for Ctrl-C, a terminal that goes away, and `kill`.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            if options["reset"]:
                self._reset()
            else:
                self._run(options["workers"])
        except postgres.PostgresUnavailable as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _run(self, workers: int) -> None:
        var = config().var
        with ExitStack() as stack:
            if running.is_running(var):
                raise CommandError(f"A sandbox is running on {var} already; stop it first.")
            _require_free_port(settings.PORT)
            if settings.EMBEDDED_DATABASE:
                cluster = postgres.locate(var)
                postgres.start(cluster)
                stack.callback(postgres.stop, cluster)
            stack.callback(connections.close_all)
            call_command("migrate", verbosity=0, interactive=False)
            upstream = stack.enter_context(r4server.running(log=var / "r4server.log"))
            seeded = seed(upstream_url=upstream.base_url, upstream_bearer=upstream.bearer)
            running.remember(var, os.environ)
            stack.callback(running.forget, var)
            server = stack.enter_context(_server(workers))
            _wait_until_ready(server)
            _write_summary(var, seeded)
            stack.callback((var / "sandbox.json").unlink, missing_ok=True)
            self.stdout.write(welcome(seeded))
            self.stdout.flush()
            while server.poll() is None and upstream.is_alive():
                time.sleep(0.5)
            raise CommandError(f"The {'FHIR' if server.poll() is None else 'web'} server stopped; see the lines above.")

    def _reset(self) -> None:
        var = config().var
        if running.is_running(var):
            raise CommandError("The sandbox is running; stop it first, with Ctrl-C where it was started.")
        if settings.EMBEDDED_DATABASE:
            postgres.remove(postgres.locate(var))
        for name in ("secret_key", "encryption_key", "sandbox.json", running.FILE, "r4server.log"):
            (var / name).unlink(missing_ok=True)
        for secret in sorted((var / "secrets").glob("*")):
            secret.unlink()
        self.stdout.write("The sandbox is as new.")


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(f"Port {port} cannot be used: {error.strerror}. Try `make run PORT=8123`.") from None


@contextmanager
def _server(workers: int) -> Iterator[subprocess.Popen[bytes]]:
    command = command_line(host="127.0.0.1", port=settings.PORT, workers=workers, threads=4, ends_within=5)
    # A group of its own, so that Ctrl-C reaches it through us, once.
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, start_new_session=True)  # noqa: S603 - all ours
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(server: subprocess.Popen[bytes]) -> None:
    url = f"http://127.0.0.1:{settings.PORT}/readyz"
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise CommandError("The web server did not become ready; see the lines above.")


def _write_summary(var: Path, seeded: Seeded) -> None:
    summary = {
        "base_url": config().base_url,
        "default_tenant": config().default_tenant,
        "fhir_base": endpoints.fhir_base(TENANT),
        "users": [
            {"username": user.username, "password": user.password, "fhirUser": user.fhir_user} for user in seeded.users
        ],
        "clients": [
            {
                "client_id": client.client_id,
                "key_file": str(client.key_file) if client.key_file else None,
                "redirect_uris": list(client.redirect_uris),
            }
            for client in seeded.clients
        ],
        "initial_access_token": seeded.initial_access_token,
    }
    running.write_private(var / "sandbox.json", json.dumps(summary, indent=2) + "\n")
