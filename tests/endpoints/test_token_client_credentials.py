"""Backend services at the token endpoint.  RFC 6749 §3.2, §4.4 and §5; SMART 2.2 backend-services."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import KeySet

from clients import registered
from clients.models import Activation, AssertionId, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization
from smartauth.receipts.models import Receipt
from smartauth.tokens import issue_service_token
from tests.endpoints.token_requests import TOKEN, Post, Service
from tests.factories import make_tenant

GRANT = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}


def rule_of(answer: Any) -> str:
    """Return the rule of the receipt that the answer's trace id names."""
    receipt = Receipt.objects.get(trace_id=answer.json()["trace_id"])
    assert (receipt.status, receipt.error) == (answer.status_code, answer.json()["error"])
    assert answer.headers["X-Trace-Id"] == str(receipt.trace_id)
    return receipt.rule


def assert_nothing_issued() -> None:
    assert not AccessToken.objects.exists()
    assert not Authorization.objects.exists()


@pytest.mark.requirement("BACK-01", "BACK-04", "BACK-05", "BACK-06", "T-12", "T-64")
@pytest.mark.requirement("HDR-03", "HDR-04", "TOK-12", "T-13")
@pytest.mark.requirement("REFRESH-19", "T-64")
def test_an_assertion_is_exchanged_for_a_token(post: Post, bulk_loader: Service) -> None:
    answer = post(TOKEN, {**GRANT, **bulk_loader.credentials()})

    assert answer.status_code == 200
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 300
    assert isinstance(body["expires_in"], int)
    assert body["scope"] == "system/Patient.rs"
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"

    row = AccessToken.objects.get()
    assert row.token_checksum == digest(body["access_token"])
    assert body["access_token"] not in str(row.__dict__)
    assert row.authorization.kind == Authorization.Kind.SERVICE
    record = AuditRecord.objects.get(action="token")
    assert (record.client_id, record.tenant, record.authorization) == ("bulk-loader", "sandbox", row.authorization_id)
    assert str(record.trace_id) == answer.headers["X-Trace-Id"]
    assert not Receipt.objects.exists()


@pytest.mark.requirement("AT-03", "BACK-12")
def test_the_token_is_a_jwt_that_our_published_keys_verify(post: Post, bulk_loader: Service, client: Any) -> None:
    token = post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()["access_token"]
    published = client.get("/.well-known/jwks.json").json()

    verified = jwt.decode(token, KeySet.import_key_set(published), algorithms=["ES256"])

    assert verified.header["typ"] == "at+jwt"
    claims = verified.claims
    assert claims["iss"] == "http://127.0.0.1:8000"
    assert claims["aud"] == "http://127.0.0.1:8000/fhir/sandbox/r4"
    assert claims["sub"] == claims["client_id"] == "bulk-loader"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["scope"] == "system/Patient.rs"
    assert claims["jti"]


def test_a_service_has_one_standing_authorization(get_token: Callable[..., str], bulk_loader: Service) -> None:
    assert get_token(bulk_loader) != get_token(bulk_loader)
    assert AccessToken.objects.count() == 2
    assert Authorization.objects.count() == 1


SCOPES = [
    # requested                                        registered                          granted
    ("system/Patient.rs",                              "system/*.rs",                      "system/Patient.rs"),
    ("system/*.read",                                  "system/*.rs",                      "system/*.read"),
    ("system/Patient.read",                            "system/*.cruds",                   "system/Patient.read"),
    ("system/Patient.cruds",                           "system/*.rs",                      "system/Patient.rs"),
    ("system/*.rs", "system/Patient.rs system/Group.r", "system/Patient.rs system/Group.r"),
    ("system/Patient.rs system/Group.rs",              "system/Patient.rs",                "system/Patient.rs"),
    ("system/Patient.rs openid offline_access launch", "system/*.rs",                      "system/Patient.rs"),
    ("system/Patient.rs system/Patient.dus",           "system/*.cruds",                   "system/Patient.rs"),
    ("system/Patient.rs patient/Patient.rs",           "system/*.rs patient/*.rs",         "system/Patient.rs"),
    ("system/Patient.rs  system/Patient.rs",           "system/*.rs",                      "system/Patient.rs"),
    ("__introspect",                                   "system/*.rs __introspect",         "__introspect"),
    ("system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category%7Claboratory",
     "system/*.rs",
     "system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"),
]  # fmt: skip


