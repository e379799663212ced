"""What the kind of an app presets, what it leaves out, and what its scopes may be. Pure.

Source: SMART 2.2 app-launch, backend-services, scopes-and-launch-context; US Core SMART scopes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from clients.models import AppKind, Client
from smartauth.policy.advertising import US_CORE_TYPES


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of app. `level` is that of its resource scopes, `preset` the members a draft begins with."""

    name: str
    title: str
    description: str
    level: str
    preset: Mapping[str, Any]
    launch_scopes: tuple[str, ...]  # those it may choose among
    hidden: frozenset[str] = frozenset()  # members that mean nothing for it

    def us_core_scope(self) -> str:
        """Return the scopes of the US Core types, to read and search."""
        return " ".join(f"{self.level}/{resource}.rs" for resource in US_CORE_TYPES)


_APP = {
    "application_type": "web",
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "private_key_jwt",
}
_IDENTITY = ("openid", "fhirUser", "offline_access", "online_access")
# Between server and server there is no browser, no sign-in and nothing to come back to.
_NOT_FOR_SERVICES = frozenset(
    {
        *("redirect_uris", "post_logout_redirect_uris", "launch_urls", "allowed_origins", "application_type"),
        *("id_token_signed_response_alg", "require_pushed_authorization_requests"),
    }
)
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        AppKind.PATIENT: Kind(
            AppKind.PATIENT,
            "Patient app",
            "People use it with their own record, or with that of somebody they care for. They sign in and decide.",
            "patient",
            MappingProxyType({**_APP, "scope": "launch/patient openid fhirUser"}),
            ("launch/patient", *_IDENTITY),
            frozenset({"launch_urls"}),
        ),
        AppKind.CLINICIAN: Kind(
            AppKind.CLINICIAN,
            "Clinician app launched from the EHR",
            "Clinicians open it from a chart, or by itself, and see in it what they may see.",
            "user",
            MappingProxyType({**_APP, "scope": "launch openid fhirUser"}),
            ("launch", "launch/patient", "launch/encounter", *_IDENTITY),
        ),
        AppKind.SERVICE: Kind(
            AppKind.SERVICE,
            "Backend service",
            "It works by itself, with nobody signed in, and proves who it is with a key.",
            "system",
            MappingProxyType({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"}),
            (),
            _NOT_FOR_SERVICES,
        ),
    }
)


def kind_of(client: Client) -> str:
    """Return the kind of a client, guessed from what it is registered for where nobody said it."""
    if client.kind:
        return client.kind
    if "authorization_code" not in client.grant_types:
        return AppKind.SERVICE
    scopes = client.scope.split()
    from_the_ehr = "launch" in scopes or any(one.startswith("user/") for one in scopes)
    return AppKind.CLINICIAN if from_the_ehr else AppKind.PATIENT
