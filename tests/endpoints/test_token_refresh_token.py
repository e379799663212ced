"""Refresh tokens at the token endpoint.

RFC 6749 §6 and §10.4; RFC 7009 §2.1; RFC 9700 §4.14.2; SMART 2.2 app-launch, "Refresh access token", and
scopes-and-launch-context, "Scopes for requesting a refresh token".
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clients import registered
from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization, RefreshToken
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import FHIR_BASE, SCOPE, App, launch, make_app
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_authorization_code import CHANGES, assert_refused
from tests.endpoints.test_token_client_credentials import TOKEN, statements
from tests.endpoints.token_requests import APPS, SHORT, STATEMENTS, Ask, basic, body_of, redemption, verified
from tests.factories import make_tenant, phone_app
from tests.proxy.conftest import Caller

__all__ = ["auditor"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")

GRACE = timedelta(seconds=10)
ONLINE = "launch/patient openid online_access patient/*.rs"
LABORATORY = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
Tokens = dict[str, Any]
Start = Callable[..., Tokens]
Refresh = Callable[..., Any]


@pytest.fixture
def start(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> Start:
    """Launch growth-chart as ana, unless told otherwise, and return the token response."""

    def begin(app: App = growth_chart, user: User = ana, **options: Any) -> Tokens:
        tokens: Tokens = body_of(ask(app, redemption(launch(browser, app, user, **options))))
        return tokens

    return begin


@pytest.fixture
def refresh(ask: Ask, growth_chart: App) -> Refresh:
    """Show a refresh token as growth-chart does, unless told otherwise."""

    def send(token: str, app: App = growth_chart, *, path: str = TOKEN, **params: str) -> Any:
        return ask(app, {"grant_type": "refresh_token", "refresh_token": token, **params}, path=path)

    return send


def let_pass(duration: timedelta) -> None:
    """Move everything that happens at some time into the past, as if we had waited."""

    def earlier(*names: str) -> dict[str, Any]:
        return {name: F(name) - duration for name in names}

    Authorization.objects.update(**earlier("created_at", "auth_time", "expires_at", "revoked_at"))
    RefreshToken.objects.update(**earlier("created", "expires", "rotated_at", "revoked"))
    AccessToken.objects.update(**earlier("created", "expires"))
    Session.objects.update(**earlier("expire_date"))


def live() -> list[str]:
    """Return the digests of the refresh tokens that would be rotated if they were shown."""
    rows = RefreshToken.objects.filter(rotated_at=None, revoked=None, authorization__revoked_at=None)
    return list(rows.values_list("token_checksum", flat=True))


def reads(call: Caller, tokens: Tokens) -> bool:
    """Say whether the access token still opens the record it is for."""
    status = call("/Patient/ana", tokens["access_token"]).status_code
    assert status in (200, 401)
    return status == 200


@pytest.mark.requirement(
    "HDR-03", "HDR-04", "REFRESH-12", "REFRESH-13", "REFRESH-14", "REFRESH-18", "REFRESH-20", "SEC-03", "TOK-13", "T-13"
)
@pytest.mark.parametrize(("name", "lifetime"), APPS)
def test_a_refresh_token_is_exchanged_for_new_tokens_and_the_same_launch_context(
    request: pytest.FixtureRequest, start: Start, refresh: Refresh, call: Caller, ana: User, name: str, lifetime: int
) -> None:
    app: App = request.getfixturevalue(name)
    first = start(app, nonce="n-0S6_WzA2Mj")
    let_pass(timedelta(minutes=20))

    answer = refresh(first["refresh_token"], app)

    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert not answer.cookies
    second = answer.json()
    fresh = {name: second.pop(name) for name in ("access_token", "refresh_token")}
    assert second == {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": SCOPE,
        "patient": "ana",
        "need_patient_banner": True,
        "smart_style_url": first["smart_style_url"],
    }
    assert isinstance(second["expires_in"], int)
    assert all(fresh[name] != first[name] for name in fresh)
    assert reads(call, fresh)
    assert reads(call, first)  # It lives until it ends by itself.

    old, new = RefreshToken.objects.order_by("pk")
    assert (old.token_checksum, new.token_checksum) == (digest(first["refresh_token"]), digest(fresh["refresh_token"]))
    assert old.rotated_at is not None
    assert (new.rotated_at, new.predecessor_id, new.authorization_id) == (None, old.pk, old.authorization_id)
    assert live() == [new.token_checksum]
    row = AccessToken.objects.get(token_checksum=digest(fresh["access_token"]))
    stored = f"{row.__dict__} {new.__dict__} {row.authorization.__dict__}"
    assert not [value for value in fresh.values() if value in stored]
    record = AuditRecord.objects.get(action="token", rule="token.refresh_token")
    assert (record.client_id, record.tenant, record.user_id) == (app.client_id, "sandbox", ana.pk)
    assert (record.patient, record.authorization) == ("ana", row.authorization_id)
    assert str(record.trace_id) == answer.headers["X-Trace-Id"]
    assert not Receipt.objects.exists()


def test_the_new_access_token_says_the_same_of_the_user_and_the_launch(start: Start, refresh: Refresh) -> None:
    first = start()
    second = refresh(first["refresh_token"]).json()
    before, after = (verified(one["access_token"], "ES256").claims for one in (first, second))
    assert before.pop("jti") != after.pop("jti")
    times = {name: after.pop(name) - before.pop(name) for name in ("iat", "exp")}
    assert times["iat"] == times["exp"] >= 0
    assert after == before


@pytest.mark.requirement("REFRESH-14")
def test_every_new_refresh_token_works_and_the_authorization_stays_one(start: Start, refresh: Refresh) -> None:
    token = start()["refresh_token"]
    seen = {token}
    for _ in range(5):
        token = body_of(refresh(token))["refresh_token"]
        assert live() == [digest(token)]
        seen.add(token)
    assert len(seen) == RefreshToken.objects.count() == 6
    assert Authorization.objects.count() == 1


def test_the_context_stays_as_it_was_when_the_patient_is_chosen_again(
    browser: Browser, start: Start, refresh: Refresh, dr_grey: User
) -> None:
    first = start(user=dr_grey, patient="ana")
    second = start(user=dr_grey, patient="ben")
    assert refresh(first["refresh_token"]).json()["patient"] == "ana"
    assert refresh(second["refresh_token"]).json()["patient"] == "ben"


class TestScope:
    """What a refresh may ask for.  RFC 6749 §6; SMART 2.2 app-launch, "Refresh access token"."""

    GRANTED = "launch/patient openid fhirUser offline_access patient/Observation.rs patient/Patient.read"
    WITHIN = [
        # asked                                              told
        ({},                                                  GRANTED),
        ({"scope": ""},                                       GRANTED),
        ({"scope": "  "},                                     GRANTED),
        ({"scope": GRANTED},                                  GRANTED),
        ({"scope": " ".join(reversed(GRANTED.split()))},      " ".join(reversed(GRANTED.split()))),
        ({"scope": f"{GRANTED}  {GRANTED}"},                  GRANTED),
        ({"scope": "patient/Observation.rs"},                 "patient/Observation.rs"),
        ({"scope": "patient/Observation.r"},                  "patient/Observation.r"),
        ({"scope": "patient/Observation.read"},               "patient/Observation.read"),
        ({"scope": "patient/Patient.rs"},                     "patient/Patient.rs"),
        ({"scope": "patient/Patient.r patient/Patient.s"},    "patient/Patient.r patient/Patient.s"),
        ({"scope": f"patient/Observation.rs?{LABORATORY}"},   f"patient/Observation.rs?{LABORATORY}"),
        ({"scope": f"patient/Observation.s?{LABORATORY}"},    f"patient/Observation.s?{LABORATORY}"),
        ({"scope": "openid"},                                 "openid"),
        ({"scope": "offline_access patient/Patient.s"},       "offline_access patient/Patient.s"),
    ]  # fmt: skip

    @pytest.mark.requirement("REFRESH-08", "REFRESH-09", "REFRESH-10", "REFRESH-11", "T-34", "T-35", "T-36")
    @pytest.mark.parametrize(("asked", "told"), WITHIN)
    def test_all_or_any_part_of_what_was_granted(
        self, start: Start, refresh: Refresh, call: Caller, asked: dict[str, str], told: str
    ) -> None:
        first = start(scope=self.GRANTED)
        assert first["scope"] == self.GRANTED
        second = body_of(refresh(first["refresh_token"], **asked))
        assert second["scope"] == told
        assert verified(second["access_token"], "ES256").claims["scope"] == told
        assert second["patient"] == "ana"
        # What was asked for this once does not shrink what the refresh token is for.
        assert RefreshToken.objects.latest("pk").scope == self.GRANTED
        assert body_of(refresh(second["refresh_token"]))["scope"] == self.GRANTED

    OUTSIDE = [
        ("patient/Observation.cruds", "scope.exceeds_grant"),
        ("patient/Patient.write", "scope.exceeds_grant"),
        ("patient/Condition.rs", "scope.exceeds_grant"),
        ("patient/*.rs", "scope.exceeds_grant"),
        ("patient/*.read", "scope.exceeds_grant"),
        ("user/Observation.rs", "scope.exceeds_grant"),
        ("system/Observation.rs", "scope.exceeds_grant"),
        ("online_access", "scope.exceeds_grant"),
        ("launch", "scope.exceeds_grant"),
        ("profile", "scope.exceeds_grant"),
        (f"{GRANTED} patient/Condition.r", "scope.exceeds_grant"),
        ("patient/Observation.sr", "scope.grammar"),
        ("patient/observation.rs", "scope.grammar"),
        ("something", "scope.grammar"),
    ]

    @pytest.mark.requirement("REFRESH-09", "T-35")
    @pytest.mark.parametrize(("asked", "rule"), OUTSIDE)
    def test_anything_else_is_refused_and_changes_nothing(
        self, start: Start, refresh: Refresh, asked: str, rule: str
    ) -> None:
        first = start(scope=self.GRANTED)
        assert_refused(refresh(first["refresh_token"], scope=asked), "invalid_scope", rule)
        assert AccessToken.objects.count() == RefreshToken.objects.count() == 1
        assert live() == [digest(first["refresh_token"])]
        assert body_of(refresh(first["refresh_token"]))["scope"] == self.GRANTED

    def test_a_wildcard_can_be_narrowed_to_a_type(self, start: Start, refresh: Refresh, call: Caller) -> None:
        first = start()
        second = body_of(refresh(first["refresh_token"], scope="patient/Observation.rs"))
        statuses = [call("/Condition?patient=ana", one["access_token"]).status_code for one in (first, second)]
        assert statuses == [200, 403]
        assert call("/Observation?patient=ana", second["access_token"]).status_code == 200

    def test_what_the_user_took_back_does_not_come_back(self, start: Start, refresh: Refresh) -> None:
        scope = "launch/patient offline_access patient/Immunization.rs patient/Patient.rs"
        first = start(scope=scope, untick=["patient/Immunization.rs"])
        assert first["scope"] == "launch/patient offline_access patient/Patient.rs"
        assert body_of(refresh(first["refresh_token"]))["scope"] == first["scope"]
        again = RefreshToken.objects.latest("pk")
        assert again.scope == first["scope"]
        second = body_of(refresh(start(scope=scope, untick=["patient/Immunization.rs"])["refresh_token"]))
        answer = refresh(second["refresh_token"], scope="patient/Immunization.rs")
        assert_refused(answer, "invalid_scope", "scope.exceeds_grant")


class TestClient:
    """Who may use a refresh token.  RFC 6749 §6 and §10.4."""

    @pytest.mark.requirement("REFRESH-04", "REFRESH-06")
    @pytest.mark.parametrize("path", [TOKEN, SHORT])
    def test_a_public_client_need_not_say_who_it_is(self, start: Start, post: Post, path: str) -> None:
        params = {"grant_type": "refresh_token", "refresh_token": start()["refresh_token"]}
        body = body_of(post(path, params))
        assert body["scope"] == SCOPE
        # Telling it apart by its token is as good as by its name.
        assert AccessToken.objects.latest("pk").application.client_id == "growth-chart"

    STRANGERS = [
        # parameters                                    Authorization               rule
        ({},                                             "",                         "client.auth_method"),
        ({"client_id": "cardio"},                        "",                         "client.auth_method"),
        ({"client_id": "nobody"},                        "",                         "client.unknown"),
        ({"client_id": "cardio", "client_secret": "x"},  "",                         "client.auth_method"),
        ({},                                             basic("cardio", "wrong"),   "client.secret"),
        ({},                                             basic("nobody", "wrong"),   "client.unknown"),
        ({"client_assertion": "x.y.z"},                  "",                         "assertion.type"),
    ]  # fmt: skip

    @pytest.mark.requirement("REFRESH-06")
    @pytest.mark.parametrize(("params", "authorization", "rule"), STRANGERS)
    def test_who_is_not_authenticated_gets_nothing_and_ends_nothing(
        self,
        start: Start,
        refresh: Refresh,
        post: Post,
        cardio: App,
        params: dict[str, str],
        authorization: str,
        rule: str,
    ) -> None:
        token = start(cardio)["refresh_token"]
        headers = {"Authorization": authorization} if authorization else {}
        answer = post(TOKEN, {"grant_type": "refresh_token", "refresh_token": token, **params}, **headers)
        assert_refused(answer, "invalid_client", rule, status=401)
        assert ("WWW-Authenticate" in answer.headers) is bool(authorization)
        assert AccessToken.objects.count() == 1
        assert live() == [digest(token)]
        assert refresh(token, cardio).status_code == 200

    @pytest.mark.requirement("ASYM-19", "TOK-05")
    def test_an_app_with_a_key_must_show_it(self, start: Start, refresh: Refresh, post: Post, atlas: App) -> None:
        token = start(atlas)["refresh_token"]
        for params in ({}, {"client_id": "atlas"}):
            answer = post(TOKEN, {"grant_type": "refresh_token", "refresh_token": token, **params})
            assert_refused(answer, "invalid_client", "client.auth_method", status=401)
        assert refresh(token, atlas).status_code == 200

    @pytest.mark.requirement("REFRESH-07")
    @pytest.mark.parametrize("thief", ["cardio", "atlas", "mallory"])
    def test_another_client_gets_nothing_and_ends_nothing(
        self,
        request: pytest.FixtureRequest,
        tenant: TenantInfo,
        start: Start,
        refresh: Refresh,
        call: Caller,
        thief: str,
    ) -> None:
        other = make_app(phone_app(client_id="mallory"), tenant) if thief == "mallory" else None
        app: App = other or request.getfixturevalue(thief)
        first = start()
        assert_refused(refresh(first["refresh_token"], app), "invalid_grant", "refresh_token.not_yours")
        second = body_of(refresh(first["refresh_token"]))
        # Nor is a rotated one taken for stolen when somebody else shows it.
        assert_refused(refresh(first["refresh_token"], app), "invalid_grant", "refresh_token.not_yours")
        assert reads(call, first)
        assert live() == [digest(second["refresh_token"])]

    @pytest.mark.requirement("REFRESH-16", "T-38")
    @pytest.mark.parametrize("name", ["growth_chart", "cardio", "atlas", ""])
    def test_what_is_no_refresh_token_of_ours_is_refused_and_changes_nothing(
        self, request: pytest.FixtureRequest, start: Start, refresh: Refresh, post: Post, call: Caller, name: str
    ) -> None:
        app: App | None = request.getfixturevalue(name) if name else None
        first = start(*([app] if app else []))
        for token in ("made-up", "ü" * 300, first["access_token"], first["id_token"]):
            params = {"grant_type": "refresh_token", "refresh_token": token}
            answer = refresh(token, app) if app else post(TOKEN, params)
            assert_refused(answer, "invalid_grant", "refresh_token.unknown")
        assert reads(call, first)
        assert live() == [digest(first["refresh_token"])]

    @pytest.mark.requirement("REFRESH-06")
    @pytest.mark.parametrize("params", [{}, {"refresh_token": ""}])
    @pytest.mark.parametrize("named", [{"client_id": "growth-chart"}, {}])
    @pytest.mark.usefixtures("growth_chart")
    def test_the_refresh_token_is_required(self, post: Post, params: dict[str, str], named: dict[str, str]) -> None:
        answer = post(TOKEN, {"grant_type": "refresh_token", **params, **named})
        assert_refused(answer, "invalid_request", "http.parameter_missing")

    def test_a_client_that_lost_the_grant_type_is_refused(self, start: Start, refresh: Refresh) -> None:
        token = start()["refresh_token"]
        Client.objects.update(grant_types=["authorization_code"])
        assert_refused(refresh(token), "unauthorized_client", "client.grant_type")
        assert live() == [digest(token)]


class TestRepetition:
    """A refresh token that comes again at once, because the answer got lost.  RFC 9700 §4.14.2."""

    @pytest.mark.requirement("REFRESH-15", "T-37")
    @pytest.mark.parametrize("name", [name for name, _ in APPS])
    def test_while_its_successor_is_unused_a_sibling_takes_the_successors_place(
        self, request: pytest.FixtureRequest, start: Start, refresh: Refresh, name: str
    ) -> None:
        app: App = request.getfixturevalue(name)
        first = start(app)
        lost = body_of(refresh(first["refresh_token"], app))
        let_pass(GRACE - timedelta(seconds=2))

        sibling = body_of(refresh(first["refresh_token"], app))

        assert sibling["refresh_token"] != lost["refresh_token"]
        assert {name: sibling[name] for name in ("scope", "patient")} == {
            name: first[name] for name in ("scope", "patient")
        }
        assert live() == [digest(sibling["refresh_token"])]
        assert RefreshToken.objects.get(token_checksum=digest(lost["refresh_token"])).revoked is not None
        assert body_of(refresh(sibling["refresh_token"], app))["refresh_token"]

    def test_the_successor_that_lost_its_place_is_refused_and_ends_nothing(
        self, start: Start, refresh: Refresh, call: Caller
    ) -> None:
        first = start()
        lost = body_of(refresh(first["refresh_token"]))
        sibling = body_of(refresh(first["refresh_token"]))
        assert_refused(refresh(lost["refresh_token"]), "invalid_grant", "refresh_token.superseded")
        assert live() == [digest(sibling["refresh_token"])]
        assert Authorization.objects.get().revoked_at is None
        assert all(reads(call, one) for one in (first, lost, sibling))
        assert refresh(sibling["refresh_token"]).status_code == 200

    @pytest.mark.requirement("REFRESH-15")
    def test_however_often_it_comes_one_is_live_afterwards(self, start: Start, refresh: Refresh) -> None:
        first = start()
        answers = [body_of(refresh(first["refresh_token"]))["refresh_token"] for _ in range(6)]
        assert len(set(answers)) == 6
        assert live() == [digest(answers[-1])]
        for loser in answers[:-1]:
            assert_refused(refresh(loser), "invalid_grant", "refresh_token.superseded")
        assert live() == [digest(answers[-1])]

    @pytest.mark.requirement("REFRESH-15")
    def test_once_its_successor_was_used_it_counts_as_stolen(
        self, start: Start, refresh: Refresh, call: Caller
    ) -> None:
        first = start()
        second = body_of(refresh(first["refresh_token"]))
        third = body_of(refresh(second["refresh_token"]))
        assert_refused(refresh(first["refresh_token"]), "invalid_grant", "refresh_token.reused")
        assert not any(reads(call, one) for one in (first, second, third))
        assert_refused(refresh(third["refresh_token"]), "invalid_grant", "grant.revoked")

    def test_so_it_does_once_its_sibling_was_used(self, start: Start, refresh: Refresh, call: Caller) -> None:
        first = start()
        body_of(refresh(first["refresh_token"]))
        sibling = body_of(refresh(first["refresh_token"]))
        last = body_of(refresh(sibling["refresh_token"]))
        assert_refused(refresh(first["refresh_token"]), "invalid_grant", "refresh_token.reused")
        assert not reads(call, last)

    def test_a_successor_that_lost_its_place_long_ago_counts_as_stolen(
        self, start: Start, refresh: Refresh, call: Caller
    ) -> None:
        first = start()
        lost = body_of(refresh(first["refresh_token"]))
        sibling = body_of(refresh(first["refresh_token"]))
        let_pass(GRACE + timedelta(seconds=1))
        assert_refused(refresh(lost["refresh_token"]), "invalid_grant", "refresh_token.reused")
        assert not reads(call, sibling)
        assert live() == []

    def test_a_repetition_can_ask_for_less_or_in_vain(self, start: Start, refresh: Refresh) -> None:
        first = start()
        lost = body_of(refresh(first["refresh_token"]))
        answer = refresh(first["refresh_token"], scope="user/*.rs")
        assert_refused(answer, "invalid_scope", "scope.exceeds_grant")
        assert live() == [digest(lost["refresh_token"])]
        assert body_of(refresh(first["refresh_token"], scope="openid"))["scope"] == "openid"


class TestReuse:
    """A refresh token that comes again later.  RFC 9700 §4.14.2."""

    @pytest.mark.requirement("REFRESH-15")
    @pytest.mark.parametrize("name", [name for name, _ in APPS])
    def test_it_ends_the_whole_family_and_stays_so(
        self,
        request: pytest.FixtureRequest,
        start: Start,
        refresh: Refresh,
        post: Post,
        call: Caller,
        auditor: Service,
        name: str,
    ) -> None:
        app: App = request.getfixturevalue(name)
        first = start(app)
        second = body_of(refresh(first["refresh_token"], app))
        let_pass(GRACE + timedelta(seconds=1))

        assert_refused(refresh(first["refresh_token"], app), "invalid_grant", "refresh_token.reused")

        authorization = Authorization.objects.get(kind="user")
        assert authorization.revoked_by == "reuse"
        record = AuditRecord.objects.get(action="revoke")
        assert (record.rule, record.authorization) == ("authorization.reuse", authorization.pk)
        for one in (first, second):
            assert not reads(call, one)
            told = post(INTROSPECT, {"token": one["access_token"], **auditor.credentials()})
            assert told.json() == {"active": False}
            assert_refused(refresh(one["refresh_token"], app), "invalid_grant", "grant.revoked")
        assert live() == []
        authorization.refresh_from_db()
        assert authorization.revoked_at is not None
        assert AuditRecord.objects.filter(action="revoke").count() == 1
        assert AccessToken.objects.filter(authorization=authorization).count() == 2

    def test_any_ancestor_does(self, start: Start, refresh: Refresh, call: Caller) -> None:
        tokens = [start()]
        for _ in range(4):
            tokens.append(body_of(refresh(tokens[-1]["refresh_token"])))
        assert_refused(refresh(tokens[1]["refresh_token"]), "invalid_grant", "refresh_token.reused")
        assert not any(reads(call, one) for one in tokens)

    def test_another_launch_goes_on(self, start: Start, refresh: Refresh, call: Caller) -> None:
        first, other = start(), start()
        refresh(first["refresh_token"])
        let_pass(GRACE + timedelta(seconds=1))
        refresh(first["refresh_token"])
        assert not reads(call, first)
        assert reads(call, other)
        assert refresh(other["refresh_token"]).status_code == 200


class TestLifetime:
    """Three months from each use on.  SMART 2.2 app-launch; three months can be 92 days, and a bit of a day."""

    THREE_MONTHS = timedelta(days=93)

    @pytest.mark.requirement("ONC-12")
    @pytest.mark.requirement("REFRESH-04", "REFRESH-05", "T-39")
    def test_it_lives_three_months_anew_with_every_use(self, start: Start, refresh: Refresh) -> None:
        token = start()["refresh_token"]
        for _ in range(4):
            row = RefreshToken.objects.get(token_checksum=digest(token))
            assert row.expires - timezone.now() > self.THREE_MONTHS
            assert row.authorization.expires_at >= row.expires
            let_pass(self.THREE_MONTHS)
            answer = refresh(token)
            token = body_of(answer)["refresh_token"]

    @pytest.mark.requirement("REFRESH-05")
    def test_a_sibling_lives_as_long(self, start: Start, refresh: Refresh) -> None:
        first = start()
        refresh(first["refresh_token"])
        sibling = body_of(refresh(first["refresh_token"]))["refresh_token"]
        let_pass(self.THREE_MONTHS)
        assert refresh(sibling).status_code == 200

    @pytest.mark.requirement("REFRESH-22")
    def test_an_operator_may_end_it_sooner_and_once_and_for_all(
        self, start: Start, refresh: Refresh, configure: Configure
    ) -> None:
        configure(refresh_token_lifetime=timedelta(days=10), grant_lifetime=timedelta(days=25))
        token = start()["refresh_token"]
        for _ in range(2):
            let_pass(timedelta(days=9))
            token = body_of(refresh(token))["refresh_token"]
        row = RefreshToken.objects.get(token_checksum=digest(token))
        assert row.expires == row.authorization.created_at + timedelta(days=25)
        let_pass(timedelta(days=7, minutes=-10))
        last = body_of(refresh(token))
        assert last["expires_in"] <= 600
        let_pass(timedelta(minutes=10))
        assert_refused(refresh(last["refresh_token"]), "invalid_grant", "refresh_token.expired")

    @pytest.mark.requirement("REFRESH-22")
    def test_idle_for_longer_than_the_operator_allows_it_is_over(
        self, start: Start, refresh: Refresh, configure: Configure
    ) -> None:
        configure(refresh_token_lifetime=timedelta(days=10))
        token = start()["refresh_token"]
        let_pass(timedelta(days=10, seconds=1))
        assert_refused(refresh(token), "invalid_grant", "refresh_token.expired")

    def test_afterwards_it_is_refused(self, start: Start, refresh: Refresh) -> None:
        token = start()["refresh_token"]
        let_pass(timedelta(days=101))
        assert_refused(refresh(token), "invalid_grant", "refresh_token.expired")
        assert AccessToken.objects.count() == RefreshToken.objects.count() == 1

    @pytest.mark.requirement("AT-05")
    @pytest.mark.parametrize(("name", "lifetime"), APPS)
    def test_an_access_token_ends_by_itself_and_the_next_one_has_its_full_life(
        self, request: pytest.FixtureRequest, start: Start, refresh: Refresh, call: Caller, name: str, lifetime: int
    ) -> None:
        app: App = request.getfixturevalue(name)
        first = start(app)
        let_pass(timedelta(seconds=lifetime + 1))
        assert not reads(call, first)
        second = body_of(refresh(first["refresh_token"], app))
        let_pass(timedelta(seconds=lifetime - 10))
        assert reads(call, second)
        let_pass(timedelta(seconds=11))
        assert not reads(call, second)


class TestStillAllowed:
    """What has to hold at every use.  RFC 9700 §4.14."""

    @pytest.mark.requirement("REFRESH-17")
    @pytest.mark.parametrize("name", ["growth_chart", "cardio"])
    @pytest.mark.parametrize(("change", "status", "error", "rule"), CHANGES)
    def test_what_ended_meanwhile_gives_nothing(
        self,
        request: pytest.FixtureRequest,
        start: Start,
        refresh: Refresh,
        parent: User,
        name: str,
        change: Callable[[], None],
        status: int,
        error: str,
        rule: str,
    ) -> None:
        app: App = request.getfixturevalue(name)
        token = start(app, parent, patient="ben")["refresh_token"]
        change()
        assert_refused(refresh(token, app), error, rule, status)
        assert AccessToken.objects.count() == RefreshToken.objects.count() == 1

    @pytest.mark.requirement("REFRESH-17")
    def test_a_narrowed_registration_narrows_the_answer(self, start: Start, refresh: Refresh) -> None:
        token = start()["refresh_token"]
        Client.objects.update(scope="launch/patient offline_access patient/Observation.r user/*.rs")
        body = body_of(refresh(token))
        assert body["scope"] == "launch/patient offline_access patient/Observation.r"
        answer = refresh(body["refresh_token"], scope="patient/Patient.r")
        assert_refused(answer, "invalid_scope", "scope.exceeds_grant")

    def test_a_widened_registration_widens_nothing(self, start: Start, refresh: Refresh) -> None:
        token = start(scope="offline_access patient/Observation.r")["refresh_token"]
        Client.objects.update(scope="offline_access openid patient/*.cruds user/*.cruds")
        assert body_of(refresh(token))["scope"] == "offline_access patient/Observation.r"

    def test_another_tenants_url_is_refused_and_changes_nothing(
        self, tenant: TenantInfo, start: Start, refresh: Refresh
    ) -> None:
        north = make_tenant("north")
        app = make_app(phone_app(client_id="two-homes"), tenant, north)
        token = start(app)["refresh_token"]
        elsewhere = refresh(token, app, path="/auth/north/token")
        assert_refused(elsewhere, "invalid_grant", "grant.other_tenant")
        named = refresh(token, app, path=SHORT, resource=north.fhir_base)
        assert_refused(named, "invalid_target", "grant.other_tenant")
        assert_refused(refresh(token, app, aud=north.fhir_base), "invalid_target", "target.unknown")
        assert live() == [digest(token)]
        assert refresh(token, app, path=SHORT, resource=FHIR_BASE).status_code == 200


class TestOnlineAccess:
    """A refresh token that lives and dies with the user's session.  SMART 2.2 scopes-and-launch-context."""

    def test_it_works_while_the_session_lives(
        self, start: Start, refresh: Refresh, call: Caller, browser: Browser
    ) -> None:
        first = start(scope=ONLINE)
        assert first["scope"] == ONLINE
        assert Authorization.objects.get().session == digest(browser.session.session_key)
        second = body_of(refresh(first["refresh_token"]))
        assert second["scope"] == ONLINE
        assert reads(call, second)
        assert RefreshToken.objects.get(predecessor=None).expires <= Session.objects.get().expire_date

    @pytest.mark.requirement("REFRESH-02", "OIDC-19")
    def test_it_ends_with_signing_out_and_so_does_the_access_token(
        self, start: Start, refresh: Refresh, post: Post, call: Caller, browser: Browser, auditor: Service
    ) -> None:
        first = start(scope=ONLINE)
        second = body_of(refresh(first["refresh_token"]))

        assert browser.post("/account/logout/").status_code == 302

        assert not Session.objects.exists()
        for one in (first, second):
            assert not reads(call, one)
            told = post(INTROSPECT, {"token": one["access_token"], **auditor.credentials()})
            assert told.json() == {"active": False}
            assert_refused(refresh(one["refresh_token"]), "invalid_grant", "grant.revoked")
        assert Authorization.objects.get(kind="user").revoked_by == "session"
        # A new session of the same user in the same browser does not bring it back.
        third = start(scope=ONLINE)
        assert_refused(refresh(second["refresh_token"]), "invalid_grant", "grant.revoked")
        assert refresh(third["refresh_token"]).status_code == 200

    def test_it_ends_when_another_user_signs_in(
        self, start: Start, refresh: Refresh, call: Caller, browser: Browser, dr_grey: User
    ) -> None:
        first = start(scope=ONLINE)
        browser.force_login(dr_grey)
        assert not reads(call, first)
        assert_refused(refresh(first["refresh_token"]), "invalid_grant", "grant.revoked")

    def test_signing_in_again_as_the_same_user_changes_nothing(
        self, start: Start, refresh: Refresh, call: Caller
    ) -> None:
        first = start(scope=ONLINE)
        start(scope=ONLINE, prompt="login")
        assert reads(call, first)
        assert refresh(first["refresh_token"]).status_code == 200

    def test_signing_out_elsewhere_changes_nothing(
        self, start: Start, refresh: Refresh, call: Caller, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        elsewhere = Browser()
        there = body_of(ask(growth_chart, redemption(launch(elsewhere, growth_chart, ana, scope=ONLINE))))
        here = start(scope=ONLINE)
        elsewhere.post("/account/logout/")
        assert (reads(call, there), reads(call, here)) == (False, True)
        assert refresh(here["refresh_token"]).status_code == 200

    @pytest.mark.requirement("REFRESH-02")
    def test_it_ends_when_the_session_expires(self, start: Start, refresh: Refresh, call: Caller) -> None:
        first = start(scope=ONLINE)
        let_pass(timedelta(hours=8, seconds=1))
        assert_refused(refresh(first["refresh_token"]), "invalid_grant", "grant.session_ended")
        assert not reads(call, first)

    def test_it_ends_when_expired_sessions_are_cleared(self, start: Start, refresh: Refresh, call: Caller) -> None:
        first = start(scope=ONLINE)
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        call_command("clearsessions")
        assert not reads(call, first)
        assert_refused(refresh(first["refresh_token"]), "invalid_grant", "grant.revoked")

    def test_an_access_token_does_not_outlive_the_session(
        self, browser: Browser, ask: Ask, start: Start, refresh: Refresh, call: Caller, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana, scope=ONLINE)
        Session.objects.update(expire_date=timezone.now() + timedelta(minutes=10))
        first = body_of(ask(growth_chart, redemption(launched)))
        second = body_of(refresh(first["refresh_token"]))
        assert all(590 < one["expires_in"] <= 600 for one in (first, second))
        let_pass(timedelta(minutes=10, seconds=1))
        assert not any(reads(call, one) for one in (first, second))
        assert_refused(refresh(second["refresh_token"]), "invalid_grant", "grant.session_ended")

    def test_it_goes_on_when_the_session_is_prolonged(
        self, browser: Browser, ask: Ask, refresh: Refresh, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana, scope=ONLINE)
        Session.objects.update(expire_date=timezone.now() + timedelta(minutes=10))
        first = body_of(ask(growth_chart, redemption(launched)))
        Session.objects.update(expire_date=timezone.now() + timedelta(hours=8))
        let_pass(timedelta(minutes=11))
        assert body_of(refresh(first["refresh_token"]))["expires_in"] == 1800

    def test_between_consent_and_exchange_it_can_end_as_well(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana, scope=ONLINE)
        browser.post("/account/logout/")
        assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "grant.revoked")
        assert not AccessToken.objects.exists()

    @pytest.mark.requirement("REFRESH-01", "OIDC-19")
    def test_offline_access_outlives_signing_out(
        self, start: Start, refresh: Refresh, call: Caller, browser: Browser
    ) -> None:
        offline, online, neither = start(), start(scope=ONLINE), start(scope="patient/*.rs")
        browser.post("/account/logout/")
        assert not Session.objects.exists()
        assert [reads(call, one) for one in (offline, online, neither)] == [True, False, True]
        assert refresh(offline["refresh_token"]).status_code == 200


