"""Clients that register themselves and look after their registration: who may, what is kept, what is refused.

RFC 7591 §2, §3 and §5; RFC 7592 §2 and §3.
"""

import base64
import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import HttpResponse
from django.test import Client as Browser

from clients.initial_tokens import make_initial_token
from clients.key_pairs import KeyPair
from clients.models import Client, InitialAccessToken
from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import AccessToken
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.sandbox.seed import seed
from smartauth.sandbox.welcome import welcome
from tests.conftest import Configure
from tests.endpoints.conftest import Post, Service
from tests.factories import make_client, web_app

REGISTER = "/auth/register"
BASE = "http://127.0.0.1:8000"
Json = dict[str, Any]


def app(**members: Any) -> Json:
    """Metadata of an app with a secret; a member given as ... is left out."""
    good = {
        "client_name": "My App",
        "redirect_uris": ["https://app.example.org/cb"],
        "scope": "launch/patient patient/*.rs",
    }
    return {name: value for name, value in (good | members).items() if value is not ...}


def loader(pair: KeyPair, **members: Any) -> Json:
    keys = {"keys": [pair.public_jwk]}
    good = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}
    return good | {"scope": "system/*.rs"} | members


def send(method: str, url: str, body: object = None, token: str | None = None, **headers: str) -> HttpResponse:
    """Send JSON, or text as it is, with a bearer token."""
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    path = url.removeprefix(BASE)
    return Browser().generic(method, path, text, "application/json", secure=True, headers=shown | headers)


@pytest.fixture
def initial(tenant: TenantInfo) -> str:
    return make_initial_token(tenants=[tenant], label="partners")


@pytest.fixture
def registered(initial: str) -> Callable[..., Json]:
    """Register a client and return the answer."""

    def make(metadata: Json | None = None) -> Json:
        answer = send("POST", REGISTER, app() if metadata is None else metadata, initial)
        assert answer.status_code == 201, answer.content
        told: Json = answer.json()
        return told

    return make


def refusal() -> str:
    receipt = Receipt.objects.latest("at")
    return str(receipt.rule)


def update(told: Json, metadata: Json, *, token: str | None = None) -> HttpResponse:
    shown = told["registration_access_token"] if token is None else token
    return send("PUT", told["registration_client_uri"], {"client_id": told["client_id"]} | metadata, shown)


# Registering


@pytest.mark.requirement("DCR-01", "DCR-02", "DCR-03")
def test_a_client_is_told_all_that_is_stored(registered: Callable[..., Json], initial: str) -> None:
    answer = send(
        "POST", REGISTER, app(contacts=["dev@app.example.org"], software_id="s-1", software_version="2"), initial
    )
    assert answer.status_code == 201
    assert (answer["Cache-Control"], answer["Pragma"]) == ("no-store", "no-cache")
    assert answer["Content-Type"] == "application/json"
    told = answer.json()
    row = Client.objects.get()
    assert told == {
        "client_id": row.client_id,
        "client_name": "My App",
        "client_id_issued_at": int(row.created.timestamp()),
        "client_secret": told["client_secret"],
        "client_secret_expires_at": 0,
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "redirect_uris": ["https://app.example.org/cb"],
        "scope": "launch/patient patient/*.rs",
        "id_token_signed_response_alg": "RS256",
        "application_type": "web",
        "smart_version": "2.2",
        "contacts": ["dev@app.example.org"],
        "software_id": "s-1",
        "software_version": "2",
        "registration_access_token": told["registration_access_token"],
        "registration_client_uri": f"{BASE}/auth/register/{row.client_id}",
        "status": "approved",
        "activations": [{"tenant": "sandbox", "fhir_base": f"{BASE}/fhir/sandbox/r4", "active": True}],
    }
    assert row.client_secret == digest(told["client_secret"])
    assert row.registration_access_token == digest(told["registration_access_token"])
    assert (row.status, row.registration_source, row.is_operator_verified) == ("approved", "dcr", False)
    audit = AuditRecord.objects.get(action="register")
    assert (audit.rule, audit.client_id) == ("client.registered", row.client_id)


