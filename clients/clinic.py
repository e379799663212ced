"""The assertion clinic: what the token endpoint would say to an assertion, and everything else that is wrong with it.

The checks are those of `assertions.py`, run one after the other without stopping. Nothing has an effect: a `jti` is
looked up and not spent, and a key set is fetched only when and as often as an assertion would have it fetched.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from clients.assertion_case import Case, Check
from clients.assertion_forms import claimed_client_id, kind_of_token, read_assertion
from clients.assertion_rules import CLIENT_CHECK
from clients.assertion_times import seconds, zone_hint
from clients.assertions import CHECKS, require_unspent
from clients.authentication import require_approved, require_method
from clients.compact_jws import CompactJws
from clients.diagnosis import Clock, Diagnosis, Finding, Keys
from clients.jwks_rules import UnusableJwks, shown
from clients.jws_signatures import holds
from clients.key_sets import held_copy
from clients.keys import KEY_TYPES, MAX_SHOWN, age, inline
from clients.models import AuthMethod
from clients.registered import RegisteredClient, require_active_at
from clients.visible import visible
from smartauth.conf import config
from smartauth.errors import InvalidClient, InvalidRequest, Refusal
from smartauth.storable import storable

NOTHING = CompactJws("", {}, {})
FORM = ("assertion.form", "It is one signed JWT in compact form")
# The way of a request through `authentication.py` and, at its end, the grant.
LADDER: tuple[Check, ...] = (
    CLIENT_CHECK,
    Check(
        "client.status",
        "The client is approved",
        lambda case: _ignore(require_approved(case.client, case.client.client_id)),
        show=lambda case: case.client.status,
    ),
    Check(
        "client.auth_method",
        "The client is registered for private_key_jwt",
        lambda case: require_method(case.client, AuthMethod.PRIVATE_KEY_JWT),
        show=lambda case: case.client.token_endpoint_auth_method,
    ),
    *(one for one in CHECKS if one is not CLIENT_CHECK),
    Check("assertion.jti_replayed", "The jti has not been used", require_unspent, ("assertion.jti",)),
    Check(
        "client.not_activated",
        "The client is active at a tenant",
        lambda case: _ignore(require_active_at(case.client, min(case.client.activations, default=""))),
        show=lambda case: ", ".join(sorted(case.client.activations)),
    ),
)
# Where the signature may be by a key of the client that nobody was told of.
ANOTHER_KEY = frozenset({"assertion.signature", "jwks.kid_unknown"})
MAX_TRIED = 20
LONGEST = 2_000  # characters of a text
BROUGHT_KEYS = ("jwk", "x5c", "x5u")


class NotYourAssertion(InvalidRequest):
    """The assertion names another client than the one it was brought for. Whether that one exists is not looked at."""


def diagnose(assertion: str, client: RegisteredClient, *, audiences: frozenset[str], now: datetime) -> Diagnosis:
    """Return what the token endpoint would say to an assertion of `client` at `now`, and what else is wrong with it.

    audiences: our token URLs and issuer, as a request to the endpoint in question may name them.    now: aware.
    May fetch the client's JWKS, so it must not be called inside a transaction (RuntimeError). Who may ask, and how
    often, is the caller's business. Raises NotYourAssertion.
    """
    try:
        read = read_assertion(assertion)
        _require_own(read, client)
    except InvalidClient as error:
        unread = Case.under(config(), NOTHING, client, audiences, now)
        findings = _run(unread, {check.name: FORM[1] for check in LADDER if not check.name.startswith("client.")})
        keys = _keys(client, None, now)
        return Diagnosis(client.client_id, now, (_finding(*FORM, error.refusal), *findings), keys=keys)
    case = Case.under(config(), read, client, audiences, now)
    findings = _run(case, {})
    return Diagnosis(
        client.client_id,
        now,
        (Finding(*FORM, "passed", seen=f"{len(assertion)} characters"), *findings, *_notes(case)),
        header=visible(read.header),
        claims=visible(read.claims),
        clock=_clock(case),
        keys=_keys(client, case, now),
    )


def _require_own(read: CompactJws, client: RegisteredClient) -> None:
    """Raise NotYourAssertion where the assertion names others only. It says so itself; nothing is looked up.

    Raises InvalidClient for a token of another kind.
    """
    named = [read.claims[name] for name in ("iss", "sub") if name in read.claims]
    if kind_of_token(read) and read.claims.get("iss") != read.claims.get("sub"):
        claimed_client_id(read)
    if not named or client.client_id in named:
        return
    raise NotYourAssertion(
        Refusal(
            "clinic.not_yours",
            "this assertion is not from your client",
            expected=f"{client.client_id} in iss and sub",
            seen=storable(" and ".join(dict.fromkeys(shown(one) for one in named)), LONGEST),
            fix="Set iss and sub to the client_id, or choose the client that signed it.",
        )
    )


def _run(case: Case, missing: dict[str, str]) -> list[Finding]:
    """Make every check that can be made. missing: names of those that cannot, with the title of what they lack.

    What fails, and what depends on it, is added to `missing`.
    """
    findings: list[Finding] = []
    for check in LADDER:
        cause = next((missing[name] for name in (check.name, *check.needs) if name in missing), None)
        if cause is not None:
            missing[check.name] = cause
            findings.append(_not_reached(check, cause))
            continue
        try:
            check.require(case)
        except InvalidClient as error:
            missing[check.name] = check.title
            findings.append(_with_another_key(_finding(check.name, check.title, error.refusal), case))
        else:
            findings.append(Finding(check.name, check.title, "passed", seen=storable(check.show(case), LONGEST)))
    return findings


def _finding(name: str, title: str, refusal: Refusal) -> Finding:
    texts = (storable(one, LONGEST) for one in (refusal.reason, refusal.expected, refusal.seen, refusal.fix))
    return Finding(name, title, "failed", refusal.rule, *texts)


def _not_reached(check: Check, cause: str) -> Finding:
    return Finding(check.name, check.title, "not reached", reason=f"it depends on: {cause}")


def _with_another_key(finding: Finding, case: Case) -> Finding:
    """Return the finding with the kid of the key that did sign, where it is another one of the set."""
    kid = _signing_kid(case) if finding.rule in ANOTHER_KEY else None
    if kid is None:
        return finding
    return replace(
        finding,
        seen=f"{finding.seen}; the signature verifies with the key of kid {shown(kid)}",
        fix=f"Write kid {shown(kid)} into the header, or sign with the private key of kid {shown(case.kid)}.",
    )


def _signing_kid(case: Case) -> str | None:
    """Return the kid of another key of the set that made the signature, None where none of the first few did.

    The token endpoint does not try them: anybody could make it work that hard.
    """
    if case.copy is None or not isinstance(case.alg, str) or case.alg not in case.algorithms:
        return None
    kty = KEY_TYPES[case.alg[:2]]
    fitting = [at for at, entry in enumerate(case.copy.entries) if entry["kty"] == kty and entry["kid"] != case.kid]
    for position in fitting[:MAX_TRIED]:
        try:
            key = case.copy.key_at(position)
        except UnusableJwks:
            continue
        if holds(case.assertion, key, case.alg):
            return str(case.copy.entries[position]["kid"])
    return None


def _notes(case: Case) -> Iterator[Finding]:
    brought = [name for name in BROUGHT_KEYS if name in case.assertion.header]
    if brought:
        yield Finding(
            "note.brought_key",
            "A key comes with the assertion and is not used",
            "note",
            reason="only registered and published keys count",
            seen=", ".join(brought),
            fix="Leave it out.",
        )
    if "iat" not in case.assertion.claims:
        yield Finding(
            "note.iat",
            "There is no iat",
            "note",
            reason="it is optional; with it the clocks can be compared",
            fix="Set iat to the time of signing.",
        )


def _clock(case: Case) -> Clock:
    iat, exp = case.moment("iat"), case.moment("exp")
    ahead = None if iat is None else seconds(iat - case.now)
    return Clock(case.now, iat, exp, ahead, _words(case, ahead))


def _words(case: Case, ahead: int | None) -> str:
    iat, exp = case.moment("iat"), case.moment("exp")
    if iat is None or ahead is None:
        if exp is not None and exp > case.now + case.max_lifetime:
            spare = seconds(exp - case.now - case.max_lifetime)
            return f"There is no iat. If signed for five minutes, your clock is {spare} s ahead of ours."
        return "There is no iat to compare the clocks by."
    hint = zone_hint(iat - case.now)
    if abs(ahead) <= 1:
        return "Your clock agrees with ours."
    if ahead > 0:
        tolerated = ahead <= seconds(case.leeway)
        return f"Your clock is {ahead} s ahead of ours{', which is tolerated' if tolerated else ''}.{hint}"
    return f"By your clock it was signed {-ahead} s ago: it is that old, or the clock is that much behind ours.{hint}"


def _keys(client: RegisteredClient, case: Case | None, now: datetime) -> Keys | None:
    """Return the key set as the checks saw it, or else what is in store of it. Never fetches."""
    copy, is_current = (case.copy if case else None), True
    if copy is None and client.jwks:
        with suppress(UnusableJwks):  # The checks tell of it.
            copy = inline(client.jwks)
    elif copy is None and client.jwks_uri:
        copy = held_copy(client.jwks_uri)
        is_current = copy is not None and copy.is_usable(now)
    if copy is None:
        return None
    kids = tuple(shown(entry["kid"]) for entry in copy.entries[:MAX_SHOWN])
    return Keys(client.jwks_uri, kids, len(copy.entries), age(copy, now), is_current)


def _ignore(value: object) -> None:
    """Make a check of a function that also returns what it found."""
