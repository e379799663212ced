"""The cast of the sandbox: a tenant, people, and one app of each kind. Written again at every start, for its port.

Passwords and keys stay until the sandbox is reset.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone
from joserfc.jwk import ECKey, KeySet

from clients.brands import read_brand, set_brand
from clients.initial_tokens import make_initial_token
from clients.models import Client, InitialAccessToken, Tenant
from clients.registration import register_client
from clients.tenants import find_tenant
from fhirproxy.tenancy import set_upstream
from smartauth import keys
from smartauth.conf import config
from smartauth.digests import digest, new_secret
from smartauth.people.models import FhirUser, User
from smartauth.sandbox.running import write_private

TENANT = "sandbox"
PEOPLE = {
    "ana": "Patient/ana",
    "ben": "Patient/ben",
    "dr-grey": "Practitioner/dr-grey",
    "mallory": None,
    "admin": None,
}


@dataclass(frozen=True, slots=True)
class SeededUser:
    """Someone to sign in as."""

    username: str
    password: str
    fhir_user: str | None


@dataclass(frozen=True, slots=True)
class SeededClient:
    """An app to act as. `key_file` is its private key in PEM, None for a public client."""

    client_id: str
    key_file: Path | None
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    """Everything a newcomer needs to know."""

    users: tuple[SeededUser, ...]
    clients: tuple[SeededClient, ...]
    initial_access_token: str


def seed(*, upstream_url: str, upstream_bearer: str) -> Seeded:
    """Write the cast, with the sandbox tenant in front of `upstream_url`, and return what to print."""
    secrets = config().var / "secrets"
    secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    with transaction.atomic():
        tenant, _ = Tenant.objects.update_or_create(slug=TENANT, defaults={"is_active": True})
        if not tenant.name:
            Tenant.objects.filter(pk=tenant.pk).update(name="Sandbox hospital")
        set_upstream(tenant, base_url=upstream_url, bearer=upstream_bearer)
        set_brand(tenant, read_brand(_brand()))
        users = tuple(_user(tenant, name, reference, secrets) for name, reference in PEOPLE.items())
    keys.make_missing(timezone.now())  # So that no newcomer waits for an RSA key.
    return Seeded(users, tuple(_client(metadata, secrets) for metadata in _apps()), _initial_access_token(secrets))


def _brand() -> dict[str, Any]:
    base = config().base_url
    return {
        "name": "Sandbox hospital",
        "website": "https://www.hospital.example.org",
        "aliases": ["Hospital of the synthetic"],
        "categories": ["prov"],
        "addresses": [{"line": ["1 Example Street"], "city": "Springfield", "state": "IL", "country": "US"}],
        "logo": f"{base}/static/icon.svg",
        "portals": [
            {
                "name": "Sandbox portal",
                "description": "Everybody here is synthetic. Sign in as ana or ben.",
                "url": f"{base}/account/apps",
            }
        ],
        "contacts": [base],
    }


def _apps() -> list[dict[str, Any]]:
    base = config().base_url
    return [
        {
            "client_id": "growth-chart",
            "client_name": "Growth Chart",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [f"{base}/launcher/app/"],
            "post_logout_redirect_uris": [f"{base}/launcher/app/"],
            "launch_urls": [f"{base}/launcher/app/launch"],
            "scope": "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.rs user/*.rs",
            "publisher": "The sandbox",
            "purpose": "Draws height, weight and other measurements over the years.",
            "intended_users": "Whoever tries this server out",
            "funding": "Nobody: it is a sample.",
            "data_sharing": "No. What it reads stays in the browser.",
            "data_deletion": "Close the page: it keeps nothing.",
        },
        {
            "client_id": "cardio",
            "client_name": "Cardio Clinic",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [f"{base}/launcher/callback"],
            "launch_urls": [f"{base}/launcher/start"],
            "scope": "launch launch/patient launch/encounter openid fhirUser online_access offline_access"
            " patient/*.cruds user/*.cruds",
            "publisher": "Cardio Clinic Software",
            "purpose": "Shows and updates what a cardiologist needs during a visit.",
            "intended_users": "Cardiologists",
        },
        {
            "client_id": "bulk-loader",
            "client_name": "Bulk Loader",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "scope": "system/*.rs",
        },
        {
            # It begins launches, and reads nothing.
            "client_id": "ehr",
            "client_name": "Sandbox EHR",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "scope": "__launch",
        },
        {
            # Registered, and active nowhere.
            "client_id": "mallory",
            "client_name": "Mallory",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "scope": "system/*.rs",
        },
    ]


def _client(metadata: dict[str, Any], secrets: Path) -> SeededClient:
    client_id = metadata["client_id"]
    key_file = None
    if metadata["token_endpoint_auth_method"] == "private_key_jwt":
        key_file = secrets / f"{client_id}.pem"
        metadata = {**metadata, "jwks": _public_keys(key_file)}
    redirect_uris = tuple(metadata.get("redirect_uris", ()))
    if not Client.objects.filter(client_id=client_id).exists():
        where = None if client_id == "mallory" else find_tenant(TENANT)
        register_client(metadata, operator=True, activate_at=(where,) if where else ())
    else:
        Client.objects.filter(client_id=client_id).update(
            redirect_uris=" ".join(redirect_uris),
            post_logout_redirect_uris=" ".join(metadata.get("post_logout_redirect_uris", ())),
            launch_urls=" ".join(metadata.get("launch_urls", ())),
        )
    return SeededClient(client_id, key_file, redirect_uris)


def _initial_access_token(secrets: Path) -> str:
    """Return the token whose clients are active at the sandbox tenant; it stays the same until the reset."""
    file = secrets / "initial_access_token"
    if not file.exists():
        write_private(file, new_secret())
    token = file.read_text()
    if not InitialAccessToken.objects.filter(token_digest=digest(token)).exists():
        where = find_tenant(TENANT)
        make_initial_token(tenants=(where,) if where else (), label="Sandbox", token=token)
    return token


def _public_keys(key_file: Path) -> dict[str, Any]:
    if not key_file.exists():
        write_private(key_file, ECKey.generate_key("P-384").as_pem(private=True).decode())
    key = ECKey.import_key(key_file.read_bytes(), {"alg": "ES384", "use": "sig"})
    key.ensure_kid()
    return KeySet([key]).as_dict(private=False)


def _user(tenant: Tenant, username: str, reference: str | None, secrets: Path) -> SeededUser:
    password_file = secrets / f"{username}.password"
    user = User.objects.filter(username=username).first()
    if user is None or not password_file.exists():
        write_private(password_file, new_secret()[:16])
        is_admin = username == "admin"
        user = user or User(username=username, is_staff=is_admin, is_superuser=is_admin)
        user.set_password(password_file.read_text())
        user.save()
    if reference is not None:
        FhirUser.objects.update_or_create(user=user, tenant=tenant, defaults={"reference": reference})
    return SeededUser(username, password_file.read_text(), reference)