@pytest.mark.requirement("BACK-03", "BACK-08", "SCOPE-05", "SCOPE-11", "SCOPE-21", "T-65")
@pytest.mark.parametrize(("requested", "registered", "granted"), SCOPES)
def test_the_overlap_of_requested_and_registered_is_granted(
    post: Post, register: Callable[..., Service], requested: str, registered: str, granted: str
) -> None:
    who = register(scope=registered)
    answer = post(TOKEN, {"grant_type": "client_credentials", "scope": requested, **who.credentials()})
    assert answer.status_code == 200, answer.content
    assert answer.json()["scope"] == granted


UNGRANTABLE = [
    ("", "scope.missing"),
    ("system/Observation.rs", "scope.not_registered"),
    ("patient/Patient.rs", "scope.level"),
    ("openid", "scope.user_only"),
    ("system/Patient.sr", "scope.grammar"),
    ("system/Pony.rs", "scope.grammar"),
    ("system/Observation.rs openid", "scope.nothing_granted"),
]


@pytest.mark.requirement("BACK-02", "BACK-03", "SCOPE-11", "T-14")
@pytest.mark.parametrize(("requested", "rule"), UNGRANTABLE)
def test_without_overlap_there_is_no_token(
    post: Post, register: Callable[..., Service], requested: str, rule: str
) -> None:
    who = register(scope="system/Patient.rs")
    answer = post(TOKEN, {"grant_type": "client_credentials", "scope": requested, **who.credentials()})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert rule_of(answer) == rule
    assert_nothing_issued()


@pytest.mark.requirement("BACK-03")
def test_a_tenant_may_allow_less_than_was_registered(post: Post, bulk_loader: Service) -> None:
    Activation.objects.update(allowed_scope="system/Patient.r")
    answer = post(TOKEN, {**GRANT, **bulk_loader.credentials()})
    assert answer.json()["scope"] == "system/Patient.r"


MALFORMED = [
    # changed parameters                                    status error                     rule
    ({"grant_type": ""},                                     400, "invalid_request",        "http.parameter_missing"),
    ({"grant_type": "password"},                             400, "unsupported_grant_type", "token.grant_type"),
    ({"grant_type": "authorization_code"},                   400, "unauthorized_client",    "client.grant_type"),
    ({"client_assertion": "x.y.z"},                          401, "invalid_client",         "assertion.not_jwt"),
    ({"client_assertion": ""},                               401, "invalid_client",         "assertion.missing"),
    ({"client_assertion_type": "urn:something:else"},        401, "invalid_client",         "assertion.type"),
    ({"client_id": "somebody-else"},                         401, "invalid_client",         "client.id_mismatch"),
    ({"resource": "https://elsewhere.example.org/fhir"},     400, "invalid_target",         "target.unknown"),
    ({"resource": "http://127.0.0.1:8000/fhir/nowhere/r4"},  400, "invalid_target",         "target.unknown"),
]  # fmt: skip


@pytest.mark.requirement("TOK-02", "TOK-20", "TOK-22", "BACK-07", "T-13")
@pytest.mark.parametrize(("change", "status", "error", "rule"), MALFORMED)
def test_one_wrong_parameter_is_refused_with_a_receipt(
    post: Post, bulk_loader: Service, change: dict[str, str], status: int, error: str, rule: str
) -> None:
    answer = post(TOKEN, {**GRANT, **bulk_loader.credentials(), **change})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert rule_of(answer) == rule
    assert_nothing_issued()


