"""Sign a client assertion, for trying things by hand."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clients.key_pairs import ALGORITHMS, load_private_key, sign_assertion
from smartauth import endpoints
from smartauth.conf import config


class Command(BaseCommand):
    """Prints one fresh assertion: good for five minutes and for one request."""

    help = "Print a fresh client assertion (RFC 7523) with a random jti."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--client", required=True, metavar="ID", help="the client_id")
        parser.add_argument("--key", required=True, metavar="FILE", help="its private key in PEM")
        parser.add_argument("--aud", metavar="URL", help="default: the token URL of the default tenant")
        parser.add_argument("--alg", choices=ALGORITHMS, default="", help="default: RS384 or ES384, as the key allows")
        parser.add_argument("--kid", default="", help="default: the RFC 7638 thumbprint of the key")

    def handle(self, *, client: str, key: str, aud: str | None, alg: str, kid: str, **options: Any) -> None:
        audience = aud or endpoints.oauth(config().default_tenant, "token")
        try:
            private_key = load_private_key(Path(key).read_bytes())
            self.stdout.write(sign_assertion(private_key, client, audience, now=timezone.now(), alg=alg, kid=kid))
        except OSError as error:
            raise CommandError(f"{key} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise CommandError(f"{key}: {error}.") from error
