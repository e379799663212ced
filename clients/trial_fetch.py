"""One look at a key set before it is registered: mistakes show now and not at the first token request.

Nothing is stored, so whoever registers decides on nothing but one fetch under the rules of every fetch.
Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 7591 §5.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from clients.jwks_fetch import FetchedJwks, fetch_jwks
from clients.jwks_report import JwksReport, Problem, make_report
from clients.jwks_rules import UnusableJwks
from clients.key_sets import FORCED_EVERY, require_no_transaction
from smartauth.conf import config


def trial(jwks_uri: str, now: datetime) -> JwksReport:
    """Fetch `jwks_uri` once and report on it. Stores nothing and raises nothing that a partner's host can cause.

    It takes five seconds at most and must not be called inside a transaction (RuntimeError). Who lets strangers call it
    bounds how often.
    """
    require_no_transaction()
    return look(jwks_uri, now)


def look(jwks_uri: str, now: datetime) -> JwksReport:
    """Do the same where there is no database, as on the machine of whoever mends a key set."""
    try:
        outcome = fetch_jwks(jwks_uri)
    except UnusableJwks as problem:
        return _report(problem, now)
    return _report(outcome, now)


def _report(outcome: FetchedJwks | UnusableJwks, now: datetime) -> JwksReport:
    return make_report(outcome, algorithms=config().assertion_algorithms, forced_every=FORCED_EVERY, now=now)


def problems(report: JwksReport) -> Iterator[dict[str, Any]]:
    """Yield everything to mend as JSON objects: `rule`, `reason`, and where there is one `kid`, `seen` and `fix`."""
    for finding in report.findings:
        yield _described(finding)
    for key in report.keys:
        for problem in key.problems:
            yield _described(problem) | ({"kid": key.kid} if key.kid else {})


def _described(problem: Problem) -> dict[str, Any]:
    members = {"rule": problem.rule, "reason": problem.reason, "seen": problem.seen, "fix": problem.fix}
    return {name: value for name, value in members.items() if value}
