"""Client metadata in, a client out: defaults, rules, and what is told back.

Source: RFC 7591 §2 and §3; OIDC Registration §2; RFC 8252 §7; SMART 2.2 app-launch, "Register App with EHR".
"""

import re
from uuid import UUID

import pytest

from clients.key_pairs import KeyPair
from clients.metadata import InvalidClientMetadata, InvalidRedirectUri
from clients.models import Activation, Client
from clients.registration import describe_client, new_client_id, register_client
from clients.uri_rules import origin_problem, redirect_uri_problem
from smartauth.digests import digest
from smartauth.marks.models import Mark
from tests.conftest import Configure
from tests.factories import make_tenant, phone_app, service, web_app


def refused(metadata, *, operator: bool = True) -> InvalidClientMetadata:
    with pytest.raises(InvalidClientMetadata) as error:
        register_client(metadata, operator=operator)
    assert not Client.objects.exists()
    assert error.value.refusal.rule == f"registration.{error.value.member}"
    assert error.value.status == 400
    assert error.value.description.isascii()
    return error.value


@pytest.mark.requirement("REG-10")
def test_defaults_are_those_of_the_standard_and_the_secret_is_shown_once(db):
    registered = register_client({"redirect_uris": ["https://a.example.org/cb"]}, operator=True)
    assert registered.secret is not None
    assert re.fullmatch(r"[A-Za-z0-9_~.-]{43,}", registered.secret)
    assert registered.client.client_secret == digest(registered.secret)
    told = describe_client(registered.client, registered.secret)
    issued_at = told.pop("client_id_issued_at")
    assert isinstance(issued_at, int)
    assert re.fullmatch(r"c-[A-Za-z0-9_-]{22}", told.pop("client_id"))
    assert told == {
        "client_secret": registered.secret,
        "client_secret_expires_at": 0,
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "RS256",
        "application_type": "web",
        "smart_version": "2.2",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "redirect_uris": ["https://a.example.org/cb"],
    }
    assert "client_secret" not in describe_client(Client.objects.get())


@pytest.mark.requirement("REG-01", "REG-02")
def test_what_is_registered_is_told_back_as_given(db, ec: KeyPair):
    metadata = {
        "client_id": "growth-chart",
        "client_name": "Growth Chart",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES384",
        "id_token_signed_response_alg": "ES256",
        "application_type": "native",
        "smart_version": "2.0",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": ["org.example.chart:/cb", "http://127.0.0.1/cb", "https://chart.example.org/cb"],
        "post_logout_redirect_uris": ["https://chart.example.org/bye"],
        "scope": "launch/patient openid offline_access patient/Observation.rs?category=laboratory patient/*.read",
        "jwks": ec.jwks,
        "client_uri": "https://chart.example.org/",
        "logo_uri": "https://chart.example.org/logo.png",
        "tos_uri": "https://chart.example.org/tos",
        "policy_uri": "https://chart.example.org/policy",
        "contacts": ["dev@chart.example.org"],
        "software_id": "chart",
        "software_version": "2.1",
        "launch_urls": ["https://chart.example.org/launch"],
        "allowed_origins": ["https://chart.example.org"],
        "restrictions": {"patients": ["ana"], "groups": []},
    }
    registered = register_client(metadata | {"unheard": "of", "client_name#fr": "Croissance"}, operator=True)
    assert registered.secret is None
    told = describe_client(Client.objects.get())
    told.pop("client_id_issued_at")
    assert told == metadata


def test_an_operator_s_client_is_approved_verified_and_active_where_told(db):
    sandbox, north = make_tenant("sandbox"), make_tenant("north")
    Mark.objects.all().delete()
    client = register_client(phone_app(), operator=True, activate_at=[sandbox], propose_at=[north, sandbox]).client
    assert (client.status, client.is_operator_verified, client.registration_source) == ("approved", True, "manual")
    states = Activation.objects.order_by("tenant__slug").values_list("tenant__slug", "is_active")
    assert list(states) == [("north", False), ("sandbox", True)]
    assert set(Mark.objects.values_list("tag", flat=True)) == {"client:growth-chart"}