@pytest.mark.requirement("DCR-07", "DCR-02")
def test_outside_the_sandbox_it_waits_for_the_operator_and_hears_so(
    registered: Callable[..., Json], configure: Configure
) -> None:
    configure(mode="production")
    told = registered()
    assert (told["status"], told["activations"][0]["active"]) == ("submitted", False)
    row = Client.objects.get()
    assert (row.status, [one.is_active for one in row.activations.all()]) == ("submitted", [False])


@pytest.mark.requirement("DCR-06")
def test_unknown_members_are_ignored_and_rights_of_operators_are_left_out(registered: Callable[..., Json]) -> None:
    told = registered(
        app(
            scope="patient/*.rs nonsense __introspect __launch offline_access",
            client_id="mine",
            restrictions={"panel": True},
            favourite_colour="green",
            tos_uri=None,
        )
    )
    assert told["scope"] == "patient/*.rs offline_access"
    assert {"favourite_colour", "restrictions", "tos_uri"}.isdisjoint(told)
    assert told["client_id"].startswith("c-")
    assert Client.objects.get().restrictions == {}


REFUSED = [
    # metadata, error, rule
    (app(redirect_uris=...), "invalid_redirect_uri", "registration.redirect_uris"),
    (app(redirect_uris=["https://app.example.org/cb#x"]), "invalid_redirect_uri", "registration.redirect_uris"),
    (app(redirect_uris=["http://app.example.org/cb"]), "invalid_redirect_uri", "registration.redirect_uris"),
    (app(redirect_uris="https://app.example.org/cb"), "invalid_client_metadata", "registration.redirect_uris"),
    (app(grant_types=["implicit"]), "invalid_client_metadata", "registration.grant_types"),
    (app(grant_types=["password"]), "invalid_client_metadata", "registration.grant_types"),
    (app(response_types=["token"]), "invalid_client_metadata", "registration.response_types"),
    (app(response_types=[]), "invalid_client_metadata", "registration.response_types"),
    (
        app(grant_types=["client_credentials"], response_types=["code"]),
        "invalid_client_metadata",
        "registration.response_types",
    ),
    (app(grant_types=["client_credentials"]), "invalid_client_metadata", "registration.token_endpoint_auth_method"),
    (app(token_endpoint_auth_method="magic"), "invalid_client_metadata", "registration.token_endpoint_auth_method"),
    (app(token_endpoint_auth_method="private_key_jwt"), "invalid_client_metadata", "registration.jwks_uri"),
    (app(client_name=7), "invalid_client_metadata", "registration.client_name"),
    (app(policy_uri="http://app.example.org/p"), "invalid_client_metadata", "registration.policy_uri"),
    (app(logo_uri="https://cdn.example/l.png"), "invalid_client_metadata", "registration.logo_uri"),
    (app(client_uri="https://app.example.org.evil.example/"), "invalid_client_metadata", "registration.client_uri"),
    (
        app(
            application_type="native",
            redirect_uris=["com.example.app://bank.example/cb"],
            client_uri="https://bank.example/",
        ),
        "invalid_client_metadata",
        "registration.client_uri",
    ),
    (app(software_statement=7), "invalid_software_statement", "registration.software_statement"),
    (app(software_statement="no.jwt"), "invalid_software_statement", "registration.software_statement"),
    (app(software_statement="e30.e30.AAAA"), "unapproved_software_statement", "registration.software_statement"),
]  # fmt: skip


