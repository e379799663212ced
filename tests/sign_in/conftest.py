"""The hospital's provider, apps, and people known to both sides."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.people.models import UpstreamIdentity, User
from smartauth.people.upstream import fetching, metadata
from tests.conftest import Configure
from tests.endpoints.app_launch import ana, growth_chart, make_person
from tests.proxy.conftest import calm, small, tenant
from tests.sign_in.hospital import Hospital, Visitor, running_hospital
from tests.sign_in.odd_provider import PATIENCE, Odd, running_odd

__all__ = ["ana", "calm", "growth_chart", "small", "tenant"]


@pytest.fixture(scope="session")
def _hospital() -> Iterator[Hospital]:
    with running_hospital() as running:
        yield running


@pytest.fixture
def hospital(_hospital: Hospital, configure: Configure) -> Iterator[Hospital]:
    """Let people sign in at the hospital's provider."""
    configure(upstream_idp=_hospital.as_configured())
    metadata.forget()
    yield _hospital
    metadata.forget()


@pytest.fixture
def grey(tenant: TenantInfo, hospital: Hospital) -> User:
    """A clinician without a password here."""
    user = make_person(tenant, "dr-grey", "Practitioner/dr-grey")
    user.set_unusable_password()
    user.save()
    UpstreamIdentity.objects.create(user=user, issuer=hospital.issuer, subject="s-grey")
    return user


@pytest.fixture(scope="session")
def _odd() -> Iterator[Odd]:
    with running_odd() as running:
        yield running


@pytest.fixture
def odd(_odd: Odd, configure: Configure, db: None) -> Iterator[Odd]:
    """Let people sign in at a provider that says what the test wants."""
    _odd.begin_anew()
    configure(upstream_idp=_odd.as_configured())
    metadata.forget()
    yield _odd
    metadata.forget()


@pytest.fixture
def lose_patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets people wait less than in real life, from then on."""
    return partial(monkeypatch.setattr, fetching, "TOTAL_TIMEOUT", PATIENCE)


@pytest.fixture
def user(odd: Odd) -> User:
    """Somebody whom that provider knows."""
    user = User.objects.create_user("kim")
    UpstreamIdentity.objects.create(user=user, issuer=odd.issuer, subject="s-kim")
    return user


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()
