"""What is right and wrong with a published key set, key by key. Pure: a fetch goes in, a report comes out.

The server itself stops at the first fault; whoever has to mend a key set wants all of them. Private values never enter.
Source: RFC 7517 §4 and §5; RFC 9111 §4.2; SMART 2.2 client-confidential-asymmetric.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clients.jwks_fetch import FetchedJwks
from clients.jwks_rules import (
    MAX_KEYS,
    PARTS,
    PRIVATE_MEMBERS,
    Jwk,
    UnusableJwks,
    decode_jwks,
    import_public_key,
    is_kid,
    read_jwks,
    shown,
)

CERTIFICATE_WARNING = timedelta(days=14)
ALGORITHMS = {"RSA": ("RS", "PS"), "EC": ("ES",)}
ALGORITHM_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `rule` is stable; the rest is for a person."""

    rule: str
    reason: str
    seen: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One entry, in the order published. Texts are empty where the entry says nothing."""

    kid: str
    kty: str
    alg: str
    use: str
    size: str  # "2048 bits" or "P-384"
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class JwksReport:
    """What a look at a JWKS URL found. `findings` are about the answer as a whole, in the order they were seen."""

    findings: tuple[Problem, ...]
    keys: tuple[KeyReport, ...] = ()
    content_type: str = ""
    cache_control: str = ""
    kept_for: int | None = None  # seconds; None where nothing could be kept
    rotation: str = ""  # what the caching headers mean for a change of keys
    certificate_ends_at: datetime | None = None

    @property
    def is_healthy(self) -> bool:
        """Return True when there is nothing to mend."""
        return not self.findings and not any(key.problems for key in self.keys)


def make_report(
    outcome: FetchedJwks | UnusableJwks, *, algorithms: Collection[str], forced_every: timedelta, now: datetime
) -> JwksReport:
    """Report on what a fetch brought.

    algorithms: signature algorithms an assertion may have.    forced_every: how often an unknown `kid` may make the
    server look again before its copy has expired.
    """
    if isinstance(outcome, UnusableJwks):
        return JwksReport((_problem(outcome),))
    headers = dict(reversed(outcome.headers))
    return JwksReport(
        (*_http_findings(headers, outcome.certificate_ends_at, now), *_set_findings(outcome.body)),
        tuple(_key_reports(outcome.body, algorithms)),
        shown(headers.get("content-type", "")) if "content-type" in headers else "",
        shown(headers.get("cache-control", "")) if "cache-control" in headers else "",
        int(outcome.lifetime.total_seconds()),
        rotation_in_words(int(outcome.lifetime.total_seconds()), int(forced_every.total_seconds())),
        outcome.certificate_ends_at,
    )


def _problem(error: UnusableJwks) -> Problem:
    return Problem(error.rule, str(error), error.seen, error.fix)


def _http_findings(headers: dict[str, str], certificate_ends_at: datetime | None, now: datetime) -> list[Problem]:
    found = []
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        found.append(
            Problem(
                "jwks.content_type",
                "the answer does not call itself JSON; this server reads it, others may not",
                shown(media_type) if media_type else "no Content-Type",
                "Serve the key set as application/json.",
            )
        )
    if certificate_ends_at is not None and certificate_ends_at - now < CERTIFICATE_WARNING:
        found.append(
            Problem(
                "jwks.certificate_ends",
                "the certificate of the host is about to expire",
                f"{max(0, (certificate_ends_at - now).days)} days left",
                "Renew the certificate.",
            )
        )
    return found


def _set_findings(body: bytes) -> list[Problem]:
    """Return why the set as a whole would be refused, or is of no use; faults of single keys stand with the keys."""
    try:
        usable = read_jwks(decode_jwks(body))
    except UnusableJwks as error:
        return [_problem(error)]
    if not usable:
        return [
            Problem(
                "jwks.no_usable_key",
                "the key set has no RSA or EC key with a kid",
                fix="Add an RSA or EC key with a kid.",
            )
        ]
    return []


def _key_reports(body: bytes, algorithms: Collection[str]) -> list[KeyReport]:
    try:
        document = decode_jwks(body)
    except UnusableJwks:
        return []
    listed = document.get("keys") if isinstance(document, dict) else None
    entries = [entry for entry in listed[:MAX_KEYS] if isinstance(entry, dict)] if isinstance(listed, list) else []
    return report_keys(entries, algorithms)


def report_keys(entries: Sequence[Jwk], algorithms: Collection[str]) -> list[KeyReport]:
    """Report on each entry of a key set, in the order given."""
    kids = Counter(entry["kid"] for entry in entries if isinstance(entry.get("kid"), str))
    return [_key_report(entry, kids, algorithms) for entry in entries]


def _key_report(entry: Jwk, kids: Counter[str], algorithms: Collection[str]) -> KeyReport:
    size, whole = _size(entry)
    problems = (*_naming_problems(entry, kids), *whole, *use_problems(entry, algorithms))
    kid, kty, alg, use = (shown(entry[name]) if name in entry else "" for name in ("kid", "kty", "alg", "use"))
    return KeyReport(kid, kty, alg, use, size, problems)


def _naming_problems(entry: Jwk, kids: Counter[str]) -> list[Problem]:
    found = []
    kid = entry.get("kid")
    if not is_kid(kid):
        found.append(
            Problem("jwks.kid_missing", "the key has no kid, so no assertion can name it", fix="Give it a kid.")
        )
    elif kids[kid] > 1:
        found.append(
            Problem(
                "jwks.kid_ambiguous", "several keys have this kid", f"{kids[kid]} keys", "Give each key its own kid."
            )
        )
    private = sorted(PRIVATE_MEMBERS.intersection(entry))
    if private:
        found.append(
            Problem(
                "jwks.private_key",
                "the private part of the key is published; the whole set is refused",
                f"the members {', '.join(private)}",
                "Make a new key pair, publish only its public part, and never use this one again.",
            )
        )
    return found


def _size(entry: Jwk) -> tuple[str, tuple[Problem, ...]]:
    """Return how large the key is and what keeps it from being a key that can verify."""
    kty = entry.get("kty")
    if kty == "oct":
        fix = "Remove it: a symmetric key is a secret."
        return "", (Problem("jwks.symmetric_key", "a symmetric key (oct) has no public part", fix=fix),)
    if not isinstance(kty, str) or kty not in PARTS:
        reason = "the key is of a type that is not used here, and is skipped"
        return "", (Problem("jwks.key_type", reason, shown(kty), "Publish an RSA or EC key."),)
    try:
        key = import_public_key(entry)
    except UnusableJwks as error:
        return _claimed_size(entry), (_problem(error),)
    return (f"{key.public_key.key_size} bits" if kty == "RSA" else str(entry["crv"])), ()


def _claimed_size(entry: Jwk) -> str:
    if entry["kty"] == "EC":
        return shown(entry["crv"]) if "crv" in entry else ""
    modulus = entry.get("n")
    return f"about {len(modulus) * 6} bits" if isinstance(modulus, str) else ""


def use_problems(entry: Jwk, algorithms: Collection[str]) -> list[Problem]:
    """Return why no assertion could be verified with this RSA or EC key, for what it says it is for."""
    found = []
    kty = entry.get("kty")
    if entry.get("use", "sig") != "sig":
        found.append(
            Problem(
                "jwks.key_use", "the key is not for signatures", f"use {shown(entry['use'])}", 'Publish "use": "sig".'
            )
        )
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        fix = 'Publish "key_ops": ["verify"], or leave it out.'
        found.append(Problem("jwks.key_ops", "the key is not for verifying", f"key_ops {shown(operations)}", fix))
    if not isinstance(kty, str) or kty not in PARTS:
        return found
    fitting = [alg for alg in algorithms if alg.startswith(ALGORITHMS[kty])]
    if kty == "EC":
        fitting = [alg for alg in fitting if alg == ALGORITHM_OF_CURVE.get(str(entry.get("crv")))]
    alg = entry.get("alg")
    if not fitting or ("alg" in entry and alg not in fitting):
        found.append(
            Problem(
                "jwks.key_alg",
                "no accepted signature algorithm fits the key",
                f"alg {shown(alg)}" if "alg" in entry else shown(entry.get("crv")),
                f"Use one of {', '.join(sorted(algorithms))} with a key of its type and curve.",
            )
        )
    return found


def rotation_in_words(kept_for: int, forced_every: int) -> str:
    """Say what it means for a change of keys that a copy is kept for so many seconds."""
    if kept_for == 0:
        return (
            "The answer may not be kept: it is fetched for every assertion. A new key counts at once, and a withdrawn "
            "one stops at once; while the host is down nobody gets in."
        )
    return (
        f"A copy is kept for {kept_for} s. A new key may go unseen for {min(kept_for, forced_every)} s, since an "
        f"unknown kid makes the server look again at most that often. A withdrawn key may be accepted for {kept_for} s "
        "more. Publish a new key before it signs, and withdraw the old one when its last assertion has expired."
    )