@pytest.mark.requirement("DCR-04", "DCR-05", "DCR-08", "DCR-09")
@pytest.mark.parametrize(("metadata", "error", "rule"), REFUSED)
def test_what_is_not_acceptable_is_named_and_registers_nobody(
    initial: str, metadata: Json, error: str, rule: str
) -> None:
    row = InitialAccessToken.objects.get()
    InitialAccessToken.objects.update(uses_left=1)
    answer = send("POST", REGISTER, metadata, initial)
    assert (answer.status_code, answer.json()["error"], refusal()) == (400, error, rule)
    assert answer["Cache-Control"] == "no-store"
    assert not Client.objects.exists()
    row.refresh_from_db()
    assert row.uses_left == 1


@pytest.mark.requirement("DCR-09")
def test_pages_of_an_app_are_where_its_users_are_sent(registered: Callable[..., Json]) -> None:
    told = registered(app(client_uri="https://app.example.org/about"))
    assert told["client_uri"] == "https://app.example.org/about"


@pytest.mark.requirement("DCR-13", "DCR-09")
def test_contacts_and_logos_are_kept_for_operators_and_unknown_to_every_page(registered: Callable[..., Json]) -> None:
    told = registered(
        app(contacts=["dev@app.example.org"], logo_uri="https://app.example.org/l.png", software_id="s-1")
    )
    row = Client.objects.get()
    assert (row.contacts, row.software_id) == (["dev@app.example.org"], "s-1")
    known = find_client(told["client_id"])
    assert known is not None
    assert {field.name for field in dataclasses.fields(known)}.isdisjoint({"contacts", "logo_uri", "software_id"})
    assert "dev@app.example.org" not in repr(known)


@pytest.mark.parametrize("body", ["[]", '"x"', '{"client_name": "a", "client_name": "b"}', "{"])
def test_a_body_that_is_not_one_object_registers_nobody(initial: str, body: str) -> None:
    answer = send("POST", REGISTER, body, initial)
    assert (answer.status_code, refusal()) == (400, "http.json")
    assert not Client.objects.exists()


# The initial access token


def test_a_service_registers_and_gets_a_token_at_once(
    registered: Callable[..., Json], ec: KeyPair, get_token: Callable[..., str]
) -> None:
    told = registered(loader(ec))
    assert "client_secret" not in told
    assert get_token(Service(told["client_id"], ec))


