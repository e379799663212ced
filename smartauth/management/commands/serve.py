"""Serve: over TLS with --tls-cert and --tls-key, or in plain HTTP for a front that has TLS."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smartauth.conf import config
from smartauth.serving import Tls, UnusableTls, command_line


class Command(BaseCommand):
    """`serve [--tls-cert FILE --tls-key FILE] [--host HOST] [--port PORT] [--workers N] [--threads N]`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tls-cert", type=Path, help="certificate chain in PEM, the server's own first")
        parser.add_argument("--tls-key", type=Path, help="its private key, PEM in PKCS#8")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT, else 8000")
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
        parser.add_argument("--threads", type=int, default=8, help="of each worker (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        words = command_line(
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            threads=options["threads"],
            tls=_tls(options["tls_cert"], options["tls_key"]),
            respawn=True,
        )
        os.chdir(settings.BASE_DIR)
        # In place of this process, so that whoever started it signals the server itself.
        os.execv(words[0], words)  # noqa: S606 - all ours


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    if (certificate is None) != (key is None):
        raise CommandError("--tls-cert and --tls-key go together.")
    if certificate is None or key is None:
        if not config().is_sandbox and not config().trusted_proxies:
            raise CommandError(
                "Without TLS and without a front that has it nothing would be answered. Give --tls-cert and --tls-key, "
                "or name the front in SMARTAUTH_TRUSTED_PROXIES."
            )
        return None
    tls = Tls(certificate.resolve(), key.resolve())
    try:
        tls.require_usable()
    except UnusableTls as error:
        raise CommandError(str(error)) from None
    return tls
