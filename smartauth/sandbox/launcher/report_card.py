"""How an app did in one launch, judged from what was seen of it. Pure: the same requests give the same card.

Source: SMART 2.2 app-launch, "Obtain authorization code" and best practices; RFC 9700 §2.1; OIDC Core §3.1.2.1.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from smartauth.policy.scopes import ResourceScope, find_scope
from smartauth.sandbox.launcher.faults import ALTERED_STATE, EXPIRED_TOKEN
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS
from smartauth.sandbox.launcher.seen import Seen

# 122 random bits are asked for (SMART 2.2); in base64url, the densest spelling in use, these are 21 characters.
SHORTEST_STATE = 21
CHALLENGE_LENGTH = 43  # of a SHA-256 digest in base64url (RFC 7636 §4.2)

Verdict = Literal["good", "look", "bad", "open"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of the card. `verdict`: good; look: worth a look; bad: mend it; open: there was nothing to judge yet."""

    id: str
    title: str
    verdict: Verdict
    says: str

    @property
    def fix(self) -> str:
        """Return how to mend it, "" where nothing is wrong."""
        return FIXES.get(self.id, "") if self.verdict in ("look", "bad") else ""


FIXES = {
    "pkce": "Make a new verifier for each request and send its SHA-256 in base64url, with code_challenge_method=S256.",
    "state": "Make it of 16 random bytes or more, keep it in the browser's session, and drop answers with any other.",
    "nonce": "Send a random nonce with openid, and compare it with the one in the ID token.",
    "aud": "Send the FHIR base URL as aud: the iss of the launch, or the URL the app was told.",
    "launch": "From an EHR send launch as it came and ask for the scope launch; on your own ask for launch/patient.",
    "code": "Exchange each code once and at once, with the redirect_uri and the verifier of its own request.",
    "unused": "Ask for what the app reads and no more, and later for more if it needs it.",
    "refused": "See above for the reason of each: most say how to mend it.",
    "refresh": "Before a token ends, or when one is refused with 401, send grant_type=refresh_token once.",
    "expired": "When one request is refused with 401, hold the others back until there is a new token.",
}

Judge = Callable[[Sequence[Seen], str, str], Mark]


def report_card(seen: Sequence[Seen], *, kind: str, fault: str = "") -> tuple[Mark, ...]:
    """Return the marks of one launch, in the order of the flow.

    seen: its requests, oldest first.    kind: of launch.    fault: what went wrong on purpose, "" for nothing.
    """
    judges = OF_SERVICES if kind == BACKEND else OF_APPS
    return tuple(judge(seen, kind, fault) for judge in judges)


def _requests(seen: Sequence[Seen]) -> list[Seen]:
    """Return the authorization requests, a pushed one once."""
    return [one for one in seen if one.part in ("authorize", "par") and not one.facts.get("pushed")]


