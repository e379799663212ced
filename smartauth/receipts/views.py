"""The two views of a receipt, as data."""

from collections.abc import Collection, Mapping
from typing import Any, Literal
from uuid import UUID

from smartauth.receipts.models import Receipt

View = Literal["officer", "partner"]

# What the owner of the client may see: a function of request, client, token and policy only, never of upstream data.
PARTNER = (
    "trace_id",
    "at",
    "endpoint",
    "status",
    "error",
    "rule",
    "reason",
    "expected",
    "seen",
    "fix",
    "client_id",
    "tenant",
)
OFFICER = (*PARTNER, "officer", "decision", "method", "remote_address", "correlation_id")


STEPS = (
    "user",
    "authorization",
    "patient",
    "parse",
    "grants",
    "plan",
    "upstream_calls",
    "checked",
    "removed",
    "switches",
)


def find_receipt(trace_id: UUID) -> Receipt | None:
    """Return the receipt of one request, or None: allowed requests and old refusals have none."""
    return Receipt.objects.filter(trace_id=trace_id).first()


def receipts_of_client(client_id: str, *, endpoints: Collection[str], limit: int) -> list[Receipt]:
    """Return the newest receipts of a client at these endpoints, without what only the officer sees."""
    found = Receipt.objects.filter(client_id=client_id, endpoint__in=endpoints).order_by("-at")
    return list(found.only(*PARTNER)[:limit])


def describe(receipt: Receipt, view: View) -> dict[str, Any]:
    """Return the members of `receipt` that `view` may see, JSON-ready, in a fixed order."""
    described: dict[str, Any] = {}
    for name in OFFICER if view == "officer" else PARTNER:
        value = getattr(receipt, name)
        if isinstance(value, dict):  # The database keeps no order of members.
            value = {step: value[step] for step in (*STEPS, *sorted(value)) if step in value}
        described[name] = value if isinstance(value, int | dict) else value.isoformat() if name == "at" else str(value)
    return described


def as_text(told: Mapping[str, Any]) -> str:
    """Return the partner's view of a receipt as lines of text, to paste into a mail.    told: from `describe`."""
    lines = (
        ("Trace", told["trace_id"]),
        ("When", told["at"]),
        ("Request", " at ".join(filter(None, (told["endpoint"], told["tenant"])))),
        ("Client", told["client_id"]),
        ("Answer", f"{told['status']} {told['error']}".strip()),
        ("Rule", told["rule"]),
        ("Why", told["reason"]),
        ("Expected", told["expected"]),
        ("Seen", told["seen"]),
        ("What mends it", told["fix"]),
    )
    return "\n".join(f"{label}: {text}" for label, text in lines if text)
