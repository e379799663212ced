"""What is wrong with one client assertion, as a value: for a page, for JSON, for whoever has to mend it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not reached", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `name` is the check's; `rule` the id of the refusal, "" where it did not fail."""

    name: str
    title: str
    outcome: Outcome
    rule: str = ""
    reason: str = ""
    expected: str = ""
    seen: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """The times of an assertion beside our own.

    ahead: by how many seconds the clock that signed seems to be ahead of ours, negative for behind; None where nothing
    tells.    words: the same, and what else it may mean.
    """

    now: datetime
    iat: datetime | None
    exp: datetime | None
    ahead: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The key set an assertion is checked against. `age`: of the copy in seconds, None for keys registered by value.

    `kids` are the first ones of `count`. `is_current` is False for a copy that has run out and is only shown.
    """

    jwks_uri: str
    kids: tuple[str, ...]
    count: int
    age: int | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An assertion under every check that it could be put to.

    header, claims: as they may be shown; None where the text could not be read. The signature is not among it.
    checks: in the order of the token endpoint, notes last.
    """

    client_id: str
    at: datetime
    checks: tuple[Finding, ...]
    header: Mapping[str, Any] | None = None
    claims: Mapping[str, Any] | None = None
    clock: Clock | None = None
    keys: Keys | None = None
    first: Finding | None = field(init=False)

    def __post_init__(self) -> None:
        failed = (one for one in self.checks if one.outcome == "failed")
        object.__setattr__(self, "first", next(failed, None))

    @property
    def others(self) -> tuple[Finding, ...]:
        """Return what else fails: the token endpoint would say it once the first is mended."""
        return tuple(one for one in self.checks if one.outcome == "failed" and one != self.first)

    @property
    def header_text(self) -> str:
        """Return the header as indented JSON in ASCII: what turns or hides text shows as what it is."""
        return json.dumps(self.header, indent=2)

    @property
    def claims_text(self) -> str:
        """Return the claims in the same way."""
        return json.dumps(self.claims, indent=2)

    @property
    def unnamed_keys(self) -> int:
        """Return how many keys of the set are not among its `kids` here."""
        return 0 if self.keys is None else self.keys.count - len(self.keys.kids)

    def as_json(self) -> dict[str, Any]:
        """Return the members of a JSON answer. `refused_by` is the finding the token endpoint would stop at, or null.

        Times are ISO 8601 in UTC.
        """
        return {
            "client_id": self.client_id,
            "at": self.at.isoformat(),
            "accepted": self.first is None,
            "refused_by": None if self.first is None else asdict(self.first),
            "header": self.header,
            "claims": self.claims,
            "clock": None if self.clock is None else _with_texts(asdict(self.clock)),
            "keys": None if self.keys is None else asdict(self.keys),
            "checks": [asdict(one) for one in self.checks],
        }


def _with_texts(members: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in members.items()}