@pytest.mark.requirement("TOK-02", "T-08")
def test_an_unknown_grant_type_is_400_whoever_asks(post: Post, tenant: TenantInfo) -> None:
    answer = post(TOKEN, {"grant_type": "urn:ietf:params:oauth:grant-type:saml2-bearer"}, Authorization="Basic !!")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.requirement("HDR-13", "TOK-01")
def test_a_repeated_parameter_is_refused(client: Any, tenant: TenantInfo) -> None:
    answer = client.post(
        TOKEN, "grant_type=client_credentials&grant_type=x", content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert rule_of(answer) == "http.parameter_repeated"


BODIES = [
    ("application/json", b'{"grant_type": "client_credentials"}', "http.content_type", 400),
    ("multipart/form-data; boundary=x", b"--x--", "http.content_type", 400),
    ("", b"grant_type=client_credentials", "http.content_type", 400),
    ("application/x-www-form-urlencoded; charset=utf-16", b"grant_type=x", "http.content_type", 400),
    ("application/x-www-form-urlencoded", b"grant_type=\xff\xfe", "http.encoding", 400),
    ("application/x-www-form-urlencoded", b"grant_type=%ff%fe", "http.encoding", 400),
    ("application/x-www-form-urlencoded", b"grant_type=a%00b", "http.encoding", 400),
    ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % i for i in range(2000)), "http.encoding", 400),
    ("application/x-www-form-urlencoded", b"grant_type=" + b"x" * 70_000, "http.size", 413),
]


@pytest.mark.requirement("TOK-01")
@pytest.mark.parametrize(("content_type", "body", "rule", "status"), BODIES)
def test_an_unreadable_body_is_refused(
    client: Any, tenant: TenantInfo, content_type: str, body: bytes, rule: str, status: int
) -> None:
    answer = client.generic("POST", TOKEN, body, content_type=content_type)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")
    assert rule_of(answer) == rule


def test_a_charset_that_is_utf_8_is_fine(client: Any, tenant: TenantInfo) -> None:
    answer = client.generic(
        "POST", TOKEN, b"grant_type=x", content_type='application/x-www-form-urlencoded; charset="UTF-8"'
    )
    assert answer.json()["error"] == "unsupported_grant_type"


@pytest.mark.requirement("TOK-01")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_only_post_is_taken(client: Any, tenant: TenantInfo, method: str) -> None:
    answer = client.generic(method, TOKEN)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.requirement("TOK-01")
def test_parameters_in_the_url_are_not_read(client: Any, tenant: TenantInfo) -> None:
    answer = client.generic(
        "POST", f"{TOKEN}?grant_type=client_credentials", b"scope=x", content_type="application/x-www-form-urlencoded"
    )
    assert rule_of(answer) == "http.parameter_missing"


@pytest.mark.parametrize("slug", ["nowhere", "closed"])
def test_an_unknown_or_closed_tenant_is_404_at_its_urls(post: Post, bulk_loader: Service, slug: str) -> None:
    Tenant.objects.create(slug="closed", is_active=False)
    answer = post(f"/auth/{slug}/token", {**GRANT, **bulk_loader.credentials()})
    assert (answer.status_code, rule_of(answer)) == (404, "tenant.unknown")
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("TOK-18", "ASYM-20")
def test_invalid_client_is_the_same_bytes_whatever_the_cause(
    post: Post, register: Callable[..., Service], bulk_loader: Service
) -> None:
    suspended, elsewhere = register("suspended"), register("elsewhere", activate_at=())
    Client.objects.filter(client_id="suspended").update(status=Client.Status.SUSPENDED)
    unknown = Service("nobody", bulk_loader.pair)
    answers = [
        post(TOKEN, {**GRANT, **suspended.credentials()}),
        post(TOKEN, {**GRANT, **elsewhere.credentials()}),
        post(TOKEN, {**GRANT, **unknown.credentials()}),
        post(TOKEN, {**GRANT, **bulk_loader.credentials(aud="https://elsewhere.example.org")}),
    ]
    rules = [rule_of(answer) for answer in answers]
    assert rules == ["client.suspended", "client.not_activated", "client.unknown", "assertion.aud"]
    bodies = {answer.content.replace(answer.headers["X-Trace-Id"].encode(), b"TRACE") for answer in answers}
    assert len(bodies) == 1
    assert {answer.status_code for answer in answers} == {401}
    assert_nothing_issued()


