"""Going on without the consent page: answers that were remembered, and apps an administrator lets clinicians into.

RFC 6749 §10.2; RFC 8252 §8.6; RFC 9700 §4.14; OIDC Core §3.1.2.1 and §3.1.2.6; SMART 2.2 app-launch.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth import retention, tokens
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.models import Authorization, PendingAuthorization
from smartauth.people.models import ProxyRelation, User
from tests.endpoints.app_launch import (
    App,
    Behind,
    Pkce,
    answer_form,
    begin,
    callback,
    decide,
    make_person,
    open_consent,
    sign_in,
    told_in,
)
from tests.endpoints.ehr import Begin, begin_answer, begin_launch, clinic, ehr, visits
from tests.endpoints.pickers import choose
from tests.endpoints.test_token_authorization_code import assert_refused
from tests.endpoints.token_requests import Ask
from tests.factories import make_tenant

__all__ = ["begin_answer", "begin_launch", "clinic", "ehr", "visits"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")

ASKED = "openid patient/Goal.rs patient/CarePlan.rs offline_access"
LAUNCHED = "launch openid user/Patient.rs user/Goal.rs"


def remember(browser: Browser, app: App, user: User, **options: Any) -> Authorization:
    """Allow an app what it asks for and say that it need not ask again."""
    untick, said = options.pop("untick", ()), options.pop("said", {})
    patient = options.pop("patient", None)
    path = begin(browser, app, **({"scope": ASKED} | options))
    page = open_consent(browser, path, user, patient=patient)
    assert "Do not ask me again" in page.content.decode()
    sent = browser.post(path, answer_form(page, untick=untick) | {"remember": "yes"} | said)
    callback(sent, app.redirect_uri)
    return Authorization.objects.latest("created_at")


def again(browser: Browser, app: App, **changes: Any) -> HttpResponse:
    """Come again with the same request, with changes, in the same browser."""
    answer = browser.get(begin(browser, app, **({"scope": ASKED} | changes)))
    assert isinstance(answer, HttpResponse)
    return answer


def is_asked(answer: HttpResponse) -> bool:
    """Return True for a page of ours, False for a code; anything else fails."""
    if answer.status_code == 303:
        assert "code=" in answer.headers["Location"], answer.headers["Location"]
        return False
    assert answer.status_code in (200, 302), answer.content.decode()
    assert "code=" not in answer.headers.get("Location", "")
    return True


# What was remembered


@pytest.mark.requirement("CONSENT-09")
def test_whoever_says_so_is_not_asked_again_for_the_same(browser: Browser, growth_chart: App, ana: User) -> None:
    first = remember(browser, growth_chart, ana)
    assert first.remembered_until is not None
    assert round((first.remembered_until - timezone.now()) / timedelta(days=1)) == 90
    told = callback(again(browser, growth_chart), growth_chart.redirect_uri)
    assert told["code"]
    second = Authorization.objects.latest("created_at")
    assert (second.scope, second.context, second.unasked) == (ASKED, first.context, "remembered")
    assert second.remembered_until is None
    record = AuditRecord.objects.filter(action="consent").latest("pk")
    assert (record.rule, record.details["follows"]) == ("consent.remembered", str(first.pk))
    assert (record.details["asked"], record.details["granted"], record.patient) == (ASKED, ASKED, "ana")


def test_whoever_says_nothing_is_asked_again(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart, scope=ASKED)
    callback(decide(browser, path, open_consent(browser, path, ana)), growth_chart.redirect_uri)
    assert Authorization.objects.get().remembered_until is None
    assert is_asked(again(browser, growth_chart))


OTHERS: list[dict[str, Any]] = [
    {"scope": f"{ASKED} patient/Goal.c"},
    {"scope": f"{ASKED} patient/Observation.rs"},
    {"scope": "openid patient/Goal.rs offline_access"},
    {"scope": "openid patient/*.rs offline_access"},
    {"scope": ASKED, "prompt": "consent"},
    {"scope": ASKED, "prompt": "select_account"},
]


@pytest.mark.requirement("CONSENT-09")
@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_any_other_request_is_asked_about(
    browser: Browser, growth_chart: App, ana: User, changes: dict[str, Any]
) -> None:
    remember(browser, growth_chart, ana)
    assert is_asked(again(browser, growth_chart, **changes))
    assert not is_asked(again(browser, growth_chart, scope=" ".join(reversed(ASKED.split()))))


@pytest.mark.requirement("CONSENT-09")
def test_another_patient_is_asked_about(browser: Browser, growth_chart: App, parent: User) -> None:
    remember(browser, growth_chart, parent, patient="ana")
    for patient, asked in (("ben", True), ("ana", False)):
        path = begin(browser, growth_chart, scope=ASKED)
        choose(browser, path, patient)
        assert is_asked(browser.get(path)) is asked


@pytest.mark.requirement("CONSENT-09")
def test_another_user_is_asked(browser: Browser, growth_chart: App, tenant: TenantInfo, ana: User) -> None:
    remember(browser, growth_chart, ana)
    other = make_person(tenant, "sister", acts_for=["ana"])
    browser.logout()
    sign_in(browser, other)
    assert is_asked(again(browser, growth_chart))


@pytest.mark.requirement("CONSENT-09")
def test_another_app_is_asked_about(browser: Browser, growth_chart: App, cardio: App, ana: User) -> None:
    remember(browser, growth_chart, ana)
    assert is_asked(again(browser, cardio))


@pytest.mark.requirement("CONSENT-09")
def test_another_hospital_asks(browser: Browser, growth_chart: App, ana: User) -> None:
    first = remember(browser, growth_chart, ana)
    Authorization.objects.filter(pk=first.pk).update(tenant=make_tenant("north").pk)
    assert is_asked(again(browser, growth_chart))
    Authorization.objects.filter(pk=first.pk).update(tenant=Tenant.objects.get(slug="sandbox"))
    assert not is_asked(again(browser, growth_chart))


@pytest.mark.requirement("CONSENT-09")
def test_an_app_with_a_scheme_of_its_own_is_asked_about_each_time(browser: Browser, pocket: App, ana: User) -> None:
    path = begin(browser, pocket, scope=ASKED)
    page = open_consent(browser, path, ana)
    assert "Do not ask me again" not in page.content.decode()
    callback(browser.post(path, answer_form(page) | {"remember": "yes"}), pocket.redirect_uri)
    assert Authorization.objects.get().remembered_until is None
    assert is_asked(again(browser, pocket))


def test_what_was_declined_then_is_declined_again(browser: Browser, growth_chart: App, ana: User) -> None:
    first = remember(browser, growth_chart, ana, untick=["patient/CarePlan.rs"])
    assert not is_asked(again(browser, growth_chart))
    assert Authorization.objects.latest("created_at").scope == first.scope == "openid patient/Goal.rs offline_access"


def test_the_length_that_was_chosen_counts_from_then(browser: Browser, growth_chart: App, ana: User) -> None:
    first = remember(browser, growth_chart, ana, said={"duration": "7"})
    assert first.remembered_until == first.ends_at
    assert not is_asked(again(browser, growth_chart))
    assert Authorization.objects.latest("created_at").ends_at == first.ends_at


def test_nothing_is_remembered_for_longer_than_a_consent_lasts(browser: Browser, growth_chart: App, ana: User) -> None:
    Tenant.objects.update(policy={"max_consent_days": 60})
    path = begin(browser, growth_chart, scope="openid patient/Goal.rs")
    page = open_consent(browser, path, ana)
    assert "For 60 days" in page.content.decode()
    callback(browser.post(path, answer_form(page) | {"remember": "yes"}), growth_chart.redirect_uri)
    until = Authorization.objects.get().remembered_until
    assert until is not None
    assert round((until - timezone.now()) / timedelta(days=1)) == 60


def expire() -> None:
    Authorization.objects.update(remembered_until=timezone.now() - timedelta(seconds=1))


def stop() -> None:
    user = User.objects.get(username="ana").pk
    names = {"client_id": "growth-chart", "tenant": "sandbox"}
    assert tokens.revoke_app(user=user, by="user", now=timezone.now(), context=new_context(), **names)


def new_password() -> None:
    user = User.objects.get(username="ana").pk
    tokens.revoke_for_user(user, by="password", now=timezone.now(), context=new_context())


def forbid() -> None:
    Tenant.objects.update(policy={"remember_days": 0})


def shorten() -> None:
    Tenant.objects.update(policy={"remember_days": 1})
    Authorization.objects.update(created_at=timezone.now() - timedelta(days=1))


def mark_sensitive() -> None:
    Tenant.objects.update(policy={"sensitive_categories": ["Goal"]})
    # Also when it is not sensitive any more: it begins with a tick again, but not as if somebody had been asked.
    Tenant.objects.update(policy={})


@pytest.mark.parametrize("end", [expire, stop, new_password, forbid, shorten, mark_sensitive])
def test_what_ends_it_is_heeded(browser: Browser, growth_chart: App, ana: User, end: Callable[[], None]) -> None:
    remember(browser, growth_chart, ana)
    end()
    assert is_asked(again(browser, growth_chart))
    assert "it need not ask you again" not in browser.get("/account/apps").content.decode()


def test_a_relation_that_ended_forgets(browser: Browser, growth_chart: App, tenant: TenantInfo) -> None:
    sister = make_person(tenant, "sister", acts_for=["ana"])
    first = remember(browser, growth_chart, sister)
    ProxyRelation.objects.all().delete()
    first.refresh_from_db()
    assert first.revoked_by == "relation"
    since = timezone.now() - timedelta(days=1)
    ProxyRelation.objects.create(user=sister, tenant_id=tenant.pk, patient="ana", starts_at=since)
    assert is_asked(again(browser, growth_chart))


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_whoever_answers_anew_is_remembered_no_more(
    browser: Browser, growth_chart: App, ana: User, decision: str
) -> None:
    remember(browser, growth_chart, ana)
    path = begin(browser, growth_chart, scope=ASKED, prompt="consent")
    decide(browser, path, open_consent(browser, path, ana), decision)
    assert is_asked(again(browser, growth_chart))


def test_it_is_kept_although_its_tokens_have_expired_and_shown_under_my_apps(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    first = remember(browser, growth_chart, ana, scope="openid patient/Goal.rs")
    long_ago = timezone.now() - timedelta(days=30)
    Authorization.objects.update(created_at=long_ago - timedelta(days=1), expires_at=long_ago)
    retention.purge(timezone.now())
    page = browser.get("/account/apps").content.decode()
    assert "It has no access now" in page
    assert "it need not ask you again, as you said" in page
    assert not is_asked(again(browser, growth_chart, scope="openid patient/Goal.rs"))
    Authorization.objects.filter(pk=first.pk).update(remembered_until=long_ago)
    retention.purge(timezone.now())
    assert not Authorization.objects.filter(pk=first.pk).exists()


def test_a_suspended_app_is_let_in_by_no_memory(browser: Browser, growth_chart: App, ana: User) -> None:
    remember(browser, growth_chart, ana)
    path = begin(browser, growth_chart, scope=ASKED)
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert browser.get(path).status_code == 403


def test_coming_again_twice_gives_one_code(browser: Browser, growth_chart: App, ana: User) -> None:
    remember(browser, growth_chart, ana)
    path = begin(browser, growth_chart, scope=ASKED)
    assert not is_asked(browser.get(path))
    assert browser.get(path).status_code == 409


# A request that forbids pages


def test_a_silent_request_is_answered_by_what_was_remembered(browser: Browser, growth_chart: App, ana: User) -> None:
    remember(browser, growth_chart, ana)
    assert callback(again(browser, growth_chart, prompt="none"), growth_chart.redirect_uri)["code"]


@pytest.mark.parametrize("scope", [f"{ASKED} patient/Goal.c", "openid user/Goal.rs"])
def test_a_silent_request_for_something_else_ends_at_the_app(
    browser: Browser, growth_chart: App, ana: User, scope: str
) -> None:
    remember(browser, growth_chart, ana)
    answer = again(browser, growth_chart, prompt="none", scope=scope)
    state = PendingAuthorization.objects.latest("created_at").state
    assert told_in(answer, growth_chart.redirect_uri, state, "consent_required").rule == "prompt.none"


def test_a_silent_request_shows_no_picker(browser: Browser, growth_chart: App, parent: User) -> None:
    remember(browser, growth_chart, parent, patient="ana")
    answer = again(browser, growth_chart, prompt="none")
    state = PendingAuthorization.objects.latest("created_at").state
    assert told_in(answer, growth_chart.redirect_uri, state, "consent_required").rule == "prompt.none"


def test_a_silent_request_is_told_when_the_records_are_away(
    browser: Browser, growth_chart: App, ana: User, small: Behind
) -> None:
    remember(browser, growth_chart, ana)
    small.fail(kind="status", status=503)
    answer = again(browser, growth_chart, prompt="none")
    state = PendingAuthorization.objects.latest("created_at").state
    receipt = told_in(answer, growth_chart.redirect_uri, state, "temporarily_unavailable")
    assert receipt.rule == "records.unavailable"


# What an administrator decided


@pytest.fixture
def trusted(clinic: App) -> App:
    """The app that the EHR launches, which the tenant lets clinicians into unasked."""
    Activation.objects.filter(client__client_id=clinic.client_id).update(skips_consent=True, allowed_scope=LAUNCHED)
    return clinic


def come(browser: Browser, app: App, user: User, launch: str, **changes: Any) -> HttpResponse:
    path = begin(browser, app, **({"scope": LAUNCHED, "launch": launch} | changes))
    sign_in(browser, user, then=path)
    answer = browser.get(path)
    assert isinstance(answer, HttpResponse)
    return answer


@pytest.mark.requirement("LAUNCH-08")
def test_a_clinician_is_let_into_a_trusted_app_unasked_and_sees_it(
    browser: Browser, trusted: App, dr_grey: User, begin_launch: Begin
) -> None:
    told = callback(come(browser, trusted, dr_grey, begin_launch(client_id="clinic")), trusted.redirect_uri)
    assert told["code"]
    granted = Authorization.objects.get(kind="user")
    assert (granted.scope, granted.unasked, granted.context["patient"]) == (LAUNCHED, "operator", "ana")
    record = AuditRecord.objects.get(action="consent")
    assert (record.rule, record.user_id, record.details["granted"]) == ("consent.skipped", dr_grey.pk, LAUNCHED)
    page = browser.get("/account/apps").content.decode()
    assert "Connected without asking you, by decision of" in page


def no_scopes(app: App) -> None:
    Activation.objects.filter(client__client_id=app.client_id).update(allowed_scope="")


def not_decided(app: App) -> None:
    Activation.objects.filter(client__client_id=app.client_id).update(skips_consent=False)


def sensitive(app: App) -> None:
    Tenant.objects.update(policy={"sensitive_categories": ["Goal"]})


def public(app: App) -> None:
    Client.objects.filter(client_id=app.client_id).update(
        token_endpoint_auth_method="none", client_secret="", client_type="public"
    )


@pytest.mark.requirement("LAUNCH-08")
@pytest.mark.parametrize("change", [no_scopes, not_decided, sensitive, public])
def test_otherwise_the_clinician_is_asked(
    browser: Browser, trusted: App, dr_grey: User, begin_launch: Begin, change: Callable[[App], None]
) -> None:
    handle = begin_launch(client_id="clinic")
    change(trusted)
    assert is_asked(come(browser, trusted, dr_grey, handle))


@pytest.mark.requirement("LAUNCH-08", "REFRESH-17")
def test_what_nobody_was_asked_about_goes_on_only_while_nobody_has_to_be(
    browser: Browser, ask: Ask, trusted: App, dr_grey: User, begin_launch: Begin
) -> None:
    scope, codes = f"{LAUNCHED} offline_access", []
    Activation.objects.filter(client__client_id=trusted.client_id).update(allowed_scope=scope)
    pkce = Pkce()
    for _ in range(2):
        launch = begin_launch(client_id="clinic")
        answer = come(browser, trusted, dr_grey, launch, scope=scope, code_challenge=pkce.challenge)
        codes.append(callback(answer, trusted.redirect_uri)["code"])
    exchanges = [
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trusted.redirect_uri,
            "code_verifier": pkce.verifier,
        }
        for code in codes
    ]
    token = ask(trusted, exchanges[0]).json()["refresh_token"]
    for change in (not_decided, sensitive):
        with transaction.atomic():
            change(trusted)
            for form in (exchanges[1], {"grant_type": "refresh_token", "refresh_token": token}):
                assert_refused(ask(trusted, form), "invalid_grant", "grant.never_asked")
            transaction.set_rollback(True)
    assert ask(trusted, exchanges[1]).status_code == 200


@pytest.mark.requirement("LAUNCH-08")
def test_a_wish_to_ask_is_heeded(browser: Browser, trusted: App, dr_grey: User, begin_launch: Begin) -> None:
    assert is_asked(come(browser, trusted, dr_grey, begin_launch(client_id="clinic"), prompt="consent"))


@pytest.mark.requirement("LAUNCH-07")
def test_a_silent_launch_of_somebody_else_is_denied_and_stays_good(
    browser: Browser, trusted: App, dr_grey: User, ana: User, begin_launch: Begin
) -> None:
    handle = begin_launch(client_id="clinic")
    sign_in(browser, ana)
    answer = again(browser, trusted, scope=LAUNCHED, launch=handle, prompt="none", state="state-1")
    assert told_in(answer, trusted.redirect_uri, "state-1", "access_denied").rule == "launch.other_user"
    assert not is_asked(come(Browser(), trusted, dr_grey, handle))


@pytest.mark.requirement("LAUNCH-08")
def test_a_patient_is_always_asked(browser: Browser, trusted: App, ana: User, begin_launch: Begin) -> None:
    assert is_asked(come(browser, trusted, ana, begin_launch(client_id="clinic", user="ana")))


@pytest.mark.requirement("LAUNCH-08")
def test_what_no_ehr_began_is_asked_about(browser: Browser, trusted: App, dr_grey: User) -> None:
    path = begin(browser, trusted, scope="openid user/Goal.rs")
    sign_in(browser, dr_grey, then=path)
    assert is_asked(browser.get(path))
