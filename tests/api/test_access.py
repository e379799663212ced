"""Who may use the interface, and that everything it refuses has one shape and leaves a receipt."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients import api_tokens
from clients.api.base import LARGEST_BODY
from clients.key_pairs import KeyPair
from clients.models import ApiToken, Client, Draft
from smartauth import rates
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.api.conftest import BASE, Program, make_draft, make_own_client, make_user
from tests.conftest import Configure

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Resource:
    """A path with the methods it has and what each answers to its owner; `*` marks those that take a body."""

    path: str
    methods: dict[str, int]
    takes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.path


RESOURCES = [
    Resource("kinds", {"GET": 200}),
    Resource("scopes", {"GET": 200}),
    Resource("tenants", {"GET": 200}),
    Resource("tokens", {"GET": 200, "POST": 403}, ("POST",)),
    Resource("tokens/{token}", {"DELETE": 204}),
    Resource("drafts", {"GET": 200, "POST": 400}, ("POST",)),
    Resource("drafts/{draft}", {"GET": 200, "PUT": 400, "PATCH": 400, "DELETE": 204}, ("PUT", "PATCH")),
    Resource("drafts/{draft}/submit", {"POST": 201}, ("POST",)),
    Resource("clients", {"GET": 200}),
    Resource("clients/{client}", {"GET": 200}),
    Resource("clients/{client}/draft", {"POST": 303}, ("POST",)),
    Resource("clients/{client}/withdraw", {"POST": 409}, ("POST",)),
    Resource("clients/{client}/retire", {"POST": 200}, ("POST",)),
    Resource("clients/{client}/change", {"GET": 404, "DELETE": 409}),
    Resource("clients/{client}/events", {"GET": 200}),
    Resource("clients/{client}/activations", {"GET": 200, "POST": 400}, ("POST",)),
    Resource("clients/{client}/receipts/{trace}", {"GET": 404}),
    Resource("clients/{client}/activations/sandbox/probe", {"GET": 200}),
    Resource("clients/{client}/activations/nowhere/probe", {"GET": 404}),
    Resource("clients/{client}/secrets", {"POST": 409}, ("POST",)),
    Resource("clients/{client}/secrets/previous", {"DELETE": 409}),
    Resource("clients/{client}/keys", {"GET": 200}),
    Resource("clients/{client}/snippets", {"GET": 200}),
    Resource("clients/{client}/requests", {"GET": 200}),
    Resource("test-jwks", {"POST": 400}, ("POST",)),
    Resource("diagnose", {"POST": 400}, ("POST",)),
]
OF_SOMEBODY = [resource for resource in RESOURCES if "{" in resource.path]
EVERY = pytest.mark.parametrize("resource", RESOURCES, ids=str)


@pytest.fixture
def ids(kim: User, ec: KeyPair) -> dict[str, Any]:
    token = api_tokens.issue_token(
        kim.pk, "other", lifetime=timedelta(days=1), context=new_context(), now=timezone.now()
    )
    return {
        "token": token.row.pk,
        "draft": make_draft(kim, ec).pk,
        "client": make_own_client(kim, ec).client_id,
        "trace": uuid4(),
    }


def refused(answer: HttpResponse, status: int, rule: str = "") -> dict[str, Any]:
    """Return a refusal in the one shape, after a look at its receipt."""
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/json")
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error", "error_description", "trace_id", "findings"}
    assert all(body.values())
    assert all(set(one) == {"member", "rule", "message", "fix", "seen", "step"} for one in body["findings"])
    assert answer["Cache-Control"] == "no-store"
    receipt = Receipt.objects.get(trace_id=UUID(body["trace_id"]))
    assert (receipt.status, receipt.error, receipt.rule) == (status, body["error"], body["findings"][0]["rule"])
    assert not rule or receipt.rule == rule
    return body


@EVERY
def test_who_shows_nothing_gets_nothing(resource: Resource, ids: dict[str, Any]) -> None:
    for method in resource.methods:
        answer = Program().ask(method, resource.path.format(**ids))
        refused(answer, 401, "api.no_credentials")
        assert answer["WWW-Authenticate"] == 'Bearer realm="smartauth"'
    assert (Draft.objects.count(), Client.objects.get().status) == (1, "approved")


@pytest.mark.parametrize("resource", OF_SOMEBODY, ids=str)
def test_what_is_somebody_elses_looks_as_if_it_were_not_there(
    resource: Resource, ids: dict[str, Any], mallorys: Program
) -> None:
    unknown = {"token": 10**12, "draft": 10**12, "client": "c-nobody", "trace": uuid4()}
    for method in resource.methods:
        theirs, nobodys = (mallorys.ask(method, resource.path.format(**one)) for one in (ids, unknown))
        told = [refused(answer, 404) for answer in (theirs, nobodys)]
        assert len({json.dumps(one | {"trace_id": ""}) for one in told}) == 1
    assert (Draft.objects.count(), Client.objects.get().status) == (1, "approved")


@EVERY
def test_its_owner_gets_what_it_is(
    resource: Resource, ids: dict[str, Any], kims: Program, kim: User, ec: KeyPair
) -> None:
    for method, status in resource.methods.items():
        answer = kims.ask(method, resource.path.format(**ids))
        assert answer.status_code == status, answer.content
        assert answer["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer
        assert not answer.cookies
        if status >= 400:
            refused(answer, status)


@EVERY
def test_other_methods_are_refused_with_those_it_has(resource: Resource, ids: dict[str, Any], kims: Program) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"} - set(resource.methods):
        answer = kims.ask(method, resource.path.format(**ids))
        refused(answer, 405, "http.method")
        assert set(answer["Allow"].split(", ")) - {"HEAD"} == set(resource.methods)


@EVERY
def test_only_json_is_taken_and_given(resource: Resource, ids: dict[str, Any], kims: Program) -> None:
    path = f"{BASE}/{resource.path.format(**ids)}"
    browser, headers = Browser(HTTP_HOST="127.0.0.1:8000"), {"Authorization": f"Bearer {kims.token}"}
    for method in resource.methods:
        answer = browser.generic(method, path, headers=headers | {"Accept": "text/html"})
        refused(answer, 406, "http.accept")
    for method in resource.takes:
        for content_type in (FORM, "text/plain", "multipart/form-data; boundary=x", "application/xml", "*/*"):
            answer = browser.generic(method, path, "a=b", content_type=content_type, headers=headers)
            if resource.path != "tokens":  # A token does not make tokens, whatever it sends.
                refused(answer, 415, "http.content_type")
    assert Client.objects.get().status == "approved"


BODIES = [
    # body                              status  rule
    (b"{", 400, "http.json"),
    (b"[]", 400, "http.json"),
    (b"null", 400, "http.json"),
    (b"\xff", 400, "http.json"),
    (b'{"tenant": "a", "tenant": "sandbox"}', 400, "http.json"),
    (b'{"tenant": NaN}', 400, "http.json"),
    (b'{"tenant": "\\ud800"}', 400, "http.json"),
    (b"[" * 20_000, 400, "http.json"),
    (b'{"tenant": "' + b"a" * LARGEST_BODY + b'"}', 413, "http.size"),
    (b"{}", 400, "input.required"),
    (b'{"tenant": null}', 400, "input.null"),
    (b'{"tenant": 1}', 400, "input.invalid"),
    (b'{"tenant": ""}', 400, "input.blank"),
    (b'{"tenant": " "}', 400, "input.blank"),
    (b'{"tenant": "\\u0000"}', 400, "input.invalid"),
    (b'{"tenant": "' + b"a" * 33 + b'"}', 400, "input.max_length"),
    (b'{"tenant": "nowhere"}', 409, "api.tenant"),
    (b'{"tenant": "sandbox", "scope": ""}', 400, "input.unknown"),
]


@pytest.mark.parametrize(("body", "status", "rule"), BODIES, ids=[f"{rule} {body[:24]!r}" for body, _, rule in BODIES])
def test_a_body_that_is_wrong_is_refused_by_name(
    ids: dict[str, Any], kims: Program, body: bytes, status: int, rule: str
) -> None:
    answer = Browser(HTTP_HOST="127.0.0.1:8000").generic(
        "POST",
        f"{BASE}/clients/{ids['client']}/activations",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {kims.token}"},
    )
    refused(answer, status, rule)


def test_a_body_without_a_length_is_refused(ids: dict[str, Any], kims: Program) -> None:
    answer = kims.ask("POST", f"clients/{ids['client']}/retire", **{"Transfer-Encoding": "chunked"})
    refused(answer, 411, "http.length")
    assert Client.objects.get().status == "approved"


PATHS = ["", "nothing", "clients/", "drafts/x", "drafts/-1", f"drafts/{'9' * 5000}", "clients/a/b/c", "clients//events"]
PATHS += ["clients/%00", "clients/%ff", "clients/a%2fb/events", "clients/c-1/receipts/1", "../api/drafts/0x1"]


@pytest.mark.parametrize("path", PATHS)
def test_there_is_nothing_anywhere_else(kims: Program, path: str) -> None:
    refused(kims.ask("GET", f"{BASE}/{path}"), 404)
    refused(kims.ask("POST", f"{BASE}/{path}"), 404 if path != "clients/%00" and path != "clients/%ff" else 405)


def test_a_url_that_is_too_long_and_a_foreign_host_are_refused_in_the_same_way(kims: Program) -> None:
    assert kims.ask("GET", f"clients?state={'a' * 40_000}").json()["error"] == "invalid_request"
    answer = Browser(HTTP_HOST="evil.example.org").get(f"{BASE}/clients")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


class TestTokens:
    """Of the developer API."""

    def test_one_is_made_by_who_is_signed_in_used_listed_and_withdrawn(self, kim: User) -> None:
        browser = Browser(HTTP_HOST="127.0.0.1:8000")
        browser.force_login(kim)
        made = browser.post(f"{BASE}/tokens", {"label": "CI", "days": 7}, "application/json")
        assert made.status_code == 201
        row = ApiToken.objects.get()
        assert row.expires_at - row.created_at == timedelta(days=7)
        token = made.json()["token"]
        assert re.fullmatch(r"devapi_[A-Za-z0-9_-]{43}", token)
        assert token not in str(ApiToken.objects.values_list())
        program = Program(token)
        (listed,) = program.ask("GET", "tokens").json()["tokens"]
        assert (listed["label"], "token" in listed, listed["last_used_at"] is None) == ("CI", False, False)
        assert browser.delete(f"{BASE}/tokens/{listed['id']}").status_code == 204
        refused(program.ask("GET", "tokens"), 401, "api.token_unknown")
        trail = AuditRecord.objects.filter(rule__startswith="api_token.").order_by("at")
        assert [(one.rule, one.user_id) for one in trail] == [
            ("api_token.issued", kim.pk),
            ("api_token.withdrawn", kim.pk),
        ]

    def test_a_token_does_not_make_tokens(self, kims: Program) -> None:
        refused(kims.ask("POST", "tokens", {"label": "more"}), 403, "api.token_by_token")
        assert ApiToken.objects.count() == 1

    @pytest.mark.parametrize("body", [{"label": ""}, {"label": "a", "days": 0}, {"label": "a", "days": 367}])
    @pytest.mark.parametrize("days", [None, "7", True, 1.5, [7], 1e400])
    def test_what_a_token_is_made_with_is_looked_at(self, kim: User, body: dict[str, Any], days: object) -> None:
        browser = Browser(HTTP_HOST="127.0.0.1:8000")
        browser.force_login(kim)
        for sent in (body, {"label": "a", "days": days}):
            refused(browser.generic("POST", f"{BASE}/tokens", json.dumps(sent), "application/json"), 400)

    def test_there_is_a_most_of_them(self, kim: User, monkeypatch: pytest.MonkeyPatch) -> None:
        browser = Browser(HTTP_HOST="127.0.0.1:8000")
        browser.force_login(kim)
        monkeypatch.setattr(api_tokens, "MOST_TOKENS", 1)
        assert browser.post(f"{BASE}/tokens", {"label": "a"}, "application/json").status_code == 201
        refused(browser.post(f"{BASE}/tokens", {"label": "b"}, "application/json"), 409, "api_token.too_many")

    def test_one_that_is_over_opens_nothing(self, kims: Program) -> None:
        ApiToken.objects.update(created_at=timezone.now() - timedelta(days=2), expires_at=timezone.now())
        refused(kims.ask("GET", "clients"), 401, "api.token_expired")

    def test_one_of_a_user_who_may_no_more_opens_nothing(self, kims: Program, kim: User, configure: Configure) -> None:
        configure(mode="production")
        refused(kims.ask("GET", "clients"), 403, "portal.right")
        kim.user_permissions.add(Permission.objects.get(codename="own_client"))
        assert kims.ask("GET", "clients").status_code == 200
        User.objects.update(is_active=False)
        refused(kims.ask("GET", "clients"), 401, "api.user_inactive")

    @pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic a2ltOng=", "DPoP abc", "abc", "", "Bearer \u00e9"])
    def test_other_headers_are_no_token(self, kim: User, header: str) -> None:
        browser = Browser(HTTP_HOST="127.0.0.1:8000")
        browser.force_login(kim)  # The session does not make up for it.
        refused(browser.get(f"{BASE}/clients", headers={"Authorization": header}), 401)

    def test_an_operator_sees_and_withdraws_one_but_never_what_it_is(
        self, kims: Program, admin_client: Browser
    ) -> None:
        row = ApiToken.objects.get()
        page = admin_client.get("/admin/clients/apitoken/", HTTP_HOST="127.0.0.1:8000").content.decode()
        assert "kim" in page
        one = admin_client.get(f"/admin/clients/apitoken/{row.pk}/change/", HTTP_HOST="127.0.0.1:8000")
        assert row.token_digest not in one.content.decode()
        gone = admin_client.post(
            f"/admin/clients/apitoken/{row.pk}/delete/", {"post": "yes"}, HTTP_HOST="127.0.0.1:8000"
        )
        assert gone.status_code == 302
        refused(kims.ask("GET", "clients"), 401, "api.token_unknown")
        assert AuditRecord.objects.filter(rule="api_token.deleted", user_id__gt=0).count() == 1

    def test_its_last_use_is_kept_to_the_minute(self, kims: Program, django_assert_num_queries: Any) -> None:
        kims.ask("GET", "kinds")
        with django_assert_num_queries(1):
            kims.ask("GET", "kinds")


class TestSessions:
    """Of the portal's own pages."""

    @pytest.fixture
    def browser(self, kim: User) -> Browser:
        browser = Browser(HTTP_HOST="127.0.0.1:8000", enforce_csrf_checks=True)
        browser.force_login(kim)
        return browser

    def test_reading_needs_nothing_more(self, browser: Browser) -> None:
        assert browser.get(f"{BASE}/clients").status_code == 200

    def test_changing_something_needs_the_token_of_a_page(self, browser: Browser) -> None:
        body = {"kind": "service"}
        refused(browser.post(f"{BASE}/drafts", body, "application/json"), 403, "api.csrf")
        page = browser.get("/developers/")
        browser.get("/account/logout/")  # A page with a form, which sets the cookie.
        token = browser.cookies["csrftoken"].value
        assert page.status_code == 200
        made = browser.post(f"{BASE}/drafts", body, "application/json", headers={"X-CSRFToken": token})
        assert made.status_code == 201
        foreign = {"X-CSRFToken": token, "Origin": "https://evil.example.org"}
        refused(browser.post(f"{BASE}/drafts", body, "application/json", headers=foreign), 403, "api.csrf")

    def test_a_form_is_not_read_even_for_its_token(self, browser: Browser) -> None:
        refused(browser.post(f"{BASE}/drafts", {"kind": "service"}), 415, "http.content_type")


