"""Everything that is not a read or a type search, and everything malformed: refused, explained, never forwarded.

FHIR R4 http; RFC 6750 §3; RFC 9110 §5.3 and §12.5.1; Fetch standard, CORS.
"""

from typing import Any

import pytest
from django.db import OperationalError

from clients.models import Tenant
from fhirproxy import pipeline
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import BASE, Behind, Caller, Mint

PATHS = [
    # method    path below the base                          status with a good token, rule
    ("GET",     "/?_id=ana",                                 403, "search.types"),
    ("POST",    "/_search",                                  415, "header.content_type"),
    ("GET",     "/Patient/ana/*",                            403, "compartment.all_types"),
    ("POST",    "/Patient/ana/Observation/_search",          415, "header.content_type"),
    ("POST",    "/",                                         415, "header.content_type"),
    ("POST",    "",                                          415, "header.content_type"),
    ("POST",    "/Observation",                              405, "interaction.write"),
    ("PUT",     "/Observation/o1",                           405, "interaction.write"),
    ("PUT",     "/Observation?identifier=x",                 405, "interaction.write"),
    ("PATCH",   "/Observation/o1",                           405, "interaction.write"),
    ("DELETE",  "/Observation/o1",                           405, "interaction.write"),
    ("DELETE",  "/Observation?status=final",                 405, "interaction.write"),
    ("GET",     "/Encounter/e/$everything",                  403, "interaction.operation"),
    ("GET",     "/Encounter/e/%24everything",                403, "interaction.operation"),
    ("POST",    "/Observation/$lastn",                       400, "lastn.subject"),
    ("GET",     "/$export",                                  400, "bulk.prefer"),
    ("POST",    "/$graphql",                                 403, "interaction.operation"),
    ("POST",    "/$process-message",                         403, "interaction.operation"),
    ("POST",    "/Patient/$match",                           403, "interaction.operation"),
    ("GET",     "/$made-up",                                 404, "interaction.unknown_operation"),
    ("GET",     "",                                          404, "target.base"),
    ("GET",     "/",                                         404, "target.base"),
    ("GET",     "/metadata/",                                404, "target.trailing_slash"),
    ("GET",     "/Patient/",                                 404, "target.trailing_slash"),
    ("GET",     "/Patient/ana/",                             404, "target.trailing_slash"),
    ("GET",     "//Patient/ana",                             400, "target.double_slash"),
    ("GET",     "/Patient//ana",                             400, "target.double_slash"),
    ("GET",     "/Patient/ana//",                            400, "target.double_slash"),
    ("GET",     "//metadata",                                400, "target.double_slash"),
    ("GET",     "/patient/ana",                              404, "target.type"),
    ("GET",     "/PATIENT/ana",                              404, "target.type"),
    ("GET",     "/Nothing/ana",                              404, "target.type"),
    ("GET",     "/.well-known/openid",                       404, "target.type"),
    ("GET",     "/Patient/a_b",                              404, "target.id"),
    ("GET",     "/Patient/" + "a" * 65,                      404, "target.id"),
    ("GET",     "/Patient/ana/Nothing",                      404, "target.path"),
    ("GET",     "/Patient/ana/_history/1/2",                 404, "target.path"),
    ("GET",     "/Patient/..",                               400, "target.segment"),
    ("GET",     "/Patient/../Observation",                   400, "target.segment"),
    ("GET",     "/Patient/%2e%2e",                           400, "target.segment"),
    ("GET",     "/Patient/%252e%252e",                       400, "target.segment"),
    ("GET",     "/Patient/ana;x=1",                          400, "target.segment"),
    ("GET",     "/Patient/ana%00",                           400, "target.segment"),
    ("GET",     "/Patient/an%C3%A4",                         400, "target.segment"),
    ("GET",     "/Patient/ana%5C..",                         400, "target.segment"),
    ("GET",     "/Patient/ana?x",                            400, "query.empty"),
    ("GET",     "/Patient/ana?patient=ana",                  400, "read.parameter"),
    ("GET",     "/Patient?name=%ff",                         400, "query.utf8"),
    ("GET",     "/Patient?name=%00",                         400, "query.control"),
    ("GET",     "/Patient?na%3Bme=x",                        400, "query.name"),
    ("GET",     "/Patient?name=" + "x" * 2049,               414, "query.length"),
    ("GET",     "/Patient?" + "&".join(["name=x"] * 101),    414, "query.pairs"),
    ("GET",     "/Patient?name=" + "x" * 9000,               414, "target.length"),
    ("POST",    "/metadata",                                 405, "http.method"),
    ("GET",     "/Patient/_search",                          405, "http.method"),
    ("POST",    "/Patient/ana",                              405, "http.method"),
    ("TRACE",   "/Patient/ana",                              405, "http.method"),
    ("PROPFIND", "/Patient",                                 405, "http.method"),
    ("get",     "/Patient/ana",                              405, "http.method"),
]  # fmt: skip
PUBLIC_MISSPELT = {"/metadata/", "//metadata"}


