"""My apps, the management_endpoint: what a person sees of the apps they let in, and what stopping one ends.

SMART 2.2 conformance; 45 CFR §170.315(g)(10)(vi).
"""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.people.connected import connected_apps
from smartauth.people.models import User
from tests.endpoints.app_launch import (
    App,
    Behind,
    begin,
    launch,
    open_consent,
    page_refusal,
    sign_in,
)
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_token_refresh_token import ONLINE, Refresh, Start, let_pass, reads
from tests.endpoints.token_requests import Ask, body_of, redemption
from tests.factories import make_tenant
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

PAGE = "/account/apps"
STOP = "/account/apps/stop"


def shown(browser: Browser) -> str:
    answer = browser.get(PAGE)
    assert answer.status_code == 200, answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    return " ".join(answer.content.decode().split())


def stop(browser: Browser, client_id: str = "growth-chart", tenant: str = "sandbox") -> HttpResponse:
    return browser.post(STOP, {"client": client_id, "tenant": tenant})


class TestTheList:
    """Which app, at which hospital, to whose record, for what, since when, until when."""

    @pytest.mark.requirement("REVOKE-07")
    def test_it_says_all_of_an_app_in_plain_words(self, browser: Browser, start: Start, ana: User) -> None:
        start(scope="launch/patient openid fhirUser offline_access patient/Observation.rs patient/Goal.crs")
        page = shown(browser)
        authorization = Authorization.objects.get()
        for words in (
            "<bdi>Growth Chart</bdi>",
            "At sandbox",
            "Your own record",
            "<summary>see in your record</summary>",
            "Measurements and findings",
            "<summary>see and add in your record</summary>",
            "Health goals that were agreed on.",
            f"{authorization.created_at:%-d %B %Y}",
            f"{authorization.expires_at:%-d %B %Y}",
            "Stays connected without you",
            "another 100 days",
            "Last used on",
            "It knows the number that stands for you here.",
        ):
            assert words in page, words
        assert "Observation" not in page

    @pytest.mark.requirement("REVOKE-07", "CONSENT-11")
    @pytest.mark.parametrize(
        ("scope", "words"),
        [
            (ONLINE, "Only while you are signed in"),
            ("launch/patient offline_access patient/*.rs", "Stays connected without you"),
            ("launch/patient patient/*.rs", " UTC</dd>"),
        ],
    )
    def test_it_says_how_long_an_app_stays(self, browser: Browser, start: Start, scope: str, words: str) -> None:
        start(scope=scope)
        told = {"Only while you are signed in", "Stays connected without you"} - {words}
        page = shown(browser)
        assert words in page
        assert not any(other in page for other in told)

    @pytest.mark.requirement("REVOKE-07")
    def test_each_record_is_named_and_has_its_own_permissions(
        self, browser: Browser, start: Start, parent: User
    ) -> None:
        start(user=parent, patient="ben", scope="launch/patient offline_access patient/Goal.rs")
        start(user=parent, patient="ana", scope="launch/patient patient/Observation.rs")
        (app,) = connected_apps(parent.pk, now=timezone.now())
        found = {one.patient: [words.title for part in one.allowed for words in part.words] for one in app.connections}
        assert found == {"ben": ["Goals"], "ana": ["Measurements and findings"]}
        page = shown(browser)
        assert "Ben" in page
        assert page.count("Your own record") == 1
        assert page.count(">Stop now<") == 1

    @pytest.mark.requirement("REVOKE-07")
    def test_nobody_elses_apps_are_shown(self, browser: Browser, start: Start, dr_grey: User) -> None:
        start()
        other = Browser()
        sign_in(other, dr_grey)
        assert "Growth Chart" not in shown(other)
        assert "No app has access" in shown(other)

    def test_what_has_ended_is_not_shown(self, browser: Browser, start: Start, refresh: Refresh) -> None:
        start(scope="launch/patient patient/*.rs")
        assert "Growth Chart" in shown(browser)
        let_pass(timedelta(minutes=31))
        browser.logout()
        sign_in(browser, User.objects.get(username="ana"))
        assert "No app has access" in shown(browser)

    def test_it_works_while_the_records_do_not(
        self, small: Behind, browser: Browser, start: Start, parent: User
    ) -> None:
        start(user=parent, patient="ben")
        small.fail(kind="status", status=500)
        assert "Record no. ben" in shown(browser)
        assert stop(browser).status_code == 302

    @pytest.mark.requirement("SEC-10", "SEC-11")
    def test_what_an_app_calls_itself_is_shown_as_text(self, browser: Browser, start: Start) -> None:
        Client.objects.update(name='<script>x</script>"', is_operator_verified=False)
        start()
        page = shown(browser)
        assert "<script>x" not in page
        assert "&lt;script&gt;x" in page
        assert "Not checked by" in page

    def test_an_app_the_operator_stopped_is_paused(self, browser: Browser, start: Start) -> None:
        start()
        Client.objects.update(status=Client.Status.SUSPENDED)
        assert "Paused by" in shown(browser)
        Tenant.objects.update(is_active=False)
        assert "No app has access" in shown(browser)


