"""What a check of a client assertion is, and what it looks at.

Who verifies runs the checks in order and stops at the first that refuses; who explains runs the same ones and goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clients.compact_jws import CompactJws, numeric_date
from clients.jwks_rules import PublicKey
from clients.key_sets import Copy
from clients.registered import RegisteredClient
from smartauth.conf import Config
from smartauth.errors import InvalidClient, Refusal


@dataclass(slots=True)
class Case:
    """An assertion that could be read, and what it must agree with. Times are aware.

    audiences: the `aud` values that mean this server.    copy, key: found by the checks on keys, for those after them.
    """

    assertion: CompactJws
    client: RegisteredClient
    audiences: frozenset[str]
    now: datetime
    algorithms: tuple[str, ...]
    max_lifetime: timedelta
    leeway: timedelta  # granted on either side of every time
    copy: Copy | None = None
    key: PublicKey | None = None

    @classmethod
    def under(
        cls, config: Config, assertion: CompactJws, client: RegisteredClient, audiences: frozenset[str], now: datetime
    ) -> "Case":
        """Return the case of an assertion under the settings of this server."""
        limits = (config.assertion_algorithms, config.assertion_lifetime, config.clock_leeway)
        return cls(assertion, client, audiences, now, *limits)

    @property
    def alg(self) -> Any:
        """Return `alg` as it stands in the header; text of our list once its check has passed."""
        return self.assertion.header.get("alg")

    @property
    def kid(self) -> Any:
        """Return `kid` as it stands in the header; text once its check has passed."""
        return self.assertion.header.get("kid")

    def moment(self, claim: str) -> datetime | None:
        """Return the time in a claim, None where there is none or it cannot be read."""
        return numeric_date(self.assertion.claims.get(claim))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    name: stable; the rule ids of its refusals are its own or near it.    title: what holds, as a person says it.
    require: raises InvalidClient unless it holds.    needs: names of checks without which it means nothing.
    show: what was seen, for somebody who looks at a check that passed.
    """

    name: str
    title: str
    require: Callable[[Case], None]
    needs: tuple[str, ...] = ()
    show: Callable[[Case], str] = lambda case: ""


def refuse(rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "") -> InvalidClient:
    """Make the refusal of an assertion; `rule` comes without its "assertion." prefix."""
    return InvalidClient(Refusal(f"assertion.{rule}", reason, expected=expected, seen=seen, fix=fix))
