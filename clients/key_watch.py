"""What is wrong with the key set a client publishes, seen beside the copy before and the keys it works with.

Decides only: no query, no clock, no network.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 7517 §4.5.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from clients.jwks_report import CERTIFICATE_WARNING, use_problems
from clients.jwks_rules import Jwk, UnusableJwks, import_public_key, shown
from clients.models import KeyFinding

Kind = KeyFinding.Kind
Details = dict[str, object]

# Longer apart, two copies without a key in common may well have had one in between.
OVERLAP_SEEN_WITHIN = timedelta(hours=2)
# A use is noted in steps of ten minutes, and an assertion lives five more: what was used so lately is still needed.
STILL_NEEDED = timedelta(minutes=15)
MAX_NAMED = 20  # kids in one finding
FROM_FETCHING = frozenset({Kind.UNREACHABLE, Kind.UNREADABLE, Kind.PRIVATE_KEY})
RULES_OF_CONTENT = frozenset({"jwks.not_json", "jwks.no_keys", "jwks.too_many_keys", "jwks.key_malformed"})


@dataclass(frozen=True, slots=True)
class Look:
    """One copy of a key set, or why there is none newer. Times are aware.

    problem: "rule: reason" of the last fetch where it failed; the rest is of no account then.
    """

    problem: str
    entries: tuple[Jwk, ...] = ()
    fetched_at: datetime | None = None
    certificate_ends_at: datetime | None = None
    previous_kids: frozenset[str] | None = None
    previous_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`findings` by kind, out of `judged`: what is judged and not found is mended; of other kinds nothing is known."""

    findings: Mapping[Kind, Details]
    judged: frozenset[Kind]


def judge(
    look: Look,
    used: Mapping[str, datetime],
    *,
    algorithms: Collection[str],
    now: datetime,
    rotation: Details | None = None,
) -> Verdict:
    """Say what is wrong with a client's key set.

    used: kid to the last time it signed a good assertion of the client, lately.    algorithms: those accepted.
    rotation: details of a rotation without overlap that was found before and is not over.
    """
    if look.problem:
        rule, _, reason = look.problem.partition(": ")
        return Verdict({_kind_of(rule): {"rule": rule, "reason": reason}}, FROM_FETCHING)
    kids = Counter(entry["kid"] for entry in look.entries)
    vanished = _vanished(frozenset(kids), used, now)
    left = None if look.certificate_ends_at is None else look.certificate_ends_at - now
    lost = _lost_overlap(look, frozenset(kids))
    if lost is None and rotation is not None and kids and vanished:
        lost = rotation  # The client has not yet signed with a key of the new set.
    candidates: dict[Kind, Details | None] = {
        Kind.EMPTY: {} if not kids else None,
        Kind.KID_CLASH: _naming([kid for kid, count in kids.items() if count > 1]),
        Kind.UNFIT_KEY: _unfit(look.entries, algorithms),
        # Where nothing is published, or all was replaced, nothing more needs to be said about single keys.
        Kind.VANISHED: _naming(vanished) if kids and lost is None else None,
        Kind.NO_OVERLAP: lost,
        Kind.CERTIFICATE: {"days_left": max(0, left.days)} if left is not None and left < CERTIFICATE_WARNING else None,
    }
    # A copy that was looked at before says nothing new about the change that led to it.
    unknown = {Kind.NO_OVERLAP} if look.previous_at == look.fetched_at else set()
    findings = {kind: details for kind, details in candidates.items() if details is not None}
    return Verdict(findings, frozenset(Kind) - unknown)


def _kind_of(rule: str) -> Kind:
    if rule == "jwks.private_key":
        return Kind.PRIVATE_KEY
    return Kind.UNREADABLE if rule in RULES_OF_CONTENT else Kind.UNREACHABLE


def _naming(kids: Collection[str]) -> Details | None:
    return {"kids": [shown(kid) for kid in sorted(kids)[:MAX_NAMED]], "count": len(kids)} if kids else None


def _unfit(entries: tuple[Jwk, ...], algorithms: Collection[str]) -> Details | None:
    rules: dict[str, str] = {}
    for entry in entries:
        found = [problem.rule for problem in use_problems(entry, algorithms)]
        try:
            import_public_key(entry)
        except UnusableJwks as error:
            found.insert(0, error.rule)
        if found and len(rules) < MAX_NAMED:
            rules[shown(entry["kid"])] = found[0]
    return {"rules": rules} if rules else None


def _vanished(published: frozenset[str], used: Mapping[str, datetime], now: datetime) -> list[str]:
    """Return the kids a client still needs and no longer publishes.

    A key is no longer needed once a published one has been used since, and its last assertion has expired.
    """
    last_good = max((at for kid, at in used.items() if kid in published), default=None)
    return [
        kid
        for kid, at in used.items()
        if kid not in published and (last_good is None or last_good < at or now - at < STILL_NEEDED)
    ]


def _lost_overlap(look: Look, kids: frozenset[str]) -> Details | None:
    """Return what went and what came where a whole set was replaced between two copies that followed each other."""
    if not kids or not look.previous_kids or kids & look.previous_kids:
        return None
    if look.fetched_at is None or look.previous_at is None:
        return None
    if not timedelta(0) <= look.fetched_at - look.previous_at <= OVERLAP_SEEN_WITHIN:
        return None
    gone, came = (sorted(shown(kid) for kid in some)[:MAX_NAMED] for some in (look.previous_kids, kids))
    return {"gone": gone, "came": came}
