"""What is known of one request of a launch once it was answered. Pure values, shared by the recorder and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The parts a launch has, in the order in which they come when all goes well, each with what people call it.
PARTS = {
    "ehr": "EHR",
    "discovery": "Discovery",
    "par": "Pushed request",
    "authorize": "Authorize",
    "sign-in": "Sign-in",
    "picker": "Patient picker",
    "consent": "Consent",
    "callback": "Back to the app",
    "token": "Token",
    "userinfo": "Userinfo",
    "introspect": "Introspection",
    "fhir": "FHIR",
    "revoke": "Revocation",
    "logout": "Sign-out",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request. `facts` are names, numbers and yes or no: never a value that opens something or is about a patient.

    authorize and par: `scopes`, `pkce` (method), `challenge_length`, `state_length`, `nonce`, `aud_right`, `launch`.
    token: `grant_type`, `scopes`, `refresh_token`, `patient`.    fhir: `type`, `letter` (one of cruds).
    Where a habit took scopes away: `gone`, which they were.
    `rule`: why it was refused, "" if it was not.    `fault`: the fault that was made here, "" for none.
    """

    part: str
    status: int
    rule: str = ""
    fault: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Return True for what was not answered as it was asked."""
        return bool(self.rule) or self.status >= 400