def _pkce(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("pkce", "PKCE with S256")
    asked = _requests(seen)
    if not asked:
        return mark("open", "No authorization request yet.")
    methods = {one.facts.get("pkce", "") for one in asked}
    if methods - {"S256"}:
        return mark("bad", f"A request came with {' and '.join(sorted(methods - {'S256'})) or 'no code_challenge'}.")
    if any(one.facts.get("challenge_length") != CHALLENGE_LENGTH for one in asked):
        return mark("bad", f"A code_challenge is not {CHALLENGE_LENGTH} characters long, as a SHA-256 digest is.")
    return mark("good", "Every request had a challenge.")


def _discovery(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("discovery", "Endpoints are looked up")
    if any(one.part == "discovery" and not one.is_refused for one in seen):
        return mark("good", "The app asked where they are.")
    return mark("open", "No look was seen: the app may have it from before, or ask from where nobody can tell.")


def _state(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("state", "A state that is checked and cannot be guessed")
    asked = _requests(seen)
    if not asked:
        return mark("open", "No authorization request yet.")
    shortest = min(one.facts.get("state_length", 0) for one in asked)
    if not shortest:
        return mark("bad", "A request came without state.")
    altered = next((at for at, one in enumerate(seen) if one.fault == ALTERED_STATE), None)
    if altered is not None and any(_is_exchange(one) for one in seen[altered:]):
        return mark("bad", "The answer came with another state, and the app exchanged its code all the same.")
    checked = "" if altered is None else " The answer with another state was not used."
    if shortest < SHORTEST_STATE:
        return mark("look", f"{shortest} characters cannot hold the 122 random bits that SMART asks for.{checked}")
    return mark(
        "good", f"{shortest} characters.{checked or ' Whether it is checked shows with the fault Altered state.'}"
    )


def _nonce(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("nonce", "A nonce with openid")
    asked = [one for one in _requests(seen) if "openid" in _scopes(one)]
    if not _requests(seen):
        return mark("open", "No authorization request yet.")
    if not asked:
        return mark("open", "openid was not asked for.")
    if not all(one.facts.get("nonce") for one in asked):
        return mark("look", "Without one the app cannot tell that the ID token answers its own request.")
    return mark("good", "Every request had one.")


def _aud(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("aud", "aud right the first time")
    asked = _requests(seen)
    if not asked:
        return mark("open", "No authorization request yet.")
    wrong = sum(not one.facts.get("aud_right") for one in asked)
    if not asked[0].facts.get("aud_right"):
        return mark("bad", "The first request did not name the FHIR base.")
    return mark("look", f"{wrong} later did not.") if wrong else mark("good", "It was the FHIR base of this server.")


def _launch(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("launch", "The launch is handed on")
    asked = _requests(seen)
    if not asked:
        return mark("open", "No authorization request yet.")
    if not KINDS[kind].from_ehr:
        stray = any("launch" in _scopes(one) for one in asked)
        return mark("look", "launch was asked for, and no EHR began this.") if stray else mark("good", "None was due.")
    if not all(one.facts.get("launch") for one in asked):
        return mark("bad", "A request did not send the launch parameter that came with the launch.")
    if not all("launch" in _scopes(one) for one in asked):
        return mark("bad", "A request sent launch without asking for the scope launch.")
    return mark("good", "Parameter and scope came together.")


def _code(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("code", "The code is exchanged once, in time")
    exchanged = [one for one in seen if _is_exchange(one)]
    if not exchanged:
        return mark("open", "No code was exchanged yet.")
    theirs = [one for one in exchanged if one.is_refused and not one.fault]
    if theirs:
        return mark("bad", f"{len(theirs)} of {len(exchanged)} were refused: {_rules(theirs)}.")
    return mark("good", "It was spoilt on purpose." if all(one.is_refused for one in exchanged) else "It was good.")


def _unused(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("unused", "No scope is asked for in vain")
    tokens = [one for one in seen if one.part == "token" and not one.is_refused]
    granted = [
        scope for scope in (_scopes(tokens[-1]) if tokens else ()) if isinstance(find_scope(scope), ResourceScope)
    ]
    reads = [one for one in seen if one.part == "fhir" and not one.is_refused]
    if not granted:
        return mark("open", "No access to records was granted yet.")
    if not reads:
        return mark("open", "Nothing was read yet.")
    unused = [scope for scope in granted if not any(_permits(scope, one) for one in reads)]
    if unused:
        return mark("look", f"Granted, and not used: {' '.join(unused)}.")
    return mark("good", "Each granted scope was used.")


def _refused(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("refused", "Nothing is refused")
    if not seen:
        return mark("open", "No request yet.")
    refused = [one for one in seen if one.is_refused and not one.fault]
    spoilt = sum(1 for one in seen if one.fault)
    if refused:
        beside = f" {spoilt} more met the fault you chose." if spoilt else ""
        return mark("look", f"{len(refused)} refused: {_rules(refused)}.{beside}")
    return mark("good", f"No request was{f', but for {spoilt} that met the fault you chose' if spoilt else ''}.")


def _refresh(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("refresh", "The refresh token is used")
    tokens = [one for one in seen if one.part == "token"]
    used = [one for one in tokens if one.facts.get("grant_type") == "refresh_token"]
    if any(not one.is_refused for one in used):
        return mark("good", "A new access token was fetched with it.")
    if used:
        return mark("look", f"It was tried and refused: {_rules(used)}.")
    if not tokens:
        return mark("open", "No token was asked for yet.")
    if not any(one.facts.get("refresh_token") for one in tokens):
        return mark(
            "open", "The app got none: it asked for neither offline_access nor online_access, or was not given it."
        )
    if fault == EXPIRED_TOKEN and any(one.rule == "token.expired" for one in seen):
        return mark("bad", "The access token had expired, and the app did not fetch a new one.")
    return mark("open", "The app has one, and did not need it yet.")


def _expired(seen: Sequence[Seen], kind: str, fault: str) -> Mark:
    mark = _marker("expired", "An expired token is let go")
    if not any(one.part == "fhir" for one in seen):
        return mark("open", "Nothing was read yet.")
    told, most = 0, 0
    for one in seen:
        if one.part == "token" and not one.is_refused:
            told = 0
        elif one.rule == "token.expired":
            told, most = told + 1, max(most, told + 1)
    if not most:
        return mark("good", "None was shown.")
    # What was sent at the same time could not know yet.
    if most > AT_ONCE:
        return mark("look", f"One was shown {most} times.")
    return mark("good", "The app stopped when it was told.")


AT_ONCE = 6  # requests a browser makes to one host at the same time


def _is_exchange(one: Seen) -> bool:
    return one.part == "token" and one.facts.get("grant_type") == "authorization_code"


def _scopes(one: Seen) -> list[str]:
    return str(one.facts.get("scopes", "")).split()


def _permits(scope: str, read: Seen) -> bool:
    parsed = find_scope(scope)
    letter, kind = read.facts.get("letter", ""), read.facts.get("type", "")
    return isinstance(parsed, ResourceScope) and bool(letter) and parsed.permits(letter, kind)


def _rules(refused: Sequence[Seen]) -> str:
    counted = Counter(one.rule or f"status {one.status}" for one in refused)
    return ", ".join(f"{rule} × {count}" if count > 1 else rule for rule, count in counted.items())


def _marker(id: str, title: str) -> Callable[[Verdict, str], Mark]:  # noqa: A002 - what the member is called
    return lambda verdict, says: Mark(id, title, verdict, says)


OF_APPS: tuple[Judge, ...] = (
    *(_discovery, _pkce, _state, _nonce, _aud, _launch, _code),
    *(_unused, _refused, _refresh, _expired),
)
OF_SERVICES: tuple[Judge, ...] = (_discovery, _unused, _refused, _expired)
