"""The faults that a launch can be given, and where each strikes. Pure; `spoiling.py` makes them."""

from dataclasses import dataclass

from smartauth.sandbox.launcher.kinds import KINDS, PORTAL, PROVIDER, STANDALONE

PEOPLE = frozenset({PROVIDER, PORTAL, STANDALONE})
EVERY = frozenset(KINDS)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose. `kinds`: the kinds of launch in which there is something to spoil."""

    id: str
    title: str
    says: str
    kinds: frozenset[str] = EVERY


WRONG_AUD, EXPIRED_CODE, INVALID_TOKEN, EXPIRED_TOKEN = "wrong-aud", "expired-code", "invalid-token", "expired-token"
MISSING_CONTEXT, FHIR_FAILS, FHIR_IS_SLOW = "missing-context", "fhir-fails", "fhir-is-slow"

FAULTS = {
    fault.id: fault
    for fault in (
        Fault(WRONG_AUD, "Wrong aud", "The server refuses as if the app had named another server as audience."),
        Fault(EXPIRED_CODE, "Expired code", "The authorization code has expired when the app exchanges it.", PEOPLE),
        Fault(INVALID_TOKEN, "Invalid token", "The FHIR API answers 401, as if the token were nobody's."),
        Fault(EXPIRED_TOKEN, "Expired token", "The first token has expired when it is used; a refreshed one works."),
        Fault(MISSING_CONTEXT, "Missing context", "The token response names no patient and no encounter.", PEOPLE),
        Fault(FHIR_FAILS, "FHIR server fails", "Every answer of the FHIR API becomes 503."),
        Fault(FHIR_IS_SLOW, "FHIR server is slow", "Every answer of the FHIR API takes some seconds longer."),
    )
}


def why_not(fault: str, kind: str) -> str:
    """Say why there is nothing to spoil so in a launch of that kind, or return ""."""
    return "" if kind in FAULTS[fault].kinds else f"a launch of the kind {KINDS[kind].title} has none to spoil"
