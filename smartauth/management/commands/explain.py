"""Explain why a request was refused, from its trace id."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import new_context
from smartauth.receipts.views import describe, find_receipt


class Command(BaseCommand):
    """`explain TRACE_ID [--view officer|partner] [--json]`; exit status 1 when there is no such receipt."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trace_id", help="from the error answer, or from the X-Trace-Id header")
        parser.add_argument("--view", choices=("officer", "partner"), default="officer")
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            trace_id = UUID(options["trace_id"])
        except ValueError:
            raise CommandError("A trace id looks like 123e4567-e89b-12d3-a456-426614174000.") from None
        receipt = find_receipt(trace_id)
        if receipt is None:
            raise CommandError(
                f"There is no receipt {trace_id}: the request was allowed, or too long ago, or one of a flood."
            )
        if options["view"] == "officer":
            event = AuditEvent("receipt.read", rule="explain", details={"receipt": str(trace_id)})
            record_now(new_context(), event)
        described = describe(receipt, options["view"])
        if options["as_json"]:
            self.stdout.write(json.dumps(described, ensure_ascii=False))
            return
        width = max(map(len, described))
        for name, value in described.items():
            if isinstance(value, dict):
                for step, said in value.items():
                    self.stdout.write(f"{step:<{width}}  {said if isinstance(said, str) else json.dumps(said)}")
            elif value != "":
                self.stdout.write(f"{name:<{width}}  {value}")