@pytest.mark.requirement("AT-06", "INTRO-13", "REFRESH-18")
@pytest.mark.parametrize("name", [name for name, _ in APPS])
def test_a_refresh_token_is_no_bearer_token(
    request: pytest.FixtureRequest, start: Start, post: Post, call: Caller, auditor: Service, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    token = start(app)["refresh_token"]
    answer = call("/Patient/ana", token)
    assert (answer.status_code, answer.json()["resourceType"]) == (401, "OperationOutcome")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert post("/auth/sandbox/userinfo", {}, Authorization=f"Bearer {token}").status_code == 401
    assert post(INTROSPECT, {"token": "x"}, Authorization=f"Bearer {token}").status_code == 401
    assert post(INTROSPECT, {"token": token, **auditor.credentials()}).json() == {"active": False}


class TestRevocation:
    """The owner ends what was granted.  RFC 7009 §2.1."""

    @pytest.mark.requirement("REVOKE-05", "REVOKE-08", "T-61")
    def test_a_revoked_refresh_token_ends_its_access_tokens(
        self, start: Start, refresh: Refresh, post: Post, call: Caller, auditor: Service
    ) -> None:
        first = start()
        second = body_of(refresh(first["refresh_token"]))
        params = {"token": second["refresh_token"], "client_id": "growth-chart"}
        assert post(REVOKE, params).status_code == 200
        for one in (first, second):
            assert not reads(call, one)
            told = post(INTROSPECT, {"token": one["access_token"], **auditor.credentials()})
            assert told.json() == {"active": False}
            assert_refused(refresh(one["refresh_token"]), "invalid_grant", "grant.revoked")
        assert Authorization.objects.get(kind="user").revoked_by == "client"

    def test_so_does_one_that_was_rotated(self, start: Start, refresh: Refresh, post: Post, call: Caller) -> None:
        first = start()
        second = body_of(refresh(first["refresh_token"]))
        post(REVOKE, {"token": first["refresh_token"], "client_id": "growth-chart"})
        assert not reads(call, second)
        assert_refused(refresh(second["refresh_token"]), "invalid_grant", "grant.revoked")

    @pytest.mark.requirement("REVOKE-05")
    def test_a_revoked_access_token_leaves_the_refresh_token_alone(
        self, start: Start, refresh: Refresh, post: Post, call: Caller
    ) -> None:
        first = start()
        post(REVOKE, {"token": first["access_token"], "client_id": "growth-chart"})
        assert not reads(call, first)
        assert reads(call, body_of(refresh(first["refresh_token"])))


@pytest.mark.parametrize("name", [*(name for name, _ in APPS), ""])
def test_a_refresh_takes_few_statements(
    request: pytest.FixtureRequest,
    start: Start,
    refresh: Refresh,
    post: Post,
    growth_chart: App,
    serving: None,
    name: str,
) -> None:
    app: App = request.getfixturevalue(name) if name else growth_chart

    def once_more(token: str) -> str:
        params = {"grant_type": "refresh_token", "refresh_token": token}
        return str(body_of(refresh(token, app) if name else post(TOKEN, params))["refresh_token"])

    token = once_more(start(app)["refresh_token"])  # Tenant, signing key: loaded once per process.
    registered._clients.clear()
    with CaptureQueriesContext(connection) as cold:
        successor = once_more(token)
    with CaptureQueriesContext(connection) as warm:
        once_more(successor)
    with CaptureQueriesContext(connection) as repeated:
        once_more(successor)
    assert statements(cold) <= STATEMENTS
    assert statements(warm) == statements(repeated) == statements(cold) - 1


def test_the_database_allows_one_live_refresh_token_per_authorization(start: Start, refresh: Refresh) -> None:
    refresh(start()["refresh_token"])
    rotated, alive = RefreshToken.objects.order_by("pk")
    twin = RefreshToken(
        user=alive.user, application=alive.application, authorization=alive.authorization, token_checksum=digest("twin")
    )
    for row in (twin, rotated):
        row.rotated_at = None
        with pytest.raises(IntegrityError, match="one_live_refresh_token_per_authorization"), transaction.atomic():
            row.save()