@pytest.mark.requirement("DCR-07")
@pytest.mark.parametrize(
    ("authorization", "changes", "rule"),
    [
        (None, {}, "registration.no_token"),
        ("Bearer", {}, "registration.no_token"),
        ("Basic {}", {}, "registration.no_token"),
        ("DPoP {}", {}, "registration.no_token"),
        ("Bearer x{}", {}, "registration.initial_token"),
        ("Bearer {}", {"token_digest": "other"}, "registration.initial_token"),
        ("Bearer {}", {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, "registration.initial_token_expired"),
        ("Bearer {}", {"uses_left": 0}, "registration.initial_token_used"),
    ],
)
def test_nobody_registers_without_a_good_token(
    initial: str, authorization: str | None, changes: Json, rule: str
) -> None:
    if changes:
        InitialAccessToken.objects.update(**changes)
    headers = {} if authorization is None else {"Authorization": authorization.format(initial)}
    answer = send("POST", REGISTER, app(), **headers)
    assert (answer.status_code, answer.json()["error"], refusal()) == (401, "invalid_token", rule)
    assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert not Client.objects.exists()


@pytest.mark.requirement("DCR-07")
def test_a_token_registers_as_many_clients_as_it_is_good_for(tenant: TenantInfo) -> None:
    out = StringIO()
    call_command("create_initial_access_token", "--tenant", "sandbox", "--uses", "2", "--days", "3", stdout=out)
    token = out.getvalue().strip()
    row = InitialAccessToken.objects.get()
    assert row.token_digest == digest(token)
    assert timedelta(days=2) < row.expires_at - datetime.now(UTC) <= timedelta(days=3)
    assert [send("POST", REGISTER, app(), token).status_code for _ in range(3)] == [201, 201, 401]
    assert AuditRecord.objects.filter(rule="initial_access_token.added").count() == 1


def test_the_sandbox_gives_out_one_token_that_stays(db: None, configure: Configure, tmp_path: Path) -> None:
    configure(var=tmp_path)
    (one, other) = (seed(upstream_url="http://127.0.0.1:9/", upstream_bearer="x") for _ in range(2))
    assert one.initial_access_token == other.initial_access_token
    assert one.initial_access_token in welcome(one)
    answer = send("POST", REGISTER, app(), one.initial_access_token)
    assert (answer.status_code, answer.json()["activations"][0]["active"]) == (201, True)
    assert InitialAccessToken.objects.count() == 1


def test_an_operator_withdraws_a_token_and_leaves_a_trace(initial: str) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("admin", password="x"))
    row = InitialAccessToken.objects.get()
    page = browser.get("/admin/clients/initialaccesstoken/")
    assert (page.status_code, "partners" in page.content.decode()) == (200, True)
    assert browser.get("/admin/clients/initialaccesstoken/add/").status_code == 403
    assert browser.post(f"/admin/clients/initialaccesstoken/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert send("POST", REGISTER, app(), initial).status_code == 401
    assert AuditRecord.objects.filter(rule="initial_access_token.deleted").count() == 1


@pytest.mark.parametrize("words", [("--tenant", "nowhere"), ("--days", "0"), ("--uses", "-1"), ("--label", "a\nb")])
def test_a_mistake_makes_no_token(tenant: TenantInfo, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        call_command("create_initial_access_token", *words)
    assert not InitialAccessToken.objects.exists()


@pytest.mark.requirement("DCR-07")
def test_switched_off_nothing_is_there(registered: Callable[..., Json], initial: str, configure: Configure) -> None:
    told = registered()
    configure(registration=False)
    assert send("POST", REGISTER, app(), initial).status_code == 404
    assert refusal() == "registration.off"
    assert send("GET", told["registration_client_uri"], token=told["registration_access_token"]).status_code == 404
    assert Client.objects.count() == 1


def test_guesses_are_counted_by_address_and_registrations_by_token(initial: str, configure: Configure) -> None:
    configure(rate_per_address=2, rate_per_client=3)
    assert [send("POST", REGISTER, app(), initial).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert [send("POST", REGISTER, app(), "guess").status_code for _ in range(2)][-1] in (401, 429)
    answer = send("POST", REGISTER, app(), "guess")
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)


# Looking after a registration


@pytest.mark.requirement("DCR-11")
def test_a_client_reads_its_registration(registered: Callable[..., Json]) -> None:
    told = registered()
    Client.objects.update(restrictions={"patients": ["ana"]})
    answer = send("GET", told["registration_client_uri"], token=told["registration_access_token"])
    assert (answer.status_code, answer["Cache-Control"], answer["Pragma"]) == (200, "no-store", "no-cache")
    secret = {"client_secret"}
    assert answer.json() == {name: value for name, value in told.items() if name not in secret}


@pytest.mark.requirement("DCR-11", "DCR-12")
def test_an_update_replaces_everything_and_the_token(registered: Callable[..., Json]) -> None:
    told = registered(app(contacts=["dev@app.example.org"]))
    Client.objects.update(restrictions={"patients": ["ana"]})
    answer = update(told, app(scope="patient/Observation.rs", client_name=..., client_secret=told["client_secret"]))
    assert answer.status_code == 200, answer.content
    now = answer.json()
    assert {"contacts", "client_secret", "restrictions"}.isdisjoint(now)
    assert (now["scope"], now.get("client_name", "")) == ("patient/Observation.rs", "")
    row = Client.objects.get()
    assert (row.contacts, row.restrictions) == ([], {"patients": ["ana"]})
    assert row.client_secret == digest(told["client_secret"])
    old, new = told["registration_access_token"], now["registration_access_token"]
    assert [send("GET", told["registration_client_uri"], token=one).status_code for one in (old, new)] == [401, 200]
    assert AuditRecord.objects.filter(action="register", rule="client.updated").count() == 1


BAD_UPDATES = [
    # what is sent beside good metadata, rule
    ({"client_id": "c-other"}, "registration.client_id"),
    ({"client_id": None}, "registration.client_id"),
    ({"registration_access_token": "x"}, "registration.registration_access_token"),
    ({"registration_client_uri": "x"}, "registration.registration_client_uri"),
    ({"client_secret_expires_at": 0}, "registration.client_secret_expires_at"),
    ({"client_id_issued_at": 1}, "registration.client_id_issued_at"),
    ({"client_secret": "mine"}, "registration.client_secret"),
    ({"software_statement": "e30.e30.AAAA"}, "registration.software_statement"),
    ({"redirect_uris": []}, "registration.redirect_uris"),
    ({"token_endpoint_auth_method": "none"}, "registration.token_endpoint_auth_method"),
    ({"client_uri": "https://bank.example/"}, "registration.client_uri"),
]


@pytest.mark.requirement("DCR-11")
@pytest.mark.parametrize(("members", "rule"), BAD_UPDATES)
def test_a_bad_update_changes_nothing(registered: Callable[..., Json], members: Json, rule: str) -> None:
    told = registered()
    before = Client.objects.values().get()
    answer = update(told, app() | members)
    assert (answer.status_code, refusal()) == (400, rule)
    assert Client.objects.values().get() == before


@pytest.mark.requirement("DCR-11")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", ...])
def test_who_proves_itself_with_keys_never_comes_to_prove_less(
    registered: Callable[..., Json], ec: KeyPair, method: Any
) -> None:
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [ec.public_jwk]}}
    told = registered(app(**keys))
    answer = update(told, app(token_endpoint_auth_method=method))
    assert (answer.status_code, refusal()) == (400, "registration.token_endpoint_auth_method")
    assert update(told, app(**keys)).status_code == 200


