"""Make a key pair for a client that authenticates with private_key_jwt."""

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clients.key_pairs import ALGORITHMS, generate_key_pair


class Command(BaseCommand):
    """The private key goes to a file only its owner can read, the public JWK Set to standard output."""

    help = "Make a key pair: private PEM (PKCS #8) to a file, public JWK Set to standard output."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="where the private key goes; the same as --out")
        parser.add_argument("--out", "--file", dest="out", metavar="FILE", help="default: ALG-private.pem, here")
        parser.add_argument("--alg", type=str.upper, choices=ALGORITHMS, default="ES384", help="default: %(default)s")
        parser.add_argument("--kid", default="", help="default: the RFC 7638 thumbprint of the key")
        parser.add_argument("--force", action="store_true", help="replace an existing file")

    def handle(self, *, file: str | None, out: str | None, alg: str, kid: str, force: bool, **options: Any) -> None:
        if file and out:
            raise CommandError("Name the file once, as FILE or as --out.")
        path = Path(file or out or f"{alg.lower()}-private.pem")
        pair = generate_key_pair(alg, kid=kid)
        try:
            _write_private(path, pair.private_pem, force=force)
        except FileExistsError as error:
            raise CommandError(f"{path} exists already; --force replaces it.") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"Private key: {path}. Keep it to yourself; register or publish the key set below.")
        self.stdout.write(json.dumps(pair.jwks, indent=2))


def _write_private(path: Path, pem: bytes, *, force: bool) -> None:
    if force:
        path.unlink(missing_ok=True)
    # O_EXCL: never through somebody's link, and never readable by others, not even for a moment.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(pem)
