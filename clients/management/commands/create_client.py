"""Register a client from RFC 7591 metadata, as an operator."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clients.metadata import InvalidClientMetadata
from clients.registration import describe_client, register_client
from clients.tenants import TenantInfo, find_tenant
from clients.trial_fetch import problems, trial


class Command(BaseCommand):
    """One JSON object on standard output: the registered client, with its secret shown this once."""

    help = "Register a client. The client is approved at once; a tenant must still activate it (--tenant, --activate)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="client metadata as JSON (RFC 7591 §2); - is standard input")
        parser.add_argument("--tenant", action="append", default=[], metavar="SLUG", help="may be given more than once")
        parser.add_argument(
            "--activate", action="store_true", help="activate the client at each --tenant; without it, it waits there"
        )

    def handle(self, *, file: str, tenant: list[str], activate: bool, **options: Any) -> None:
        metadata = _read(file)
        if activate and not tenant:
            raise CommandError("--activate needs at least one --tenant.")
        tenants = [_require_tenant(slug) for slug in dict.fromkeys(tenant)]
        try:
            registered = register_client(
                metadata,
                operator=True,
                activate_at=tenants if activate else (),
                propose_at=() if activate else tenants,
            )
        except InvalidClientMetadata as error:
            seen = f" (found: {error.refusal.seen})" if error.refusal.seen else ""
            raise CommandError(f"{error.refusal.reason}{seen}.") from error
        described = describe_client(registered.client, registered.secret)
        described["activations"] = [
            {"tenant": one.slug, "fhir_base": one.fhir_base, "active": activate} for one in tenants
        ]
        self.stdout.write(json.dumps(described, indent=2))
        self._try_keys(registered.client.client_jwks_uri)

    def _try_keys(self, jwks_uri: str) -> None:
        """Look at the key set once, so that a mistake shows now and not at the first token request."""
        if not jwks_uri:
            return
        for problem in problems(trial(jwks_uri, timezone.now())):
            kid = f"key {problem['kid']}: " if "kid" in problem else ""
            fix = f" {problem['fix']}" if "fix" in problem else ""
            self.stderr.write(f"Registered, but mend its keys: {kid}{problem['reason']} ({problem['rule']}).{fix}")


def _read(file: str) -> object:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} is not JSON in UTF-8: {error}.") from error


def _require_tenant(slug: str) -> TenantInfo:
    found = find_tenant(slug)
    if found is None:
        raise CommandError(f"There is no active tenant called {slug!r}.")
    return found
