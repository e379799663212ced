"""Our settings as one frozen value: `settings.py` builds it from the environment, everything else reads it here."""

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, cast

from django.conf import settings

# SMART 2.2 client-confidential-asymmetric asks for RS384 and ES384; partners in the field sign with the others.
ASSERTION_ALGORITHMS = ("RS384", "ES384", "RS256", "ES256", "PS256", "PS384")

DPOP_ALGORITHMS = ("ES256", "ES384", "PS256", "PS384", "RS256", "RS384")


@dataclass(frozen=True, slots=True)
class UpstreamIdp:
    """The OpenID Connect provider at which people may sign in, and what its claims mean here.

    subject_claim: names a person, for ever.    fhir_user_claims: (tenant slug, claim with the FHIR resource there).
    """

    issuer: str  # exactly as the provider writes it
    client_id: str
    client_secret: str = field(default="", repr=False)  # "" for a public client
    name: str = ""  # for people, on the button; "" for what anybody calls theirs
    scope: str = "openid"
    subject_claim: str = "sub"
    fhir_user_claims: tuple[tuple[str, str], ...] = ()
    creates_users: bool = False  # whoever it knows gets a user here; otherwise the operator makes them first
    hosts: frozenset[str] = frozenset()  # "host" or "host:port" beside the issuer's that may be private


@dataclass(frozen=True, slots=True)
class Config:
    """Everything an operator may set. URLs are absolute and have no trailing slash."""

    mode: Literal["production", "sandbox"]
    base_url: str
    default_tenant: str | None
    encryption_keys: tuple[str, ...]  # Fernet keys; the first encrypts, all decrypt
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    jwks_allowed_hosts: frozenset[str] = frozenset()  # "host" or "host:port"; may be private
    var: Path = Path("var")

    assertion_algorithms: tuple[str, ...] = ASSERTION_ALGORITHMS
    assertion_lifetime: timedelta = timedelta(seconds=300)
    clock_leeway: timedelta = timedelta(seconds=60)
    dpop_algorithms: tuple[str, ...] = DPOP_ALGORITHMS
    dpop_window: timedelta = timedelta(seconds=60)  # between making a proof and its arrival, on either side
    # "required" makes every proof carry a nonce of ours; "optional" only those of clients registered for it.
    dpop_nonces: Literal["optional", "required"] = "optional"
    dpop_nonce_lifetime: timedelta = timedelta(minutes=5)
    access_token_lifetime: timedelta = timedelta(seconds=3600)
    public_token_lifetime: timedelta = timedelta(seconds=1800)  # access tokens of clients that cannot keep a secret
    service_token_lifetime: timedelta = timedelta(seconds=300)
    access_token_format: Literal["jwt", "opaque"] = "jwt"
    pending_lifetime: timedelta = timedelta(minutes=15)  # from an app's request to the user's answer
    pushed_lifetime: timedelta = timedelta(seconds=60)  # from pushing a request to opening it in a browser
    launch_lifetime: timedelta = timedelta(seconds=300)  # from an EHR's launch to the app's request
    code_lifetime: timedelta = timedelta(seconds=60)
    id_token_lifetime: timedelta = timedelta(hours=1)
    # Three calendar months can be 92 days (July to September), and every use begins anew.
    refresh_token_lifetime: timedelta = timedelta(days=100)
    grant_lifetime: timedelta | None = None  # from consent on, however often a refresh token is used; None: no limit
    # Within it a rotated refresh token that comes again was repeated by the network, not stolen.
    refresh_grace: timedelta = timedelta(seconds=10)
    receipt_lifetime: timedelta = timedelta(days=30)
    # Requests a minute to one endpoint: from an address that proves nothing, and of a client that proved who it is.
    rate_per_address: int = 600
    rate_per_client: int = 6_000
    # RFC 9207 `iss` on the callback. SMART apps with one page for launch and callback take it for a new launch.
    callback_iss: bool = False
    # No app is told of an error before somebody signed in, even if the operator has verified it (RFC 9700 §4.11.2).
    errors_after_sign_in: bool = False
    # Whether clients may register themselves, with an initial access token (RFC 7591 §3).
    registration: bool = False
    # Whether apps may keep state of their own here (SMART 2.2 app-state, which is experimental).
    app_state: bool = False
    # Whether an EHR may begin a launch with the Task that asks for it (SMART 2.2 task-launch).
    task_launch: bool = False
    # "before" stores the audit record of a read before it is answered; "buffered" within 200 ms of it.
    audit_reads: Literal["buffered", "before"] = "buffered"

    upstream_idp: UpstreamIdp | None = None

    @property
    def is_sandbox(self) -> bool:
        """Return True in the mode that relaxes what is only safe on one developer's machine."""
        return self.mode == "sandbox"


def config() -> Config:
    """Return the settings of this process."""
    return cast(Config, settings.SMARTAUTH)
