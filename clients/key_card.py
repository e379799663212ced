"""The keys of one client at a glance, for its owner and for operators: each key, the copy we hold, what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from django.db.models import Max
from django.utils import timezone

from clients.jwks_report import KeyReport, Problem, report_keys, rotation_in_words
from clients.jwks_rules import Jwk
from clients.key_finding_words import WORDS, details_in_words, in_words
from clients.key_sets import CLOCKS_DIFFER, FORCED_EVERY, Copy
from clients.key_watch import Kind
from clients.models import AuthMethod, Client, KeyFinding, KeySet, KeyUse, KeyWatchRound
from smartauth.conf import config

RESOLVED_SHOWN = 10


@dataclass(frozen=True, slots=True)
class CardKey:
    """One published or registered key. Texts are printable ASCII, "" where the key says nothing.

    last_used_at: its last good assertion, to ten minutes, within a week; None also for keys by value.
    first_seen_at: since when the watch knows it.
    """

    kid: str
    kty: str
    size: str
    alg: str
    use: str
    last_used_at: datetime | None
    last_used: str
    first_seen_at: datetime | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class CardFinding:
    """Something wrong with the key set, in words. `resolved_at` is None while it is."""

    kind: str
    title: str
    explanation: str
    fix: str
    details: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyCard:
    """What there is to say about the keys of one client. Times are aware; `copy`, `lifetime` and `next` are sentences.

    source: "url", "value", or "none" for clients that sign nothing.    fetched_at, expires_at: of the copy we hold.
    looked_at: when the watch last looked at all key sets.
    """

    client_id: str
    source: Literal["url", "value", "none"]
    jwks_uri: str
    keys: tuple[CardKey, ...]
    copy: str
    lifetime: str
    next: str
    fetched_at: datetime | None = None
    expires_at: datetime | None = None
    looked_at: datetime | None = None
    certificate_ends_at: datetime | None = None
    findings: tuple[CardFinding, ...] = ()
    resolved: tuple[CardFinding, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the card as JSON members; times in RFC 3339."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        return members


def key_card(client: Client, now: datetime | None = None) -> KeyCard:
    """Describe the keys of `client`. Fetches nothing. At most five statements."""
    now = now or timezone.now()
    if client.token_endpoint_auth_method != AuthMethod.PRIVATE_KEY_JWT:
        return KeyCard(client.client_id, "none", "", (), "The client does not sign with keys.", "", "")
    if client.client_jwks_uri:
        return _by_url(client, now)
    return KeyCard(
        client.client_id,
        "value",
        "",
        _keys((client.client_jwks or {}).get("keys", []), {}, {}, now, "not noted"),
        "The keys were registered by value.",
        "They count until the registration is changed.",
        "When you change keys, send the new set: an update of the registration, or a message to the operator.",
    )


def _by_url(client: Client, now: datetime) -> KeyCard:
    row = KeySet.objects.filter(jwks_uri=client.client_jwks_uri).first()
    looked_at = KeyWatchRound.objects.values_list("ended_at", flat=True).first()
    uses = KeyUse.objects.filter(client=client).values_list("kid").annotate(Max("used_at"))
    findings = [_finding(one) for one in client.key_findings.filter(resolved_at=None).order_by("first_seen_at")]
    resolved = client.key_findings.exclude(resolved_at=None).order_by("-resolved_at")[:RESOLVED_SHOWN]
    row = row or KeySet(jwks_uri=client.client_jwks_uri)
    entries = (row.document or {"keys": []})["keys"]
    return KeyCard(
        client.client_id,
        "url",
        client.client_jwks_uri,
        _keys(entries, dict(uses), row.first_seen, now, "not in the last seven days"),
        _copy_in_words(row, now),
        _lifetime_in_words(row),
        _next_in_words(row, looked_at, now),
        row.fetched_at,
        row.expires_at,
        looked_at,
        row.certificate_ends_at,
        tuple(findings),
        tuple(_finding(one) for one in resolved),
    )


def _keys(
    entries: list[Jwk], used: Mapping[str, datetime], seen: Mapping[str, str], now: datetime, unused: str
) -> tuple[CardKey, ...]:
    reports = report_keys(entries, config().assertion_algorithms)
    return tuple(
        _key(report, used.get(entry["kid"]), seen.get(entry["kid"]), now, unused)
        for entry, report in zip(entries, reports, strict=True)
    )


def _key(report: KeyReport, used_at: datetime | None, seen_at: str | None, now: datetime, unused: str) -> CardKey:
    return CardKey(
        report.kid,
        report.kty,
        report.size,
        report.alg,
        report.use,
        used_at,
        unused if used_at is None else f"{in_words(now - used_at)} ago",
        None if seen_at is None else datetime.fromisoformat(seen_at),
        report.problems,
    )


def _finding(row: KeyFinding) -> CardFinding:
    words = WORDS[Kind(row.kind)]
    return CardFinding(
        row.kind,
        words.title,
        words.explanation,
        words.fix,
        details_in_words(row.details),
        row.first_seen_at,
        row.last_seen_at,
        row.resolved_at,
    )


def _copy_in_words(row: KeySet, now: datetime) -> str:
    if row.document is None or row.fetched_at is None:
        return "The key set has not been read yet."
    if row.fetched_at > now + CLOCKS_DIFFER:
        return "The copy seems to be from the future and is not used."
    age = f"The copy is {in_words(now - row.fetched_at)} old"
    return f"{age}." if _is_usable(row, now) else f"{age} and may not be used any more."


def _lifetime_in_words(row: KeySet) -> str:
    if row.fetched_at is None or row.expires_at is None:
        return ""
    kept_for = int((row.expires_at - row.fetched_at).total_seconds())
    return rotation_in_words(kept_for, int(FORCED_EVERY.total_seconds()))


def _next_in_words(row: KeySet, looked_at: datetime | None, now: datetime) -> str:
    if row.expires_at is not None and _is_usable(row, now):
        fetch = f"It is read again when it is needed in {in_words(row.expires_at - now)} or later."
    else:
        fetch = "It is read again with the next assertion, or by the watch before."
    look = "No watch has looked yet." if looked_at is None else f"The watch looked {in_words(now - looked_at)} ago."
    return f"{fetch} {look}"


def _is_usable(row: KeySet, now: datetime) -> bool:
    return row.document is not None and Copy((), row.fetched_at, row.expires_at).is_usable(now)
