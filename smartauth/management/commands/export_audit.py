"""Write the audit trail as FHIR R4 AuditEvents, one JSON object a line."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from smartauth.audit.reading import AuditFilter, as_fhir, decisions
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import new_context
from smartauth.people.models import User


class Command(BaseCommand):
    """`export_audit [--tenant T] [--patient P] [--client C] [--user U] [--since T] [--until T] [--output FILE]`.

    Reading the trail is itself recorded.
    """

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="", help="slug")
        parser.add_argument("--patient", default="", metavar="ID", help="logical id; most useful with --tenant")
        parser.add_argument("--client", default="", metavar="CLIENT_ID")
        parser.add_argument("--user", default="", metavar="NAME", help="user name")
        parser.add_argument("--since", type=_moment, metavar="TIME", help="2026-03-01 or 2026-03-01T12:00:00Z; counts")
        parser.add_argument("--until", type=_moment, metavar="TIME", help="the same; does not count")
        parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")

    def handle(self, *args: Any, output: Path | None, **options: Any) -> None:
        wanted = AuditFilter(
            tenant=options["tenant"],
            patient=options["patient"],
            client_id=options["client"],
            user=_user(options["user"]),
            since=options["since"],
            until=options["until"],
        )
        record_now(new_context(), AuditEvent("audit.read", rule="export_audit", details=wanted.as_details()))
        if output is None:
            self._write(wanted, self.stdout)
            return
        try:
            with output.open("w", encoding="utf-8") as file:
                self._write(wanted, file)
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None

    def _write(self, wanted: AuditFilter, out: Any | TextIO) -> None:
        for recorded in decisions(wanted):
            for event in as_fhir(recorded):
                out.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")


def _moment(text: str) -> datetime:
    """Read a moment; one that names no zone is UTC. Raises ValueError, which argparse turns into its own words."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _user(name: str) -> int | None:
    if not name:
        return None
    found = User.objects.filter(username=name).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}.")
    return int(found)
