"""Backend services with a client nobody here wrote: Authlib, over real HTTP, against two worker processes.

SMART 2.2 backend-services; RFC 7523; RFC 7662; RFC 7009.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from clients.models import Tenant
from tests.clients.jwks_host import run_jwks_host
from tests.flows.authlib_session import keyed_session
from tests.world import MakePartner, Partner, World

MARK_TIME = 1.0  # seconds within which a change is seen by every worker


def session_of(world: World, partner: Partner, scope: str = "system/Patient.rs system/Observation.rs") -> OAuth2Session:
    return keyed_session(world, partner.client_id, partner.key, alg=partner.alg, scope=scope)


def introspect(world: World, session: OAuth2Session, token: str) -> dict[str, Any]:
    url = f"{world.base_url}/auth/{world.tenant}/introspect"
    found: dict[str, Any] = session.introspect_token(url, token=token).json()
    return found


@pytest.mark.requirement("BACK-01", "AT-08")
@pytest.mark.parametrize("published", ["inline", "by URL"])
@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_authlib_gets_a_token_reads_introspects_and_revokes(
    world: World, make_partner: MakePartner, alg: str, published: str
) -> None:
    scope = "system/Patient.rs system/Observation.rs __introspect"
    name = f"authlib-{alg.lower()}-{published.replace(' ', '-').lower()}"
    with run_jwks_host() as host:
        metadata = {"jwks_uri": host.url} if published == "by URL" else {}
        partner = make_partner(name, alg, scope, **metadata)
        host.publish(partner.key.as_dict(private=False), cache_control="max-age=60")
        session = session_of(world, partner, scope)

        token = session.fetch_token(world.token_url, grant_type="client_credentials")
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 300)
        assert set(token["scope"].split()) == set(scope.split())

        for _ in range(4):
            bundle = session.get(f"{world.fhir_base}/Patient?_count=3").json()
            assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == ["Patient"] * 3
            assert bundle["link"][0]["url"].startswith(world.fhir_base)
        assert session.get(f"{world.fhir_base}/Patient/ana").json()["id"] == "ana"
        assert session.get(f"{world.fhir_base}/Condition?patient=ana").status_code == 403

        described = introspect(world, session, token["access_token"])
        assert (described["active"], described["client_id"]) == (True, name)

        revoked = session.revoke_token(
            f"{world.base_url}/auth/{world.tenant}/revoke", token=token["access_token"], token_type_hint="access_token"
        )
        assert revoked.status_code == 200
        assert introspect(world, session, token["access_token"]) == {"active": False}
        assert host.visits == (1 if published == "by URL" else 0)


@pytest.mark.clocked
@pytest.mark.requirement("AT-04", "REVOKE-08", "T-61", "PROXY-03", "BULK-15")
def test_a_revocation_is_seen_by_every_worker_within_a_second(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("revoker")
    session = session_of(world, partner)
    token = session.fetch_token(world.token_url, grant_type="client_credentials")["access_token"]

    def statuses(count: int) -> set[int]:
        """Ask on new connections, so that both workers are asked."""
        found = set()
        for _ in range(count):
            with OAuth2Session(token={"access_token": token, "token_type": "Bearer"}) as fresh:
                found.add(fresh.get(f"{world.fhir_base}/Patient/ana").status_code)
        return found

    assert statuses(12) == {200}  # Both workers remember the token now.
    revoked = session.revoke_token(f"{world.base_url}/auth/{world.tenant}/revoke", token=token)
    assert revoked.status_code == 200
    time.sleep(MARK_TIME)
    assert statuses(12) == {401}


@pytest.mark.requirement("KEYS-04", "T-10")
def test_a_rotated_key_works_at_once(world: World, make_partner: MakePartner) -> None:
    with run_jwks_host() as host:
        old = make_partner("rotator", jwks_uri=host.url)
        host.publish(old.key.as_dict(private=False), cache_control="max-age=3600")
        session_of(world, old).fetch_token(world.token_url, grant_type="client_credentials")
        new = Partner("rotator", type(old.key).generate_key("P-384", {"alg": "ES384", "use": "sig"}), "ES384")
        new.key.ensure_kid()
        host.publish(new.key.as_dict(private=False), cache_control="max-age=3600")
        session_of(world, new).fetch_token(world.token_url, grant_type="client_credentials")
        assert host.visits == 2


def test_a_chunked_body_is_refused_and_never_read_in_part(world: World, make_partner: MakePartner) -> None:
    session = session_of(world, make_partner("chunker"), "system/Patient.rs")
    session.fetch_token(world.token_url, grant_type="client_credentials")
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def chunks() -> Iterator[bytes]:
        yield from (b"name=", b"zzzzz")

    searched = session.post(f"{world.fhir_base}/Patient/_search", data=chunks(), headers=form)
    assert (searched.status_code, searched.json()["resourceType"]) == (411, "OperationOutcome")
    assert session.post(f"{world.fhir_base}/Patient/_search", data=b"name=zzzzz", headers=form).json()["total"] == 0
    asked = requests.post(world.token_url, data=chunks(), headers=form, timeout=10)
    assert (asked.status_code, asked.json()["error"]) == (411, "invalid_request")


BROKEN_BODIES = [
    (b"Content-Length: 99999999999\r\n\r\n", 413),
    (b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n", 411),
    (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 411),
]


@pytest.mark.parametrize(("rest", "status"), BROKEN_BODIES)
@pytest.mark.parametrize("path", ["/auth/sandbox/token", "/fhir/sandbox/r4/Patient/_search"])
def test_a_body_without_one_true_length_is_refused_at_once(world: World, path: str, rest: bytes, status: int) -> None:
    parts = urlsplit(world.base_url)
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as wire:
        wire.sendall(head.encode() + rest)
        assert int(wire.recv(1024).split()[1]) == status


@pytest.mark.requirement("ONC-17")
@pytest.mark.requirement("BACK-10")
def test_nothing_but_what_was_granted_is_readable(world: World, make_partner: MakePartner) -> None:
    session = session_of(world, make_partner("narrow", scope="system/Patient.r"), "system/Patient.rs")
    token = session.fetch_token(world.token_url, grant_type="client_credentials")
    assert token["scope"] == "system/Patient.r"
    base = world.fhir_base
    assert session.get(f"{base}/Patient/ana").status_code == 200
    refused = {
        f"{base}/Patient": 403,
        f"{base}/Observation/ana-weight-2021-03": 403,
        f"{base}/Patient/ana/Observation": 403,
        f"{base}/Patient/ana/$everything?_type=Observation": 403,
        f"{base}/Patient/_history": 403,
        f"{base}/$export": 403,
        f"{base}/?_type=Patient": 403,
        f"{base}/": 404,
    }
    assert {url: session.get(url).status_code for url in refused} == refused
    assert session.put(f"{base}/Patient/ana", json={"resourceType": "Patient", "id": "ana"}).status_code == 403
    assert session.delete(f"{base}/Patient/ana").status_code == 403
    assert session.get(f"{base}/Patient/ana").status_code == 200


@pytest.mark.clocked
def test_a_tenant_made_while_the_server_runs_works_and_ends_with_one_statement(world: World, tmp_path: Path) -> None:
    bearer = tmp_path / "bearer"
    bearer.write_text(world.upstream.bearer)
    words = ("--slug", "annex", "--upstream", world.upstream.base_url, "--upstream-bearer-file", str(bearer))
    made = world.server.command("create_tenant", *words)
    assert json.loads(made.stdout)["fhir_base"] == f"{world.base_url}/fhir/annex/r4"

    def statuses() -> set[int]:
        document = f"{world.base_url}/fhir/annex/r4/.well-known/smart-configuration"
        return {requests.get(document, timeout=10).status_code for _ in range(12)}

    assert statuses() == {200}
    Tenant.objects.filter(slug="annex").update(is_active=False)
    time.sleep(MARK_TIME)
    assert statuses() == {404}