class TestShortUrl:
    """The token URL without a tenant."""

    def test_the_only_activation_is_meant(self, post: Post, bulk_loader: Service) -> None:
        aud = "http://127.0.0.1:8000/auth/token"
        answer = post("/auth/token", {**GRANT, **bulk_loader.credentials(aud=aud)})
        assert answer.status_code == 200
        assert AccessToken.objects.get().claims["aud"].endswith("/fhir/sandbox/r4")

    def test_several_activations_need_a_resource(
        self, post: Post, register: Callable[..., Service], tenant: TenantInfo
    ) -> None:
        north = make_tenant("north")
        who = register(activate_at=(tenant, north))
        aud = "http://127.0.0.1:8000"
        ambiguous = post("/auth/token", {**GRANT, **who.credentials(aud=aud)})
        assert (ambiguous.status_code, ambiguous.json()["error"]) == (400, "invalid_target")
        assert rule_of(ambiguous) == "target.ambiguous"
        named = post("/auth/token", {**GRANT, "resource": f"{north.fhir_base}/", **who.credentials(aud=aud)})
        assert named.status_code == 200
        assert AccessToken.objects.get().claims["aud"] == north.fhir_base

    @pytest.mark.requirement("ASYM-12")
    def test_another_tenants_token_url_is_no_audience(
        self, post: Post, register: Callable[..., Service], tenant: TenantInfo
    ) -> None:
        who = register(activate_at=(tenant, make_tenant("north")))
        aud = "http://127.0.0.1:8000/auth/north/token"
        answer = post(TOKEN, {**GRANT, **who.credentials(aud=aud)})
        assert (answer.status_code, rule_of(answer)) == (401, "assertion.aud")

    def test_a_resource_of_another_tenant_is_no_target(self, post: Post, bulk_loader: Service) -> None:
        north = make_tenant("north")
        answer = post(TOKEN, {**GRANT, "resource": north.fhir_base, **bulk_loader.credentials()})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")


def test_a_token_takes_three_statements_at_most(post: Post, bulk_loader: Service, serving: None) -> None:
    post(TOKEN, {**GRANT, **bulk_loader.credentials()})  # Tenant, signing key: loaded once per process.
    registered._clients.clear()
    with CaptureQueriesContext(connection) as cold:
        assert post(TOKEN, {**GRANT, **bulk_loader.credentials()}).status_code == 200
    with CaptureQueriesContext(connection) as warm:
        assert post(TOKEN, {**GRANT, **bulk_loader.credentials()}).status_code == 200
    assert statements(cold) == 3
    assert statements(warm) == 2


def test_issuing_does_not_wait_for_the_disk(tenant: TenantInfo, bulk_loader: Service) -> None:
    """Within the test's transaction the setting that the statement made can be seen; otherwise it ends with it."""
    pk = Client.objects.get().pk
    with connection.cursor() as cursor:
        for _ in range(2):  # The first also makes the standing authorization.
            cursor.execute("SET LOCAL synchronous_commit = on")
            issue_service_token(
                client_pk=pk,
                client_id="bulk-loader",
                tenant_pk=tenant.pk,
                tenant="sandbox",
                scope="system/*.rs",
                dropped=(),
                context=new_context(),
                now=timezone.now(),
            )
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("off",)


def statements(captured: CaptureQueriesContext) -> int:
    """Count statements, those that only open or close a transaction left out."""
    frame = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
    return sum(not query["sql"].startswith(frame) for query in captured.captured_queries)
