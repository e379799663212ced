"""The sandbox's apps and people in the running system of the tests: with keys where the launcher looks for them."""

from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password

from clients.models import Client, Tenant
from smartauth.conf import config
from smartauth.people.models import FhirUser, User
from smartauth.sandbox import seed
from tests.world import World

PASSWORD = "correct horse battery staple"
PEOPLE = {"ana": "Patient/ana", "ben": "Patient/ben", "dr-grey": "Practitioner/dr-grey"}


@pytest.fixture
def hospital(world: World) -> World:
    """The world with the apps of the sandbox, active and with their keys, and people whose password is PASSWORD."""
    secrets = config().var / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    for metadata in seed._apps():
        _register(metadata, secrets)
    tenant = Tenant.objects.get(slug=world.tenant)
    password = make_password(PASSWORD, hasher=Argon2PasswordHasher())  # As the server hashes; tests do it cheaper.
    for name, reference in PEOPLE.items():
        user, _ = User.objects.update_or_create(username=name, defaults={"password": password})
        FhirUser.objects.get_or_create(user=user, tenant=tenant, defaults={"reference": reference})
    return world


def _register(metadata: dict[str, Any], secrets: Any) -> None:
    """Register an app, or give one that other tests registered what the sandbox gives it."""
    found = Client.objects.filter(client_id=metadata["client_id"]).first()
    if found is not None and found.token_endpoint_auth_method != metadata["token_endpoint_auth_method"]:
        found.delete()
    key_file = secrets / f"{metadata['client_id']}.pem"
    if found is not None and not key_file.exists() and metadata["token_endpoint_auth_method"] == "private_key_jwt":
        found.delete()
    seed._client(metadata, secrets)
    Client.objects.filter(client_id=metadata["client_id"]).update(scope=metadata["scope"])
