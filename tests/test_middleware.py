"""What happens to every request, before and after anybody looks at it."""

from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from smartauth.receipts.models import Receipt
from tests.conftest import Configure

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


def refused(client: Any, **meta: str) -> Receipt:
    """Make a refused request and return its receipt."""
    answer = client.post("/auth/token", "grant_type=x", content_type=FORM, **meta)
    return Receipt.objects.get(trace_id=answer.json()["trace_id"])


@pytest.mark.requirement("HDR-16")
@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/auth/token", "/.well-known/jwks.json", "/admin/"])
def test_every_answer_has_a_trace_id_of_ours(client: Any, path: str) -> None:
    first, second = (client.get(path, headers={"X-Trace-Id": "mine"}).headers["X-Trace-Id"] for _ in range(2))
    assert UUID(first).version == 4
    assert first != second


def test_a_well_formed_request_id_is_kept_and_another_is_not(client: Any) -> None:
    assert refused(client, HTTP_X_REQUEST_ID="abc-1.2_3").correlation_id == "abc-1.2_3"
    for bad in ("a b", "x" * 65, "a\u00fc", "<script>"):
        assert refused(client, HTTP_X_REQUEST_ID=bad).correlation_id == ""


FORWARDED = [
    # peer           X-Forwarded-For              trusted         the caller
    ("203.0.113.1", "198.51.100.7",              "",              "203.0.113.1"),
    ("203.0.113.1", "198.51.100.7",              "10.0.0.0/8",    "203.0.113.1"),
    ("10.0.0.1",    "198.51.100.7",              "10.0.0.0/8",    "198.51.100.7"),
    ("10.0.0.1",    "192.0.2.66, 198.51.100.7",  "10.0.0.0/8",    "198.51.100.7"),
    ("10.0.0.1",    "198.51.100.7, 10.0.0.2",    "10.0.0.0/8",    "198.51.100.7"),
    ("10.0.0.1",    "",                          "10.0.0.0/8",    "10.0.0.1"),
    ("10.0.0.1",    "nonsense",                  "10.0.0.0/8",    ""),
    ("::1",         "198.51.100.7",              "10.0.0.0/8",    "::1"),
]  # fmt: skip


@pytest.mark.requirement("HDR-11")
@pytest.mark.parametrize(("peer", "header", "trusted", "caller"), FORWARDED)
def test_the_callers_address_comes_from_trusted_hops_only(
    client: Any, configure: Configure, peer: str, header: str, trusted: str, caller: str
) -> None:
    configure(trusted_proxies=(ip_network(trusted),) if trusted else ())
    assert refused(client, REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=header).remote_address == caller


class TestScheme:
    """Outside the sandbox nothing is answered over plain HTTP, and only a trusted hop may say it was TLS."""

    @pytest.fixture(autouse=True)
    def production(self, configure: Configure) -> None:
        configure(mode="production", trusted_proxies=(ip_network("10.0.0.0/8"),))

    @pytest.mark.requirement("HDR-02", "HDR-11")
    def test_plain_http_is_refused(self, client: Any) -> None:
        answer = client.post("/auth/token", "grant_type=x", content_type=FORM)
        assert answer.status_code == 400
        assert b"https only" in answer.content
        assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.scheme"

    @pytest.mark.requirement("HDR-02", "HDR-11")
    def test_a_trusted_hop_may_say_https(self, client: Any) -> None:
        meta = {"REMOTE_ADDR": "10.1.1.1", "HTTP_X_FORWARDED_PROTO": "https"}
        answer = client.post("/auth/token", "grant_type=x", content_type=FORM, **meta)
        assert answer.json()["error"] == "unsupported_grant_type"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"

    @pytest.mark.requirement("HDR-02", "HDR-11")
    def test_anybody_else_may_not(self, client: Any) -> None:
        meta = {"REMOTE_ADDR": "203.0.113.1", "HTTP_X_FORWARDED_PROTO": "https"}
        assert client.post("/auth/token", "grant_type=x", content_type=FORM, **meta).status_code == 400

    def test_probes_answer_over_http(self, client: Any) -> None:
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"])
def test_loopback_hosts_are_served_in_the_sandbox(client: Any, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.requirement("HDR-10")
@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "a b", ""])
def test_a_foreign_host_is_refused_without_an_echo(client: Any, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.content == b"This host is not served here.\n"
    protocol = client.get("/.well-known/jwks.json", headers={"Host": host})
    assert (protocol.status_code, protocol.json()["trace_id"]) == (400, protocol.headers["X-Trace-Id"])
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.host"


@pytest.mark.requirement("TOK-26")
def test_protocol_endpoints_set_no_cookie_and_ask_for_none(client: Any) -> None:
    answer = client.post("/auth/token", "grant_type=x", content_type=FORM)
    assert not answer.cookies
    assert "Cookie" not in answer.headers.get("Vary", "")


def test_without_a_database_there_is_no_access(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError

    monkeypatch.setattr("smartauth.views.token.authenticate_client", away)
    answer = client.post("/auth/token", "grant_type=client_credentials", content_type=FORM)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]


def test_a_bug_says_one_fixed_sentence(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret details")

    monkeypatch.setattr("smartauth.views.token.authenticate_client", broken)
    answer = client.post("/auth/token", "grant_type=client_credentials", content_type=FORM)
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    assert b"secret" not in answer.content


def test_probes_say_yes_or_no(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (client.get("/healthz").content, client.get("/readyz").content) == (b"ok\n", b"ok\n")

    class Away:
        def cursor(self) -> None:
            raise OperationalError

    monkeypatch.setattr("smartauth.probes.connection", Away())
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"unavailable\n")
    assert client.get("/healthz").status_code == 200


NOWHERE = [
    *("/auth/sandbox/token/", "/auth/SANDBOX/token", "/auth/token/x", "/auth/nothing", "/fhir/sandbox"),
    *("/.well-known/nothing", "/fhir/"),
]


@pytest.mark.parametrize("path", NOWHERE)
def test_a_protocol_path_that_leads_nowhere_is_told_in_json_with_a_receipt(client: Any, path: str) -> None:
    answer = client.post(path, "grant_type=x", content_type=FORM)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] in ("application/json", "application/fhir+json")
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule in ("http.path", "tenant.unknown")


@pytest.mark.requirement("HDR-16")
def test_a_page_that_shows_a_trace_id_has_a_receipt(client: Any) -> None:
    answer = client.get("/nothing")
    assert answer.headers["X-Trace-Id"].encode() in answer.content
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "page.404"
