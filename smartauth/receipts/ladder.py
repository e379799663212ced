"""A receipt as a ladder: what was looked at one after the other, up to what refused it.

Only what is certain from the rule is claimed to have passed; a rule with no known place has no ladder.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smartauth.receipts.models import Receipt

State = Literal["passed", "refused", "not reached", "noted"]

# The token endpoint, in the order of `smartauth/views/token.py`. A rule belongs to the first rung that names it or,
# failing that, its family.
TOKEN_RUNGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The request can be read", ("http", "token.grant_type", "target.unknown", "target.several", "target.path")),
    ("It may use this grant type", ("client.grant_type",)),
    ("Its proof of possession holds", ("dpop",)),
    (
        "The code or refresh token is good, and the client works at the tenant",
        (
            *("client.not_activated", "client.not_active", "target.ambiguous"),
            *("code", "pkce", "refresh_token", "grant"),
        ),
    ),
    ("The scopes may be granted", ("scope",)),
    # Looked at second; last here, because its family has members above.
    ("The client is known, approved, and proves who it is", ("client", "assertion", "jwks")),
)
ORDER = (0, 5, 1, 2, 3, 4)

# The FHIR API: what the steps of a decision mean, in the order in which they are taken.
FHIR_STEPS = (
    ("user", "Who is signed in"),
    ("authorization", "Under which Authorization"),
    ("patient", "Patient in context"),
    ("parse", "What was asked for"),
    ("grants", "What the token allows"),
    ("plan", "What was decided"),
    ("upstream_calls", "Requests to the FHIR server"),
    ("checked", "Resources that were checked"),
    ("removed", "Resources that were kept back"),
    ("switches", "Loosened switches that played a part"),
)
BEFORE_FHIR = ("bearer", "token", "dpop")


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing that was looked at. `detail` is text, maybe of several lines."""

    title: str
    state: State
    detail: str = ""


def ladder(receipt: Receipt, *, officer: bool) -> tuple[Rung, ...]:
    """Return the rungs of a receipt, up to the one that refused. officer: with the steps of a decision."""
    why = f"{receipt.reason} ({receipt.rule})"
    if receipt.endpoint == "token":
        return tuple(_token(receipt.rule, why))
    if receipt.endpoint == "fhir":
        return tuple(_fhir(receipt, why, officer))
    return ()


def _token(rule: str, why: str) -> Iterator[Rung]:
    place = _place_of(rule)
    if place is None:
        return
    refused = ORDER.index(place)
    for position, index in enumerate(ORDER):
        title, _ = TOKEN_RUNGS[index]
        if position < refused:
            yield Rung(title, "passed")
        else:
            yield Rung(title, "refused", why) if position == refused else Rung(title, "not reached")


def _place_of(rule: str) -> int | None:
    family = rule.partition(".")[0]
    for name in (rule, family):
        for index, (_, rules) in enumerate(TOKEN_RUNGS):
            if name in rules:
                return index
    return None


def _fhir(receipt: Receipt, why: str, officer: bool) -> Iterator[Rung]:
    if receipt.rule.partition(".")[0] in BEFORE_FHIR:
        yield Rung("The token is good for this FHIR base", "refused", why)
        return
    decision: Mapping[str, Any] = receipt.decision if officer else {}
    for name, title in FHIR_STEPS:
        if name in decision and decision[name] not in (None, "", []):
            yield Rung(title, "noted", _written(decision[name]))
    if decision:
        yield Rung("Outcome", "refused", why)


def _written(value: Any) -> str:
    """Write one step of a decision: lists line by line, and JSON objects as `name: value`."""
    match value:
        case Mapping():
            return "\n".join(f"{name}: {_short(one)}" for name, one in value.items())
        case list():
            return "\n".join(_short(one) for one in value)
    return str(value)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_short(one) for one in value) or "none"
    return value if isinstance(value, str) else json.dumps(value)
