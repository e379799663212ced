"""Mint an access token for trying the proxy, bypassing every check of issuance. Exists in sandbox mode only."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from smartauth.people.models import User
from smartauth.sandbox.minting import mint


class Command(BaseCommand):
    """`issue_token --client C --tenant T --scope S [--patient P --fhir-user R --user U]`, or `issue_token --json -`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--client")
        parser.add_argument("--tenant")
        parser.add_argument("--scope")
        parser.add_argument("--patient", help="logical id of the patient in context")
        parser.add_argument("--fhir-user", help="Type/id, or an absolute URL")
        parser.add_argument("--user", help="user name")
        parser.add_argument("--json", dest="file", help="a JSON object of claims; - reads standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"]:
            wanted = self._read(options["file"])
        else:
            missing = [name for name in ("client", "tenant", "scope") if options[name] is None]
            if missing:
                raise CommandError(f"Give --{', --'.join(missing)}, or claims with --json.")
            wanted = {
                "client_id": options["client"],
                "tenant": options["tenant"],
                "scope": options["scope"],
                "patient": options["patient"],
                "fhirUser": options["fhir_user"],
                "sub": options["user"] or options["client"],
            }
        user = options["user"]
        if user and not User.objects.filter(username=user).exists():
            raise CommandError(f"There is no user {user!r}.")
        self.stdout.write(mint(wanted, user=user, now=timezone.now()))

    def _read(self, file: str) -> dict[str, Any]:
        try:
            with sys.stdin if file == "-" else open(file) as source:  # noqa: PTH123 - standard input has no path
                found = json.load(source)
        except (OSError, ValueError) as error:
            raise CommandError(f"The claims cannot be read: {error}.") from None
        if not isinstance(found, dict):
            raise CommandError("The claims must be one JSON object.")
        return found
