"""Say what the proxy would decide about a request, and why, without sending anything."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from fhirproxy.simulating import Question, answer
from fhirproxy.simulation_text import as_lines
from smartauth.conf import config
from smartauth.tokens.hypothetical import Unimaginable


class Command(BaseCommand):
    """`explain_request --client C [--tenant T --user U --patient P --scope S --reach a,b] [--json] "GET Type?…"`."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("line", metavar="REQUEST", help='method and path below the FHIR base: "GET Patient/ana"')
        parser.add_argument("--client", required=True, metavar="CLIENT_ID")
        parser.add_argument("--tenant", default="", help="slug; the default tenant where none is given")
        parser.add_argument("--user", default="", metavar="NAME", help="user name of who would be signed in")
        parser.add_argument("--patient", default="", metavar="ID", help="logical id of the patient in context")
        parser.add_argument("--scope", default="", help="as granted; all the client may have where none is given")
        parser.add_argument("--reach", default="", metavar="IDS", help="patients that facts read upstream would give")
        parser.add_argument("--body", type=Path, metavar="FILE", help="body of a write")
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        question = Question(
            client_id=options["client"],
            tenant=options["tenant"] or config().default_tenant or "",
            line=options["line"],
            username=options["user"],
            patient=options["patient"],
            scope=options["scope"],
            reach=tuple(filter(None, options["reach"].split(","))),
            body=_read(options["body"]) if options["body"] else b"",
        )
        try:
            told = answer(question, now=timezone.now())
        except Unimaginable as why:
            raise CommandError(str(why)) from None
        if options["as_json"]:
            self.stdout.write(json.dumps(told, ensure_ascii=False))
            return
        for line in as_lines(told):
            self.stdout.write(line)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