@pytest.mark.requirement("PROXY-05", "PROXY-08", "PROXY-09", "PROXY-31", "PROXY-49")
@pytest.mark.parametrize(("method", "path", "status", "rule"), PATHS)
def test_other_interactions_and_malformed_targets(
    small: Behind, minted: Mint, call: Caller, method: str, path: str, status: int, rule: str
) -> None:
    response = call(path, minted("system/*.cruds"), method=method)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    outcome = response.json()
    assert (outcome["resourceType"], outcome["issue"][0]["diagnostics"]) == (
        "OperationOutcome",
        response["X-Trace-Id"],
    )
    assert response["Content-Type"] == "application/fhir+json"
    assert ("Allow" in response) == (status == 405)
    assert small.received() == []


@pytest.mark.requirement("PROXY-02", "PROXY-05", "PROXY-07", "T-53")
@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _, _ in PATHS])
def test_without_credentials_everything_is_unauthorized(small: Behind, call: Caller, method: str, path: str) -> None:
    response = call(path, method=method)
    if path in PUBLIC_MISSPELT:
        assert response.status_code in (400, 404)
    else:
        assert (response.status_code, response["WWW-Authenticate"]) == (401, f'Bearer realm="fhir", {METADATA}')
        assert response.json()["issue"][0]["code"] == "login"
    assert small.received() == []


METADATA = 'resource_metadata="http://127.0.0.1:8000/.well-known/oauth-protected-resource/fhir/sandbox/r4"'
AUTHORIZATIONS = [
    ("", 'Bearer realm="fhir"'),
    ("Basic YTpi", 'Bearer realm="fhir"'),
    ("Bearer", 'Bearer realm="fhir", error="invalid_token"'),
    ("Bearer nonsense", 'Bearer realm="fhir", error="invalid_token"'),
    ("Bearer a b", 'Bearer realm="fhir", error="invalid_token"'),
    ("Bearer " + "a" * 9000, 'Bearer realm="fhir", error="invalid_token"'),
]


@pytest.mark.requirement("EXT-12", "PROXY-02", "PROXY-03", "T-53")
@pytest.mark.parametrize(("authorization", "challenge"), AUTHORIZATIONS)
def test_bad_credentials_are_challenged(small: Behind, call: Caller, authorization: str, challenge: str) -> None:
    extra = {"HTTP_AUTHORIZATION": authorization} if authorization else {}
    response = call("/Patient/ana", **extra)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, f"{challenge}, {METADATA}")
    assert small.received() == []


