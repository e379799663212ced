"""The kinds of launch, and which client can be launched how. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One way an app comes to its token. `from_ehr`: an EHR begins it and says what it is about."""

    id: str
    title: str
    says: str
    from_ehr: bool = False


PROVIDER, PORTAL, STANDALONE, BACKEND = "provider-ehr", "patient-portal", "standalone", "backend"

KINDS = {
    kind.id: kind
    for kind in (
        Kind(PROVIDER, "Provider EHR", "A clinician with a patient open starts the app inside the EHR.", from_ehr=True),
        Kind(PORTAL, "Patient portal", "A patient starts the app from the portal, about one record.", from_ehr=True),
        Kind(STANDALONE, "Standalone", "The app begins by itself; a patient or a clinician signs in."),
        Kind(BACKEND, "Backend service", "No person at all: a service proves itself with its key."),
    )
}


@dataclass(frozen=True, slots=True)
class Launchable:
    """A client that is active at the tenant, as far as launching it matters."""

    client_id: str
    name: str
    grant_types: frozenset[str]
    scope: str
    has_launch_url: bool

    def misfit(self, kind: str) -> str:
        """Say why this client cannot be launched so, or return ""."""
        if kind == BACKEND:
            return "" if "client_credentials" in self.grant_types else "it is no backend service"
        if "authorization_code" not in self.grant_types:
            return "no person uses it: it is a backend service"
        if KINDS[kind].from_ehr and not (self.has_launch_url and "launch" in self.scope.split()):
            return "no EHR can launch it: it needs a launch URL and the scope launch"
        return ""