@pytest.mark.requirement("REG-01", "REG-11")
def test_a_partner_s_client_waits_and_chooses_neither_id_nor_restrictions_nor_odd_scopes(db):
    metadata = phone_app(scope="patient/*.rs patient/Nothing.rs all", restrictions={"operator_types": ["AuditEvent"]})
    client = register_client(metadata, operator=False).client
    assert (client.status, client.is_operator_verified, client.registration_source) == ("submitted", False, "dcr")
    assert client.client_id != "growth-chart"
    assert (client.scope, client.restrictions) == ("patient/*.rs", {})
    assert register_client(metadata, operator=False, approved=True).client.status == "approved"


@pytest.mark.requirement("REG-01")
def test_a_taken_client_id_is_refused_and_nothing_changes(db):
    register_client(phone_app(), operator=True)
    with pytest.raises(InvalidClientMetadata) as error:
        register_client(web_app(client_id="growth-chart"), operator=True, activate_at=[make_tenant()])
    assert error.value.refusal.rule == "registration.client_id"
    assert Client.objects.get().token_endpoint_auth_method == "none"
    assert not Activation.objects.exists()


def test_a_backend_service_has_no_response_types_and_no_redirects(db, ec: KeyPair):
    client = register_client(service(jwks=ec.jwks, response_types=[]), operator=True).client
    assert (client.response_types, client.redirect_uris, client.client_type) == ([], "", "confidential")


@pytest.mark.requirement("REG-04")
@pytest.mark.parametrize("mode", ["sandbox", "production"])
@pytest.mark.parametrize(
    ("url", "good_in"),
    [
        ("https://a.example.org/launch?x=1", {"sandbox", "production"}),
        ("http://127.0.0.1:9000/launch", {"sandbox"}),
        ("http://a.example.org/launch", set()),
        ("https://a.example.org/launch#x", set()),
        ("https://*.example.org/launch", set()),
        ("org.example.app:/launch", set()),
    ],
)
def test_launch_urls_are_complete_web_addresses(db, configure: Configure, url: str, good_in: set[str], mode: str):
    configure(mode=mode)
    metadata = phone_app(launch_urls=[url])
    if mode in good_in:
        assert register_client(metadata, operator=True).client.launch_urls == url
    else:
        assert refused(metadata).member == "launch_urls"


@pytest.mark.requirement("REG-16")
def test_no_id_given_to_a_client_can_be_the_subject_of_a_user():
    for client_id in (new_client_id() for _ in range(50)):
        with pytest.raises(ValueError, match="UUID"):
            UUID(client_id)  # As every subject is.


@pytest.mark.requirement("REG-02")
def test_launch_urls_and_initiate_login_uri_are_one_list(db):
    metadata = phone_app(launch_urls=["https://a.example.org/l"], initiate_login_uri="https://a.example.org/login")
    client = register_client(metadata, operator=True).client
    assert client.launch_urls == "https://a.example.org/l https://a.example.org/login"


