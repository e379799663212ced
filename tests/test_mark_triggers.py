"""The database leaves the marks: whoever changes a row that a cache depends on, and however."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from clients.models import Activation, Brand, Client, KeySet, Skin, Tenant
from fhirproxy.models import Upstream
from smartauth import keys
from smartauth.marks.models import Mark
from smartauth.models import AccessToken, Authorization, SigningKey
from smartauth.people.models import FhirUser, ProxyRelation, User
from tests.factories import make_client, make_tenant, phone_app

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def rows() -> dict[str, Any]:
    """One row of each kind."""
    tenant = Tenant.objects.get(pk=make_tenant("north").pk)
    client = make_client(phone_app()).client
    user = User.objects.create(username="ana")
    authorization = Authorization.objects.create(
        kind="user", client=client, tenant=tenant, user=user, auth_time=NOW, expires_at=NOW + timedelta(days=1)
    )
    later = NOW + timedelta(hours=1)
    found = {
        "tenant": tenant,
        "client": client,
        "user": user,
        "authorization": authorization,
        "brand": Brand.objects.create(tenant=tenant, details={}),
        "skin": Skin.objects.create(tenant=tenant, name="North"),
        "activation": Activation.objects.create(client=client, tenant=tenant),
        "upstream": Upstream.objects.create(tenant=tenant, base_url="http://127.0.0.1:1/r4"),
        "token": AccessToken.objects.create(
            authorization=authorization, token_checksum="d1ge5t", claims={}, expires=later
        ),
        "old token": AccessToken.objects.create(
            authorization=authorization, token_checksum="0ld", claims={}, expires=NOW - timedelta(hours=1)
        ),
        "fhir user": FhirUser.objects.create(user=user, tenant=tenant, reference="Patient/ana"),
        "relation": ProxyRelation.objects.create(user=user, tenant=tenant, patient="ben", starts_at=NOW),
        "key set": KeySet.objects.create(jwks_uri="https://a.example.org/jwks.json"),
    }
    keys.access_token_signer(NOW)
    Mark.objects.all().delete()
    return found


def update(key: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda rows: type(rows[key]).objects.filter(pk=rows[key].pk).update(**values)


def delete(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda rows: type(rows[key]).objects.filter(pk=rows[key].pk).delete()


def by_hand(statement: str) -> Callable[[dict[str, Any]], object]:
    return lambda rows: connection.cursor().execute(statement)


CHANGES = [
    (update("tenant", is_active=False), {"tenant:north"}),
    (update("tenant", policy={"max_count": 10}), {"tenant:north"}),
    (by_hand("UPDATE clients_tenant SET is_active = false"), {"tenant:north"}),
    (lambda rows: make_tenant("south"), {"tenant:south"}),
    (update("upstream", base_url="http://127.0.0.1:2/r4"), {"tenant:north"}),
    (delete("upstream"), {"tenant:north"}),
    (update("brand", is_published=False), {"tenant:north"}),
    (by_hand("UPDATE clients_brand SET is_published = false"), {"tenant:north"}),
    (delete("brand"), {"tenant:north"}),
    (update("skin", accent_light="#7a1f5c"), {"tenant:north", "skins"}),
    (by_hand("UPDATE clients_skin SET is_active = false"), {"tenant:north", "skins"}),
    (delete("skin"), {"tenant:north", "skins"}),
    (update("client", status=Client.Status.SUSPENDED), {"client:growth-chart"}),
    (update("activation", is_active=False), {"client:growth-chart"}),
    (delete("activation"), {"client:growth-chart"}),
    (update("user", is_active=False), {"user", "authorization"}),  # A locked account ends what it granted.
    (update("user", last_login=NOW), set()),
    (update("fhir user", reference="Patient/ben"), {"user"}),
    (delete("relation"), {"user"}),
    (update("authorization", revoked_at=NOW), {"authorization"}),
    (update("authorization", scope="x"), set()),
    (update("token", revoked_at=NOW), {"token:d1ge5t"}),
    (delete("token"), {"token:d1ge5t"}),
    (delete("old token"), set()),
    (delete("key set"), {"jwks:https://a.example.org/jwks.json"}),
    (lambda rows: SigningKey.objects.update(state="retired", retired_at=NOW), {"keys"}),
]


@pytest.mark.parametrize(("change", "tags"), CHANGES)
def test_a_change_leaves_the_marks_of_what_depends_on_it(
    rows: dict[str, Any], change: Callable[[dict[str, Any]], object], tags: set[str]
) -> None:
    change(rows)
    own = {"user": f"user:{rows['user'].pk}", "authorization": f"authorization:{rows['authorization'].pk}"}
    assert set(Mark.objects.values_list("tag", flat=True)) == {own.get(tag, tag) for tag in tags}