def test_who_comes_to_prove_more_gets_or_loses_its_secret(registered: Callable[..., Json], ec: KeyPair) -> None:
    public = registered(app(token_endpoint_auth_method="none"))
    secret = update(public, app()).json()
    assert Client.objects.get().client_secret == digest(secret["client_secret"])
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [ec.public_jwk]}}
    assert "client_secret" not in update(secret, app(**keys)).json()
    assert Client.objects.get().client_secret == ""


WIDER = [
    # update, whether the operator looks again
    (app(), False),
    (app(scope="patient/*.rs"), False),
    (app(contacts=["new@app.example.org"], software_version="3"), False),
    (app(require_pushed_authorization_requests=True), False),
    (app(scope="launch/patient patient/*.rs user/*.rs"), True),
    (app(redirect_uris=["https://app.example.org/cb", "https://app.example.org/other"]), True),
    (app(grant_types=["authorization_code", "refresh_token"]), True),
    (app(client_name="Your Hospital"), True),
    (app(allowed_origins=["https://app.example.org"]), True),
    (app(client_uri="https://app.example.org/"), True),
]


@pytest.mark.requirement("DCR-07")
@pytest.mark.parametrize(("metadata", "again"), WIDER)
def test_what_widens_an_approved_client_waits_for_the_operator(
    registered: Callable[..., Json], configure: Configure, metadata: Json, again: bool
) -> None:
    configure(mode="production")
    told = registered()
    Client.objects.update(status="approved", is_operator_verified=True)
    answer = update(told, metadata)
    assert (answer.status_code, answer.json()["status"]) == (200, "submitted" if again else "approved")
    assert Client.objects.get().is_operator_verified is not again