@pytest.mark.requirement("PROXY-01")
def test_tokens_elsewhere_than_in_the_header_do_not_count(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    assert call(f"/Patient?access_token={token}").status_code == 401
    form = call(
        "/Patient/_search",
        method="POST",
        data=f"access_token={token}",
        content_type="application/x-www-form-urlencoded",
    )
    assert form.status_code == 401


@pytest.mark.requirement("AT-02", "PROXY-03", "PROXY-06")
def test_a_token_of_another_tenant_is_invalid(small: Behind, minted: Mint, call: Caller) -> None:
    Tenant.objects.create(slug="other")
    for claims in ({"tenant": "other"}, {"aud": "http://127.0.0.1:8000/fhir/other/r4"}, {"exp": 1}):
        response = call("/Patient/ana", minted("system/*.rs", **claims))
        assert (response.status_code, 'error="invalid_token"' in response["WWW-Authenticate"]) == (401, True)
    assert small.received() == []


HEADERS = [
    # header                                                                       status  rule
    ({"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"},                                    400, "header.method_override"),
    ({"HTTP_X_METHOD_OVERRIDE": "DELETE"},                                         400, "header.method_override"),
    ({"HTTP_AUTHORIZATION": "Bearer a, Bearer b"},                                 400, "header.repeated"),
    ({"HTTP_CONTENT_ENCODING": "gzip"},                                            415, "header.content_encoding"),
    ({"HTTP_EXPECT": "200-maybe"},                                                 400, "header.expect"),
    ({"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "0"},                 400, "header.framing"),
    ({"HTTP_ACCEPT": "application/fhir+xml"},                                      406, "header.format"),
    ({"HTTP_ACCEPT": "application/fhir+json; fhirVersion=3.0"},                    406, "header.format"),
    ({"HTTP_ACCEPT": "application/json;q=0"},                                      406, "header.format"),
    ({"data": "{}", "content_type": "application/json"},                           400, "header.body"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-10", "PROXY-39")
@pytest.mark.parametrize(("extra", "status", "rule"), HEADERS)
def test_headers_that_mean_two_things(
    small: Behind, minted: Mint, call: Caller, extra: dict[str, Any], status: int, rule: str
) -> None:
    token = minted("system/*.rs")
    assert call("/Patient/ana", token).status_code == 200
    response = call("/Patient/ana", "" if "HTTP_AUTHORIZATION" in extra else token, **extra)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert len(small.received()) == 1


@pytest.mark.requirement("PROXY-39")
@pytest.mark.parametrize(
    "accept", ["*/*", "application/fhir+json;fhirVersion=4.0", "text/html, application/json;q=0.5", "application/*"]
)
def test_json_is_acceptable_in_all_its_names(small: Behind, minted: Mint, call: Caller, accept: str) -> None:
    assert call("/Patient/ana", minted("system/*.rs"), HTTP_ACCEPT=accept).status_code == 200


@pytest.mark.requirement("PROXY-39")
@pytest.mark.parametrize("value", ["json", "application/fhir%2Bjson", "application/fhir+json", "text/json"])
def test_format_wins_over_accept(small: Behind, minted: Mint, call: Caller, value: str) -> None:
    token = minted("system/*.rs")
    assert call(f"/Patient/ana?_format={value}", token, HTTP_ACCEPT="text/html").status_code == 200


def test_a_body_over_ten_mebibytes_is_refused(small: Behind, minted: Mint, call: Caller) -> None:
    response = call.form("/Patient/_search", minted("system/*.rs"), "a" * (10 * 1024 * 1024 + 1))
    assert (response.status_code, Receipt.objects.get().rule) == (413, "http.size")


def test_a_request_id_is_echoed_and_never_forwarded(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    assert call("/Patient/ana", token, HTTP_X_REQUEST_ID="abc-1.2")["X-Request-ID"] == "abc-1.2"
    assert "X-Request-ID" not in call("/Patient/ana", token, HTTP_X_REQUEST_ID="a b")
    assert all("abc-1.2" not in str(one["headers"]) for one in small.received())


@pytest.mark.requirement("CORS-04", "CORS-08", "CORS-10", "T-48")
def test_cors_is_for_the_client_s_own_origins(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", patient="ana")
    for path, status in (("/Patient/ana", 200), ("/Patient/ben", 404)):
        response = call(path, token, HTTP_ORIGIN="https://app.example.org")
        assert response.status_code == status
        assert response["Access-Control-Allow-Origin"] == "https://app.example.org"
        assert "WWW-Authenticate" in response["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in response
    for origin in ("https://evil.example", "null", "https://app.example.org.evil.example"):
        assert "Access-Control-Allow-Origin" not in call("/Patient/ana", token, HTTP_ORIGIN=origin)
    # Without a token nobody is named: the page of any client may read that one is wanted.
    assert call("/Patient/ana", HTTP_ORIGIN="https://app.example.org")["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Origin" not in call("/Patient/ana", HTTP_ORIGIN="https://evil.example")


READ_BY_ITS_PAGES = [
    # what                      status  fault of the upstream               policy of the tenant
    ("GET /Observation/other",  404,    {"kind": "none"},                   {}),
    ("GET /Slot",               403,    {"kind": "none"},                   {}),
    ("PROPFIND /Patient/ana",   405,    {"kind": "none"},                   {}),
    ("GET /Patient?foo=bar",    400,    {"kind": "none"},                   {}),
    ("GET /Patient/ana",        429,    {"kind": "none"},                   {"max_requests_per_minute": 1}),
    ("GET /Patient/ana",        502,    {"kind": "status", "status": 500},  {}),
]  # fmt: skip


@pytest.mark.requirement("CORS-04", "T-48")
@pytest.mark.parametrize(("line", "status", "fault", "policy"), READ_BY_ITS_PAGES)
def test_pages_of_the_client_read_every_refusal(
    small: Behind, minted: Mint, call: Caller, line: str, status: int, fault: dict[str, Any], policy: dict[str, Any]
) -> None:
    method, path = line.split(" ")
    Tenant.objects.update(policy=policy)
    token = minted("patient/Patient.rs patient/Observation.rs", patient="ana")
    if policy:
        call("/Patient/ana", token)
    small.fail(**fault)
    answer = call(path, token, method=method, HTTP_ORIGIN="https://app.example.org")
    assert answer.status_code == status, answer.content
    assert answer["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "Origin" in answer["Vary"]
    assert "Access-Control-Allow-Origin" not in call(path, token, method=method, HTTP_ORIGIN="https://evil.example")


@pytest.mark.requirement("PROXY-07")
def test_options_is_answered_here(small: Behind, call: Caller) -> None:
    response = call("/Patient/ana", method="OPTIONS", HTTP_ORIGIN="https://app.example.org")
    assert (response.status_code, response.content) == (204, b"")
    assert "Authorization" in response["Access-Control-Allow-Headers"]
    assert small.received() == []


def test_unknown_and_deactivated_tenants_are_not_there(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    for slug in ("unknown", "UPPER", "a_b", "%2e"):
        response = call.browser.get(f"/fhir/{slug}/r4/metadata", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert (response.status_code, response.json()["resourceType"]) == (404, "OperationOutcome")
    assert Receipt.objects.values_list("rule", flat=True).distinct().get() == "tenant.unknown"
    Tenant.objects.update(is_active=False)
    assert call("/metadata").status_code == 404
    assert call("/Patient/ana", token).status_code == 404
    assert small.received() == []


def test_a_newline_in_the_path_is_still_ours_to_refuse(small: Behind, call: Caller) -> None:
    assert call("/Patient/ana%0A").status_code == 401


@pytest.mark.requirement("PROXY-09")
def test_a_raw_target_is_read_as_it_came(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    targets = {
        f"{BASE}/%50atient/ana": 200,
        f"{BASE}/Patient%2Fana": 400,
        f"http://127.0.0.1:8000{BASE}/Patient/ana": 400,
        f"{BASE}/Patient/ana#x": 400,
        "/%66hir/sandbox/r4/Patient/ana": 400,
        f"{BASE}/%2550atient/ana": 400,
    }
    for target, status in targets.items():
        assert call("/Patient/ana", token, RAW_URI=target).status_code == status, target


def test_no_database_no_access(small: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(pipeline, "find_tenant", away)
    response = call("/Patient/ana", "a-token")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response.json()["resourceType"] == "OperationOutcome"
    assert b"gone" not in response.content


def test_our_own_mistake_tells_nothing(small: Behind, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(pipeline, "find_tenant", broken)
    response = call("/Patient/ana", "a-token")
    assert (response.status_code, response.json()["issue"][0]["details"]["text"]) == (500, "The server made a mistake.")
    assert b"secret" not in response.content
