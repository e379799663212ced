"""The facts of a moment as JSON, for a person who wants to know what stands behind a number."""

from datetime import datetime
from typing import Any

from smartauth.operations.facts import Facts, Key

Json = dict[str, Any]


def details(facts: Facts | None, *, marks_read_ago: float | None) -> Json:
    """Return JSON members; times in RFC 3339, ages in whole seconds. facts: None where the database does not answer."""
    marks = {"read_age_seconds": None if marks_read_ago is None else round(marks_read_ago, 1)}
    if facts is None:
        return {"database": {"up": False}, "marks": marks}
    return {
        "at": facts.at.isoformat(),
        "database": {"up": True, "answered_in_ms": round(facts.answered_in * 1_000, 1)},
        "marks": marks | {"stored": facts.marks},
        "signing_keys": [_key(one, facts.at) for one in facts.signing_keys],
        "key_watch": _key_watch(facts),
        "clients": {
            "by_status": dict(facts.clients),
            "submitted_since": _time(facts.oldest_submitted_at),
            "activations_waiting": facts.activations_waiting,
            "changes_waiting": facts.changes_waiting,
        },
        "refusals_last_hour": {
            "by_rule": dict(sorted(facts.refusals_by_rule.items())),
            "only_counted_by_rule": dict(sorted(facts.only_counted.items())),
        },
        "audit": {"newest_record_at": _time(facts.newest_audit_at)},
    }


def _key(one: Key, now: datetime) -> Json:
    told = {
        "kid": one.kid,
        "purpose": one.purpose,
        "alg": one.alg,
        "state": one.state,
        "created_at": one.created_at.isoformat(),
        "in_state_seconds": _seconds(now, one.since),
    }
    if one.signs_from is not None:
        told["may_sign_from"] = one.signs_from.isoformat()
    if one.leaves_at is not None:
        told["published_until"] = one.leaves_at.isoformat()
    return told


def _key_watch(facts: Facts) -> Json:
    last = facts.last_round
    return {
        "last_round": None
        if last is None
        else {
            "ended_at": last.ended_at.isoformat(),
            "age_seconds": _seconds(facts.at, last.ended_at),
            "key_sets": last.key_sets,
            "fetched": last.fetched,
            "failed": last.failed,
            "new_findings": last.new_findings,
        },
        "open_findings": [
            {"client_id": one.client_id, "kind": one.kind, "since": one.since.isoformat()} for one in facts.findings
        ],
        "more_open_findings": sum(facts.findings_by_kind.values()) - len(facts.findings),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _seconds(now: datetime, then: datetime) -> int:
    return max(0, int((now - then).total_seconds()))
