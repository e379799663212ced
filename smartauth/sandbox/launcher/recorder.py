"""The flight recorder: one row for each request of a launch, a bounded number of them, and how they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from smartauth.receipts.views import describe, find_receipt
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habit_mark import of_habit
from smartauth.sandbox.launcher.report_card import report_card
from smartauth.sandbox.launcher.seen import PARTS, Seen
from smartauth.sandbox.models import Run, Step

MOST_STEPS = 300  # of one run
WHY = ("rule", "reason", "expected", "seen", "fix")
LONGEST_WHY = 500  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """A request to be kept. `took`: milliseconds.  `trace_id`: under which a refusal has its receipt.

    `why`: what of its reasons the launcher knows better than the receipt, because it changed the request: name to text.
    """

    part: str
    what: str
    outcome: str
    status: int
    at: datetime
    took: int = 0
    trace_id: UUID | None = None
    is_refusal: bool = False
    fault: str = ""
    facts: dict[str, Any] | None = None
    why: Mapping[str, str] = field(default_factory=dict)


def keep(run: Run, entry: Entry) -> None:
    """Store a request of a run; once there are very many, nothing more is kept."""
    if run.steps.count() >= MOST_STEPS:
        return
    receipt = find_receipt(entry.trace_id) if entry.is_refusal and entry.trace_id else None
    told = {**describe(receipt, "partner"), **entry.why} if receipt else {}
    Step.objects.create(
        run=run,
        at=entry.at,
        part=entry.part,
        what=entry.what,
        outcome=entry.outcome[:255],
        status=entry.status,
        took=entry.took,
        trace_id=entry.trace_id,
        fault=entry.fault,
        facts=entry.facts or {},
        **{name: told.get(name, "")[:LONGEST_WHY] for name in WHY},
    )


def told(run: Run) -> dict[str, Any]:
    """Return everything that was seen of a run and the report on it, JSON-ready."""
    steps = list(run.steps.order_by("pk"))
    seen = [Seen(step.part, step.status, step.rule, step.fault, step.facts) for step in steps]
    marks = (*of_habit(seen, run.habit), *report_card(seen, kind=run.kind, fault=run.fault))
    return {
        "steps": [_told(step, since=run.begun_at) for step in steps],
        "is_full": len(steps) >= MOST_STEPS,
        "report": [{"id": m.id, "title": m.title, "verdict": m.verdict, "says": m.says, "fix": m.fix} for m in marks],
    }


def _told(step: Step, *, since: datetime) -> dict[str, Any]:
    return {
        "number": step.pk,
        "after": round((step.at - since).total_seconds(), 1),  # seconds from the beginning of the launch
        "part": PARTS.get(step.part, step.part),
        "what": step.what,
        "status": step.status,
        "outcome": step.outcome,
        "took": step.took,
        "is_refused": bool(step.rule) or step.status >= 400,
        "trace_id": str(step.trace_id or ""),
        "fault": FAULTS[step.fault].title if step.fault in FAULTS else "",
        **{name: getattr(step, name) for name in WHY},
    }
