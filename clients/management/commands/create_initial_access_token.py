"""Make an initial access token, with which partners register clients by protocol."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clients.initial_tokens import make_initial_token
from clients.tenants import TenantInfo, find_tenant
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import new_context


class Command(BaseCommand):
    """The token on standard output, this once; only its digest is kept."""

    help = "Make an initial access token (RFC 7591 §3). Withdraw it in the administration."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", action="append", default=[], metavar="SLUG", help="may be given more than once")
        parser.add_argument("--label", default="", help="for whom it is")
        parser.add_argument("--days", type=int, help="for how long it is good; without it, for ever")
        parser.add_argument("--uses", type=int, help="how many clients it registers; without it, any number")

    def handle(self, *, tenant: list[str], label: str, days: int | None, uses: int | None, **_: Any) -> None:
        tenants = [_require_tenant(slug) for slug in dict.fromkeys(tenant)]
        for name, value in (("days", days), ("uses", uses)):
            if value is not None and not 1 <= value <= 100_000:
                raise CommandError(f"--{name} is a number between 1 and 100000.")
        if len(label) > 255 or not label.isprintable():
            raise CommandError("--label is at most 255 printable characters.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        token = make_initial_token(tenants=tenants, label=label, expires_at=expires_at, uses=uses)
        details = {"label": label, "tenants": ", ".join(one.slug for one in tenants)}
        record_now(new_context(), AuditEvent("administer", rule="initial_access_token.added", details=details))
        self.stdout.write(token)


def _require_tenant(slug: str) -> TenantInfo:
    found = find_tenant(slug)
    if found is None:
        raise CommandError(f"There is no active tenant called {slug!r}.")
    return found
