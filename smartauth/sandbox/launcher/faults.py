"""The faults that a launch can be given, and where each strikes. Pure; `spoiling.py` makes them."""

from dataclasses import dataclass

from smartauth.sandbox.launcher.kinds import BACKEND, KINDS

EVERY = frozenset(KINDS)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on purpose. `no_service`: why no backend service can meet it, "" where one can."""

    id: str
    title: str
    says: str
    no_service: str = ""

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds of launch in which there is something to spoil."""
        return EVERY - {BACKEND} if self.no_service else EVERY


WRONG_AUD, EXPIRED_CODE, INVALID_TOKEN, EXPIRED_TOKEN = "wrong-aud", "expired-code", "invalid-token", "expired-token"
MISSING_CONTEXT, FHIR_FAILS, FHIR_IS_SLOW = "missing-context", "fhir-fails", "fhir-is-slow"
ALTERED_STATE = "altered-state"

FAULTS = {
    fault.id: fault
    for fault in (
        Fault(WRONG_AUD, "Wrong aud", "The server refuses as if the app had named another server as audience."),
        Fault(
            ALTERED_STATE,
            "Altered state",
            "The answer comes with a state that the app never sent; one that checks it goes no further.",
            no_service="it sends nobody to authorize, so no answer comes with a state",
        ),
        Fault(
            EXPIRED_CODE,
            "Expired code",
            "The authorization code has expired when the app exchanges it.",
            no_service="it exchanges no code",
        ),
        Fault(INVALID_TOKEN, "Invalid token", "The FHIR API answers 401, as if the token were nobody's."),
        Fault(EXPIRED_TOKEN, "Expired token", "The first token has expired when it is used; the next one works."),
        Fault(
            MISSING_CONTEXT,
            "Missing context",
            "The token response names no patient and no encounter.",
            no_service="it gets no launch context that could be missing",
        ),
        Fault(FHIR_FAILS, "FHIR server fails", "Every answer of the FHIR API becomes 503."),
        Fault(
            FHIR_IS_SLOW,
            "FHIR server is slow",
            "Every answer of the FHIR API takes longer, by seconds you choose.",
        ),
    )
}


def why_not(fault: str, kind: str) -> str:
    """Say why there is nothing to spoil so in a launch of that kind, or return ""."""
    found = FAULTS[fault]
    return "" if kind in found.kinds else f"a backend service cannot meet it: {found.no_service}"
