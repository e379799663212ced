"""Look at a JWKS URL as the server would, and say everything that is wrong with it."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from clients.jwks_report import JwksReport, Problem
from clients.trial_fetch import look


class Command(BaseCommand):
    """`check_jwks URL [--json]`. Stores nothing. Exit status 0: nothing to mend; 1: there are findings."""

    help = __doc__
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL")
        parser.add_argument("--json", action="store_true", dest="as_json", help="for machines")

    def handle(self, *, url: str, as_json: bool, **options: Any) -> None:
        report = look(url, timezone.now())
        if as_json:
            self.stdout.write(json.dumps({"healthy": report.is_healthy, **asdict(report)}, indent=2, default=str))
        else:
            self.stdout.write("\n".join(_lines(report)))
        if not report.is_healthy:
            raise SystemExit(1)


def _lines(report: JwksReport) -> Iterator[str]:
    yield from (_line(finding) for finding in report.findings)
    for key in report.keys:
        facts = (key.kty, key.size, f"alg {key.alg}" if key.alg else "", f"use {key.use}" if key.use else "")
        yield f"key {key.kid or '(no kid)'}: {', '.join(fact for fact in facts if fact)}"
        yield from (f"  {_line(problem)}" for problem in key.problems)
    if report.rotation:
        yield f"Cache-Control: {report.cache_control or 'none'}. {report.rotation}"
    if report.certificate_ends_at is not None:
        yield f"The certificate of the host is good until {report.certificate_ends_at:%Y-%m-%d}."
    yield "Nothing to mend." if report.is_healthy else "There is something to mend."


def _line(problem: Problem) -> str:
    seen = f" ({problem.seen})" if problem.seen else ""
    return f"{problem.rule}: {problem.reason}{seen}. {problem.fix}".rstrip()