class TestStopping:
    """It ends everything of one app for one person at one hospital, at once."""

    @pytest.mark.requirement("ONC-14", "ONC-19")
    @pytest.mark.requirement("REVOKE-07", "REVOKE-08", "T-61")
    def test_no_token_of_the_app_works_afterwards(
        self, browser: Browser, start: Start, refresh: Refresh, call: Caller, post: Post, auditor: Service
    ) -> None:
        first, other_launch = start(), start(scope="launch/patient patient/Observation.rs")
        second = body_of(refresh(first["refresh_token"]))

        answer = stop(browser)

        assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
        for one in (first, second, other_launch):
            answer = call("/Observation?patient=ana", one["access_token"])
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
            told = post(INTROSPECT, {"token": one["access_token"], **auditor.credentials()})
            assert told.json() == {"active": False}
        for one in (first, second):
            answer = refresh(one["refresh_token"])
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        page = shown(browser)
        assert "Growth Chart is stopped" in page
        assert "No app has access" in page
        assert set(Authorization.objects.filter(kind="user").values_list("revoked_by", flat=True)) == {"user"}
        records = AuditRecord.objects.filter(action="revoke")
        assert {(one.rule, one.client_id, one.tenant) for one in records} == {
            ("authorization.user", "growth-chart", "sandbox")
        }

    @pytest.mark.requirement("REVOKE-09")
    def test_the_next_launch_asks_again(self, browser: Browser, start: Start, growth_chart: App, ana: User) -> None:
        start()
        stop(browser)
        page = open_consent(browser, begin(browser, growth_chart), ana)
        assert "Allow" in page.content.decode()
        answer = browser.get(f"{begin(browser, growth_chart, prompt='none')}")
        assert "error=consent_required" in answer.headers["Location"]

    @pytest.mark.requirement("REVOKE-07")
    def test_another_persons_grants_another_apps_and_another_hospitals_go_on(
        self,
        browser: Browser,
        start: Start,
        ask: Ask,
        call: Caller,
        cardio: App,
        growth_chart: App,
        tenant: TenantInfo,
        dr_grey: User,
    ) -> None:
        mine, of_another_app = start(), start(cardio)
        other = Browser()
        scope = "openid fhirUser user/*.rs"
        of_another_person = body_of(ask(growth_chart, redemption(launch(other, growth_chart, dr_grey, scope=scope))))
        north = make_tenant("north")
        Authorization.objects.filter(client__client_id="growth-chart", user=dr_grey)
        elsewhere = Authorization.objects.get(client__client_id="growth-chart", user__username="ana")
        elsewhere.pk, elsewhere.tenant_id = None, north.pk
        elsewhere.save()

        stop(browser)

        assert not reads(call, mine)
        assert reads(call, of_another_app)
        assert call("/Practitioner/dr-grey", of_another_person["access_token"]).status_code == 200
        elsewhere.refresh_from_db()
        assert elsewhere.revoked_at is None

    def test_stopping_twice_is_fine(self, browser: Browser, start: Start) -> None:
        start()
        stop(browser)
        moment = Authorization.objects.get().revoked_at
        assert stop(browser).status_code == 302
        assert "had been stopped before" in shown(browser)
        assert Authorization.objects.get().revoked_at == moment

    def test_an_app_nobody_knows_is_refused(self, browser: Browser, start: Start) -> None:
        start()
        assert page_refusal(stop(browser, "nobody"), 400).rule == "my-apps.unknown"
        assert page_refusal(stop(browser, tenant="sandbox\x00"), 400).rule == "my-apps.unknown"

    def test_an_app_that_only_others_let_in_looks_like_none(
        self, browser: Browser, start: Start, cardio: App, growth_chart: App, dr_grey: User
    ) -> None:
        start()
        launch(Browser(), cardio, dr_grey, scope="openid")
        answer = stop(browser, cardio.client_id)
        assert page_refusal(answer, 400).rule == "my-apps.unknown"
        assert "Cardio" not in answer.content.decode()

    @pytest.mark.requirement("REVOKE-07")
    def test_another_site_cannot_stop_an_app(self, start: Start, ana: User) -> None:
        start()
        careful = Browser(enforce_csrf_checks=True)
        careful.force_login(ana)
        assert stop(careful).status_code == 403
        assert careful.get(STOP).status_code == 405
        assert Authorization.objects.get().revoked_at is None

    @pytest.mark.parametrize("path", [PAGE, f"{PAGE}/"])
    def test_who_is_not_signed_in_signs_in_first(self, start: Start, ana: User, path: str) -> None:
        start()
        browser = Browser()
        assert browser.get(path).headers["Location"] == f"/account/login/?next={path}"
        assert stop(browser).headers["Location"] == f"/account/login/?next={PAGE}"
        assert Authorization.objects.get().revoked_at is None
        sign_in(browser, ana, then=path)
        assert browser.get(path).status_code == 200


@pytest.mark.requirement("REVOKE-07")
def test_it_is_where_the_documents_say(browser: Browser, small: Behind, call: Caller, ana: User) -> None:
    document = browser.get("/fhir/sandbox/r4/.well-known/smart-configuration").json()
    assert document["management_endpoint"] == endpoints.management()
    (extension,) = call("/metadata").json()["rest"][0]["security"]["extension"]
    uris = {one["url"]: one["valueUri"] for one in extension["extension"]}
    assert uris["manage"] == document["management_endpoint"]
    sign_in(browser, ana)
    assert "My apps" in browser.get(urlsplit(uris["manage"]).path).content.decode()


def test_the_page_takes_few_statements(
    browser: Browser, start: Start, cardio: App, serving: None, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        start()
        start(cardio)
    shown(browser)
    with django_assert_max_num_queries(12):
        shown(browser)