@pytest.mark.requirement("DCR-12")
@pytest.mark.parametrize("status", ["suspended", "declined"])
def test_a_client_the_operator_stopped_changes_nothing(registered: Callable[..., Json], status: str) -> None:
    told = registered()
    Client.objects.update(status=status)
    answer = update(told, app())
    assert (answer.status_code, refusal()) == (403, "registration.stopped")
    assert Client.objects.get().status == status
    assert send("GET", told["registration_client_uri"], token=told["registration_access_token"]).status_code == 200


@pytest.mark.requirement("DCR-11", "DCR-12")
def test_a_deleted_client_is_gone_with_its_tokens(
    registered: Callable[..., Json], ec: KeyPair, get_token: Callable[..., str], post: Post
) -> None:
    told = registered(loader(ec))
    mine = Service(told["client_id"], ec)
    token = get_token(mine)
    url, shown = told["registration_client_uri"], told["registration_access_token"]
    answer = send("DELETE", url, token=shown)
    assert (answer.status_code, answer.content, answer["Cache-Control"]) == (204, b"", "no-store")
    row = Client.objects.get()
    assert (row.status, [one.is_active for one in row.activations.all()]) == ("retired", [False])
    stored = AccessToken.objects.select_related("authorization").get(token_checksum=digest(token))
    assert stored.authorization.revoked_at is not None
    answer = send("GET", "/fhir/sandbox/r4/Patient", token=token)
    assert answer.status_code == 401
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", **mine.credentials()}
    assert post("/auth/sandbox/token", form).status_code == 401
    for method in ("GET", "PUT", "DELETE"):
        answer = send(method, url, loader(ec, client_id=told["client_id"]) if method == "PUT" else None, shown)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert AuditRecord.objects.filter(action="register", rule="client.retired").count() == 1


@pytest.mark.requirement("DCR-12")
def test_only_the_token_of_the_very_client_opens_its_registration(
    registered: Callable[..., Json], initial: str, tenant: TenantInfo
) -> None:
    one, other = registered(), registered()
    make_client(web_app(), activate_at=(tenant,))
    good = one["registration_access_token"]
    seen = set()
    for path, token in (
        (one["registration_client_uri"], "wrong"),
        (one["registration_client_uri"], other["registration_access_token"]),
        (one["registration_client_uri"], initial),
        (one["registration_client_uri"], digest(good)),
        (f"{REGISTER}/c-unknown", good),
        (f"{REGISTER}/cardio", good),
        (f"{REGISTER}/cardio", " "),
        (f"{REGISTER}/a%20b", good),
        (one["registration_client_uri"], None),
    ):
        for method in ("GET", "PUT", "DELETE"):
            answer = send(method, path, app() if method == "PUT" else None, token)
            assert answer.status_code == 401, (method, path)
            assert answer["WWW-Authenticate"].startswith("Bearer ")
            seen.add((answer.json()["error"], answer.json()["error_description"]))
    assert len(seen) == 1
    assert Client.objects.filter(status="approved").count() == 3


@pytest.mark.requirement("DCR-12")
@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_refused(registered: Callable[..., Json], method: str) -> None:
    told = registered()
    answer = send(method, told["registration_client_uri"], app(), told["registration_access_token"])
    assert (answer.status_code, answer["Allow"]) == (405, "GET, PUT, DELETE")


def test_a_receipt_holds_no_token(registered: Callable[..., Json], initial: str) -> None:
    told = registered()
    statement = base64.urlsafe_b64encode(b"{}").decode().rstrip("=")
    send("POST", REGISTER, app(software_statement=f"{statement}.{statement}.c2VjcmV0"), initial)
    update(told, app(client_secret="hush"), token=None)
    send("GET", told["registration_client_uri"], token="a-wrong-one")
    kept = str(list(Receipt.objects.values())) + str(list(AuditRecord.objects.values()))
    for secret in (
        initial,
        told["registration_access_token"],
        told["client_secret"],
        "c2VjcmV0",
        "hush",
        "a-wrong-one",
    ):
        assert secret not in kept