KEY = {"kty": "EC", "crv": "P-384", "kid": "a"}
REFUSED = [
    # change to an acceptable client                                     member refused
    ({"client_name": 5}, "client_name"),
    ({"client_name": "a\x00b"}, "client_name"),
    ({"client_name": "a" * 256}, "client_name"),
    ({"redirect_uris": "https://a.example.org/cb"}, "redirect_uris"),
    ({"redirect_uris": [5]}, "redirect_uris"),
    ({"redirect_uris": {"a": 1}}, "redirect_uris"),
    ({"grant_types": "authorization_code"}, "grant_types"),
    ({"scope": ["patient/*.rs"]}, "scope"),
    ({"contacts": "me"}, "contacts"),
    ({"smart_version": 2.2}, "smart_version"),
    ({"smart_version": "3.0"}, "smart_version"),
    ({"jwks": "{}"}, "jwks"),
    ({"jwks": {"keys": [{"x5c": ["\x00"]}]}}, "jwks"),
    ({"restrictions": []}, "restrictions"),
    ({"client_id": "a b"}, "client_id"),
    ({"client_id": "a/b"}, "client_id"),
    ({"client_id": "c" * 256}, "client_id"),
    ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_signing_alg": "RS384"}, "token_endpoint_auth_signing_alg"),
    ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
    ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
    ({"application_type": "desktop"}, "application_type"),
    ({"grant_types": ["implicit"]}, "grant_types"),
    ({"grant_types": ["password"]}, "grant_types"),
    ({"grant_types": []}, "grant_types"),
    ({"grant_types": ["refresh_token"], "response_types": []}, "grant_types"),
    ({"response_types": ["token"]}, "response_types"),
    ({"response_types": ["code", "token"]}, "response_types"),
    ({"response_types": []}, "response_types"),
    ({"grant_types": ["client_credentials"]}, "token_endpoint_auth_method"),
    ({"grant_types": ["client_credentials"], "response_types": ["code"]}, "response_types"),
    (
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"},
        "token_endpoint_auth_method",
    ),
    ({"redirect_uris": []}, "redirect_uris"),
    ({"redirect_uris": ["https://*.example.org/cb"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example.org/cb", "http://a.example.org/cb"]}, "redirect_uris"),
    ({"post_logout_redirect_uris": ["https://a.example.org/#bye"]}, "post_logout_redirect_uris"),
    ({"launch_urls": ["http://a.example.org/launch"]}, "launch_urls"),
    ({"launch_urls": ["https://a.example.org/launch?iss=https%3A%2F%2Felsewhere.example.org"]}, "launch_urls"),
    ({"launch_urls": ["https://a.example.org/launch?launch="]}, "launch_urls"),
    ({"initiate_login_uri": "https://a.example.org/#l"}, "launch_urls"),
    ({"logo_uri": "javascript:alert(1)"}, "logo_uri"),
    ({"tos_uri": "http://a.example.org/tos"}, "tos_uri"),
    ({"allowed_origins": ["https://a.example.org/"]}, "allowed_origins"),
    ({"allowed_origins": ["*"]}, "allowed_origins"),
    ({"allowed_origins": ["null"]}, "allowed_origins"),
    ({"scope": "patient/*.rs patient/Observation.sr"}, "scope"),
    ({"scope": "patient/*.rs everything"}, "scope"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks_uri"),
    ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}, "jwks"),
    ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY | {"x": "AA", "y": "AA"}]}}, "jwks"),
    ({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://10.0.0.1/jwks"}, "jwks_uri"),
    ({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://a.example.org/jwks"}, "jwks_uri"),
    ({"jwks": {"keys": [KEY]}, "jwks_uri": "https://a.example.org/jwks"}, "jwks"),
    ({"restrictions": {"patient": ["ana"]}}, "restrictions"),
    ({"restrictions": {"patients": "ana"}}, "restrictions"),
    ({"restrictions": {"patients": ["Patient/ana"]}}, "restrictions"),
    ({"restrictions": {"groups": [1]}}, "restrictions"),
    ({"restrictions": {"panel": "yes"}}, "restrictions"),
    ({"restrictions": {"panel": []}}, "restrictions"),
    ({"restrictions": {"proxy_relations": 0}}, "restrictions"),
    ({"restrictions": {"operator_types": ["Observation"]}}, "restrictions"),
]


@pytest.mark.requirement("REG-02", "REG-04", "REG-05", "REG-06", "REG-12")
@pytest.mark.requirement("OIDC-20")
@pytest.mark.parametrize(("change", "member"), REFUSED)
def test_a_member_that_is_not_acceptable_is_named(change, member, db):
    error = refused(phone_app() | change)
    assert error.member == member
    assert error.code == (
        "invalid_redirect_uri" if isinstance(error, InvalidRedirectUri) else "invalid_client_metadata"
    )
    assert error.refusal.reason.startswith(f"{member} is not acceptable: ")
    assert "\n" not in error.refusal.reason


@pytest.mark.parametrize("metadata", [None, [], "client", 5])
def test_metadata_is_a_json_object(metadata, db):
    assert refused(metadata).member == "metadata"


def test_an_unreadable_scope_is_refused_by_name(db):
    told = refused(phone_app(scope="openid patient/Observation.sr")).refusal
    assert (told.rule, told.seen) == ("registration.scope", "patient/Observation.sr")


def test_null_members_are_absent(db):
    metadata = phone_app(jwks=None, client_name=None, grant_types=None, scope=None)
    assert register_client(metadata, operator=True).client.grant_types == ["authorization_code"]


@pytest.mark.requirement("REG-07")
def test_a_private_key_in_the_registration_is_refused_and_not_repeated(db, ec: KeyPair):
    error = refused(service(jwks={"keys": [ec.public_jwk | {"d": "c2VjcmV0"}]}))
    assert error.member == "jwks"
    assert "c2VjcmV0" not in f"{error.refusal}"


REDIRECTS = [
    # URI                                          web     native  sandbox web
    ("https://a.example.org/cb", True, True, True),
    ("https://a.example.org/cb?a=1", True, True, True),
    ("https://a.example.org", True, True, True),
    ("https://a.example.org:8443/cb", True, True, True),
    ("http://127.0.0.1/cb", False, True, True),
    ("http://127.0.0.1:8080/cb", False, True, True),
    ("http://[::1]:8080/cb", False, True, True),
    ("http://localhost/cb", False, True, True),
    ("http://localhost.example.org/cb", False, False, False),
    ("http://127.0.0.1.example.org/cb", False, False, False),
    ("http://192.168.0.1/cb", False, False, False),
    ("http://a.example.org/cb", False, False, False),
    ("org.example.app:/cb", False, True, False),
    ("org.example.app://cb", False, True, False),
    ("myapp:/cb", False, False, False),
    ("javascript:alert(1)", False, False, False),
    ("data:text/html,x", False, False, False),
    ("file:///etc/passwd", False, False, False),
    ("urn:ietf:wg:oauth:2.0:oob", False, False, False),
    ("https://a.example.org/cb#", False, False, False),
    ("https://a.example.org/cb#x", False, False, False),
    ("https://user@a.example.org/cb", False, False, False),
    ("https://user:pw@a.example.org/cb", False, False, False),
    ("org.example.app://user@cb", False, False, False),
    ("https://*.example.org/cb", False, False, False),
    ("https://a.example.org/*", False, False, False),
    ("https://a.example.org/c b", False, False, False),
    ("https://a.example.org\\@b.example.org/", False, False, False),
    ("https://a.example.org/é", False, False, False),
    ("https://a.example.org:99999/cb", False, False, False),
    ("https://:443/cb", False, False, False),
    ("https:a.example.org/cb", False, False, False),
    ("//a.example.org/cb", False, False, False),
    ("/cb", False, False, False),
    ("HTTPS://a.example.org/cb", False, False, False),
    ("", False, False, False),
    ("https://a.example.org/" + "a" * 2_000, False, False, False),
]


@pytest.mark.requirement("REG-02", "REG-03")
@pytest.mark.parametrize(("uri", "web", "native", "sandbox"), REDIRECTS)
def test_redirect_uris_by_kind_of_client(uri, web, native, sandbox):
    assert (redirect_uri_problem(uri, native=False, sandbox=False) == "") is web
    assert (redirect_uri_problem(uri, native=True, sandbox=False) == "") is native
    assert (redirect_uri_problem(uri, native=False, sandbox=True) == "") is sandbox


@pytest.mark.requirement("REG-03")
def test_loopback_redirects_of_web_apps_are_for_the_sandbox(db, configure: Configure):
    metadata = phone_app(redirect_uris=["http://127.0.0.1:8000/cb"])
    configure(mode="production")
    error = refused(metadata)
    assert (error.code, error.refusal.rule) == ("invalid_redirect_uri", "registration.redirect_uris")
    configure(mode="sandbox")
    assert register_client(metadata, operator=True).client.redirect_uris == "http://127.0.0.1:8000/cb"


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        ("https://a.example.org", True),
        ("https://a.example.org:8443", True),
        ("https://a.example.org:443", False),
        ("https://A.example.org", False),
        ("https://a.example.org/", False),
        ("https://a.example.org/app", False),
        ("https://a.example.org?x", False),
        ("http://localhost:3000", False),
        ("a.example.org", False),
        ("https://*.example.org", False),
    ],
)
def test_origins_are_written_as_browsers_write_them(origin, good):
    assert (origin_problem(origin, http_on_loopback=False) == "") is good


@pytest.mark.requirement("SEC-11")
@pytest.mark.parametrize("name", ["Growth\u202eChart", "Growth\x00Chart", "Growth\nChart", "\u2066Growth"])
def test_a_name_that_hides_what_it_says_is_refused(name: str) -> None:
    with pytest.raises(InvalidClientMetadata) as refused:
        register_client(phone_app(client_name=name), operator=True)
    assert refused.value.member == "client_name"