def test_who_asks_too_often_waits(kims: Program, mallorys: Program, configure: Configure) -> None:
    configure(rate_per_client=2)
    assert [kims.ask("GET", "kinds").status_code for _ in range(2)] == [200, 200]
    answer = kims.ask("GET", "kinds")
    refused(answer, 429, "rate.user")
    assert int(answer["Retry-After"]) > 0
    assert mallorys.ask("GET", "kinds").status_code == 200


def test_guessing_tokens_ends_for_the_address(kims: Program, configure: Configure) -> None:
    configure(rate_per_address=2)
    for _ in range(2):
        refused(Program("devapi_guess").ask("GET", "kinds"), 401)
    refused(Program("devapi_guess").ask("GET", "kinds"), 429, "rate.address")
    rates.forget()
    assert [kims.ask("GET", "kinds").status_code for _ in range(5)] == [200] * 5


def test_a_partner_without_the_right_is_told_so(configure: Configure, db: None) -> None:
    configure(mode="production")
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(make_user("eve"))
    refused(browser.get(f"{BASE}/clients", secure=True), 403, "portal.right")


def test_a_token_in_the_wrong_place_is_not_written_down(kims: Program) -> None:
    for path in (f"clients?state={kims.token}", f"clients?limit={kims.token}", f"clients/{kims.token}"):
        answer = kims.ask("GET", path)
        assert answer.status_code in (400, 404)
        assert kims.token not in answer.content.decode()
    assert kims.token not in str(list(Receipt.objects.values_list()))
