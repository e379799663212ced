"""Many requests at once, on two worker processes and one PostgreSQL."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt

from clients.models import AssertionId, Client
from smartauth.models import AccessToken, Authorization
from tests.factories import ASSERTION_TYPE, claims_at
from tests.world import MakePartner, Partner, World


def assertion(world: World, partner: Partner, **claims: Any) -> str:
    """Return a fresh assertion of the partner."""
    mine = {"iss": partner.client_id, "sub": partner.client_id, "aud": world.token_url} | claims
    header = {"alg": partner.alg, "kid": partner.key.kid, "typ": "JWT"}
    return jwt.encode(header, claims_at(datetime.now(UTC), **mine), partner.key, algorithms=[partner.alg])


def post_token(world: World, signed: str) -> int:
    """Ask for a token on a connection of its own; return the status."""
    parts = urlsplit(world.token_url)
    body = urlencode(
        {
            "grant_type": "client_credentials",
            "scope": "system/Patient.rs",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
        }
    )
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_same_assertion_fifty_times_at_once_gives_exactly_one_token(
    world: World, make_partner: MakePartner
) -> None:
    partner = make_partner("stampede")
    signed = assertion(world, partner)
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: post_token(world, signed), range(50)))
    assert sorted(statuses) == [200] + [401] * 49
    pk = Client.objects.get(client_id="stampede").pk
    assert AccessToken.objects.filter(application_id=pk).count() == 1
    assert AssertionId.objects.filter(client_id=pk).count() == 1


def test_first_requests_at_once_make_one_standing_authorization(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("newcomer")
    signed = [assertion(world, partner) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda one: post_token(world, one), signed))
    assert statuses == [200] * 20
    assert Authorization.objects.filter(client__client_id="newcomer").count() == 1
    assert AccessToken.objects.filter(application__client_id="newcomer").count() == 20


def test_an_assertion_stays_spent_when_the_request_fails_afterwards(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("narrow-minded", scope="system/Observation.r")
    signed = assertion(world, partner)
    assert post_token(world, signed) == 400
    assert post_token(world, signed) == 401
