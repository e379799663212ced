"""Signing in at an identity provider nobody here wrote: the way there and back, who is let in, and what apps are told.

OIDC Core §3.1.2.1, §3.1.2.6 and §3.1.3.7; RFC 7636 §4; RFC 9207 §2.4; RFC 9700 §2.1.
"""

import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client as Browser

from clients.models import Skin
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization
from smartauth.people.models import FhirUser, UpstreamIdentity, User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import PASSWORD, App, begin, callback, decide, make_person, page_refusal
from tests.endpoints.app_launch import sign_in as sign_in_with_password
from tests.sign_in.hospital import CALLBACK, Hospital, Visitor, path_of, query_of

pytestmark = pytest.mark.usefixtures("small")

LOGIN = "/account/login/"
START = "/account/upstream/"


def away(browser: Browser, path: str = START) -> str:
    """Return where at the provider a path of ours sends the browser."""
    answer = browser.get(path)
    assert answer.status_code == 302, answer.content.decode()
    return answer.headers["Location"]


def there_and_back(browser: Browser, visitor: Visitor, path: str = START, name: str = "s-grey") -> HttpResponse:
    return browser.get(path_of(visitor.go(away(browser, path), name=name)))


def silently(path: str) -> str:
    return f"{START}?{urlencode({'next': path, 'prompt': 'none'})}"


def assert_signed_in(browser: Browser, user: User | None) -> None:
    assert browser.session.get("_auth_user_id") == (str(user.pk) if user else None)


# There and back


def test_the_sign_in_page_offers_the_provider_beside_the_password(browser: Browser, hospital: Hospital) -> None:
    page = browser.get(f"{LOGIN}?next=/account/apps").content.decode()
    assert 'href="/account/upstream/?next=%2Faccount%2Fapps"' in page
    assert "Sign in with City Hospital" in page
    assert 'name="password"' in page


def test_without_a_provider_there_is_no_such_way(browser: Browser, tenant: TenantInfo) -> None:
    assert "upstream" not in browser.get(LOGIN).content.decode()
    assert page_refusal(browser.get(START), 404).rule == "upstream.off"
    assert page_refusal(browser.get(f"{START}callback?state=x&code=y"), 404).rule == "upstream.off"


def test_the_request_is_tied_to_this_browser_and_this_attempt(browser: Browser, hospital: Hospital) -> None:
    first, second = query_of(away(browser)), query_of(away(browser))
    assert first.keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce"),
        *("code_challenge", "code_challenge_method", "max_age"),
    }
    assert (first["response_type"], first["client_id"], first["redirect_uri"]) == ("code", "smartauth", CALLBACK)
    assert (first["scope"], first["code_challenge_method"], first["max_age"]) == ("openid", "S256", "28800")
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 43


def test_nobody_can_add_to_what_the_provider_is_asked(browser: Browser, hospital: Hospital) -> None:
    added = f"{START}?scope=openid+email&auth_params=acr%3Dlow&prompt=consent&login_hint=x&max_age=99999999&state=mine"
    asked = query_of(away(browser, added))
    assert asked["scope"] == "openid"
    assert asked["max_age"] == "28800"
    assert asked["state"] != "mine"
    assert not {"auth_params", "prompt", "login_hint", "acr"} & asked.keys()


def test_a_person_signs_in_and_goes_on_where_they_wanted_to(browser: Browser, visitor: Visitor, grey: User) -> None:
    answer = there_and_back(browser, visitor, f"{START}?next=/account/apps")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/apps")
    assert_signed_in(browser, grey)
    assert "dr-grey" in browser.get("/account/apps").content.decode()
    record = AuditRecord.objects.get(action="sign-in")
    assert (record.user_id, record.details) == (grey.pk, {"by": "upstream"})
    assert UpstreamIdentity.objects.get().last_used_at is not None


def test_the_session_gets_a_new_name(browser: Browser, visitor: Visitor, grey: User) -> None:
    url = away(browser)
    before = browser.cookies["sessionid"].value
    browser.get(path_of(visitor.go(url)))
    assert browser.cookies["sessionid"].value != before


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere_afterwards(browser: Browser, visitor: Visitor, grey: User, elsewhere: str) -> None:
    answer = there_and_back(browser, visitor, f"{START}?{urlencode({'next': elsewhere})}")
    assert answer.headers["Location"] == "/account/"


def test_an_answer_counts_once_and_in_its_own_browser(browser: Browser, visitor: Visitor, grey: User) -> None:
    back = path_of(visitor.go(away(browser)))
    stranger = Browser()
    for other in (back, back.replace("state=", "state=x"), f"{START}callback?code=x"):
        assert page_refusal(stranger.get(other), 400).rule == "upstream.state"
    assert_signed_in(stranger, None)
    assert browser.get(back).status_code == 302
    assert page_refusal(browser.get(back), 400).rule == "upstream.state"


def test_an_answer_of_another_provider_is_not_taken_to_this_one(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital
) -> None:
    back = path_of(visitor.go(away(browser)))
    forged = back.replace(urlencode({"iss": hospital.issuer}), urlencode({"iss": "https://evil.example"}))
    assert forged != back
    assert page_refusal(browser.get(forged), 502).rule == "upstream.iss"
    assert_signed_in(browser, None)


def test_a_code_of_another_attempt_signs_nobody_in(browser: Browser, visitor: Visitor, grey: User) -> None:
    theirs = query_of(visitor.go(away(Browser())))  # Somebody else's code, put into this browser's answer.
    own = query_of(visitor.go(away(browser)))
    mixed = {**own, "code": theirs["code"]}
    assert page_refusal(browser.get(f"{START}callback?{urlencode(mixed)}"), 502).rule == "upstream.token"
    assert_signed_in(browser, None)


def test_who_cancels_there_is_told_so_here(browser: Browser, visitor: Visitor, grey: User) -> None:
    answer = browser.get(path_of(visitor.go(away(browser), cancel=True)))
    receipt = page_refusal(answer, 403)
    assert (receipt.rule, receipt.seen) == ("upstream.error", "access_denied")
    assert_signed_in(browser, None)


def test_what_went_wrong_there_is_told_in_the_look_of_the_hospital_the_app_asks_at(
    browser: Browser, grey: User, growth_chart: App, tenant: TenantInfo
) -> None:
    Skin.objects.create(tenant_id=tenant.pk, name="St. Brigid Hospital")
    on_the_way = f"{START}?{urlencode({'next': begin(browser, growth_chart)})}"
    for path, has_its_look in ((on_the_way, True), (START, False)):
        answer = browser.get(path_of(Visitor().go(away(browser, path), cancel=True)))
        page_refusal(answer, 403)
        assert ("<bdi>St. Brigid Hospital</bdi></span>" in answer.content.decode()) is has_its_look


# Who is let in


def test_somebody_without_an_account_is_told_what_to_do(browser: Browser, visitor: Visitor, grey: User) -> None:
    answer = there_and_back(browser, visitor, name="s-ana")
    assert page_refusal(answer, 403).rule == "upstream.unknown_person"
    assert "Ask the operator" in answer.content.decode()
    assert_signed_in(browser, None)
    assert User.objects.count() == 1
    record = AuditRecord.objects.get(action="sign-in-failed")
    assert (record.rule, record.user_id) == ("upstream.unknown_person", None)


def test_a_user_of_the_same_name_or_e_mail_is_somebody_else(
    browser: Browser, visitor: Visitor, hospital: Hospital, tenant: TenantInfo
) -> None:
    make_person(tenant, "s-grey")
    User.objects.update(email="grey@x")
    assert page_refusal(there_and_back(browser, visitor), 403).rule == "upstream.unknown_person"
    assert_signed_in(browser, None)


def test_the_same_subject_of_another_issuer_is_somebody_else(browser: Browser, visitor: Visitor, grey: User) -> None:
    UpstreamIdentity.objects.update(issuer="https://another.example")
    assert page_refusal(there_and_back(browser, visitor), 403).rule == "upstream.unknown_person"


def test_a_deactivated_user_is_not_let_in(browser: Browser, visitor: Visitor, grey: User) -> None:
    User.objects.update(is_active=False)
    assert page_refusal(there_and_back(browser, visitor), 403).rule == "upstream.deactivated"
    assert_signed_in(browser, None)
    assert not AuditRecord.objects.filter(action="sign-in").exists()


def test_the_operator_links_somebody_whom_they_make(
    browser: Browser, visitor: Visitor, hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_user", "--username", "kim", "--upstream-subject", "s-ana")
    assert "may sign in" in capsys.readouterr().out
    there_and_back(browser, visitor, name="s-ana")
    kim = User.objects.get(username="kim")
    assert not kim.has_usable_password()
    assert_signed_in(browser, kim)


def test_where_the_operator_says_so_whoever_the_provider_knows_gets_a_user(
    browser: Browser, visitor: Visitor, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(creates_users=True))
    there_and_back(browser, visitor)
    user = User.objects.get()
    assert user.username.startswith("Dr-Grey-grey-x-")
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (False, False, False)
    assert_signed_in(browser, user)
    there_and_back(Browser(), visitor)
    assert User.objects.count() == 1
    assert AuditRecord.objects.get(action="user-created").user_id == user.pk


def test_another_claim_than_sub_may_name_people(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(subject_claim="employee"))
    assert page_refusal(there_and_back(browser, visitor), 403).rule == "upstream.unknown_person"
    UpstreamIdentity.objects.update(subject="4711")
    there_and_back(browser, visitor)
    assert_signed_in(browser, grey)
    answer = there_and_back(Browser(), Visitor(), name="s-ana")
    assert page_refusal(answer, 502).rule == "upstream.subject"


# Which FHIR resource somebody is


def test_the_provider_says_what_somebody_is_at_a_tenant(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(fhir_user_claims=(("sandbox", "fhirUser"), ("gone", "fhirUser"))))
    FhirUser.objects.all().delete()
    for _ in range(2):
        there_and_back(Browser(), visitor)
    assert FhirUser.objects.get(user=grey).reference == "Practitioner/dr-grey"
    changed = AuditRecord.objects.get(action="fhir-user-changed")
    assert (changed.tenant, changed.details["is"]) == ("sandbox", "Practitioner/dr-grey")
    UpstreamIdentity.objects.update(subject="s-ana")
    there_and_back(browser, Visitor(), name="s-ana")
    assert FhirUser.objects.get(user=grey).reference == "Patient/ana"


def test_what_the_provider_does_not_say_stays(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(fhir_user_claims=(("sandbox", "no_such_claim"),)))
    there_and_back(browser, visitor)
    assert FhirUser.objects.get(user=grey).reference == "Practitioner/dr-grey"


def test_a_resource_that_nobody_can_be_lets_nobody_in(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(fhir_user_claims=(("sandbox", "fhirUser"),)))
    UpstreamIdentity.objects.update(subject="s-odd")
    assert page_refusal(there_and_back(browser, visitor, name="s-odd"), 502).rule == "upstream.fhir_user"
    assert_signed_in(browser, None)
    assert FhirUser.objects.get(user=grey).reference == "Practitioner/dr-grey"


# Apps: without a page in between, and with fresh proofs


def test_who_is_signed_in_there_sees_no_sign_in_page_here(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    visitor.go(away(Browser()))  # This morning, for something else.
    path = begin(browser, growth_chart, scope="openid fhirUser user/*.rs")
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, silently(path))
    url = away(browser, answer.headers["Location"])
    assert query_of(url)["prompt"] == "none"
    back = browser.get(path_of(visitor.go(url)))
    assert visitor.asked == ""
    assert back.headers["Location"] == path
    assert_signed_in(browser, grey)
    page = browser.get(path)
    assert page.status_code == 200
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]


def test_who_is_not_signed_in_there_either_gets_the_sign_in_page_after_one_question(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    path = begin(browser, growth_chart)
    back = browser.get(path_of(visitor.go(away(browser, silently(path)))))
    assert (back.status_code, back.headers["Location"]) == (302, path)
    assert Receipt.objects.latest("at").rule == "upstream.error"
    answer = browser.get(path)
    assert answer.headers["Location"] == f"{LOGIN}?{urlencode({'next': path})}"
    assert not AuditRecord.objects.filter(action="sign-in-failed").exists()


@pytest.mark.requirement("AUTHZ-24")
def test_an_app_that_forbids_pages_gets_its_answer_through_the_provider(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    path = begin(browser, growth_chart, prompt="none")
    there_and_back(browser, visitor, browser.get(path).headers["Location"])
    told = callback(browser.get(path), growth_chart.redirect_uri)
    assert told["error"] == "login_required"
    visitor.go(away(Browser()))
    path = begin(browser, growth_chart, prompt="none")
    there_and_back(browser, visitor, browser.get(path).headers["Location"])
    assert_signed_in(browser, grey)
    assert callback(browser.get(path), growth_chart.redirect_uri)["error"] == "consent_required"


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_an_app_that_wants_the_person_asked_is_not_answered_silently(
    browser: Browser, growth_chart: App, grey: User, prompt: str
) -> None:
    path = begin(browser, growth_chart, prompt=prompt)
    assert browser.get(path).headers["Location"].startswith(LOGIN)


def test_a_provider_that_is_away_does_not_keep_anybody_from_the_sign_in_page(
    browser: Browser, growth_chart: App, grey: User, hospital: Hospital, configure: Configure
) -> None:
    configure(upstream_idp=hospital.as_configured(issuer="http://127.0.0.1:9"))
    path = begin(browser, growth_chart)
    answer = browser.get(browser.get(path).headers["Location"])
    assert answer.headers["Location"] == path
    assert browser.get(path).headers["Location"].startswith(LOGIN)
    assert page_refusal(browser.get(START), 503).rule == "upstream.unreachable"


def test_somebody_who_signed_out_here_is_not_signed_in_again_behind_their_back(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    there_and_back(browser, visitor)
    path = begin(browser, growth_chart, scope="openid fhirUser user/*.rs")
    assert browser.get(path).status_code == 200
    browser.post("/account/logout/")
    assert browser.get(path).headers["Location"].startswith(LOGIN)


@pytest.mark.requirement("AUTHZ-24")
def test_prompt_login_is_passed_on_and_auth_time_is_the_providers(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    there_and_back(browser, visitor)
    time.sleep(1.1)  # auth_time has whole seconds.
    path = begin(browser, growth_chart, scope="openid fhirUser user/*.rs", prompt="login")
    answer = browser.get(path)
    url = away(browser, answer.headers["Location"])
    assert (query_of(url)["prompt"], query_of(url)["max_age"]) == ("login", "0")
    asked_at = datetime.now(UTC)
    back = browser.get(path_of(visitor.go(url)))
    assert visitor.asked
    assert back.headers["Location"] == path
    page = browser.get(path)
    assert page.status_code == 200
    decide(browser, path, page)
    auth_time = Authorization.objects.get().auth_time
    assert auth_time is not None
    assert auth_time.microsecond == 0  # As the provider said it.
    assert abs((auth_time - asked_at).total_seconds()) < 2
    again = AuditRecord.objects.get(action="sign-in-again")
    assert (again.user_id, again.details) == (grey.pk, {"by": "upstream"})


@pytest.mark.requirement("AUTHZ-24")
def test_auth_time_is_when_somebody_signed_in_there_and_not_here(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    signed_in_at = datetime.now(UTC)
    visitor.go(away(Browser()))
    time.sleep(2.1)
    path = begin(browser, growth_chart, scope="openid fhirUser user/*.rs")
    there_and_back(browser, visitor, silently(path))
    decide(browser, path, browser.get(path))
    auth_time = Authorization.objects.get().auth_time
    assert auth_time is not None
    assert abs((auth_time - signed_in_at).total_seconds()) < 2


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.parametrize(
    ("max_age", "asked"), [("3600", {"max_age": "3600"}), ("10", {"prompt": "login", "max_age": "0"})]
)
def test_max_age_is_passed_on(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App, max_age: str, asked: dict[str, str]
) -> None:
    there_and_back(browser, visitor)
    session = browser.session
    session["account_authentication_methods"][-1]["at"] -= 7200
    session.save()
    path = begin(browser, growth_chart, scope="openid fhirUser user/*.rs", max_age=max_age)
    url = away(browser, browser.get(path).headers["Location"])
    assert asked.items() <= query_of(url).items()
    assert ("prompt" in query_of(url)) == ("prompt" in asked)
    browser.get(path_of(visitor.go(url)))
    assert browser.get(path).status_code == 200


def test_a_form_is_not_redirected_to_the_provider_which_browsers_would_block(
    browser: Browser, visitor: Visitor, grey: User, growth_chart: App
) -> None:
    there_and_back(browser, visitor)
    path = begin(browser, growth_chart, prompt="login")
    answer = browser.post(path, {"decision": "allow"})
    assert answer.headers["Location"].startswith("/account/reauthenticate/")
    page = browser.get(answer.headers["Location"]).content.decode()
    assert "Sign in again with City Hospital" in page
    assert "prompt=login" in page
    assert 'name="password"' not in page


def test_another_person_there_does_not_take_over_the_session_here(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, tenant: TenantInfo
) -> None:
    ana = make_person(tenant, "ana", "Patient/ana")
    UpstreamIdentity.objects.create(user=ana, issuer=hospital.issuer, subject="s-ana")
    there_and_back(browser, visitor)
    answer = there_and_back(browser, Visitor(), f"{START}?prompt=login", name="s-ana")
    assert page_refusal(answer, 403).rule == "upstream.other_user"
    assert_signed_in(browser, grey)


def test_who_came_with_a_password_proves_it_with_the_password(
    browser: Browser, hospital: Hospital, growth_chart: App, ana: User
) -> None:
    sign_in_with_password(browser, ana)
    path = begin(browser, growth_chart, prompt="login")
    answer = browser.get(path)
    assert answer.headers["Location"].startswith("/account/reauthenticate/")
    assert 'name="password"' in browser.get(answer.headers["Location"]).content.decode()
    cache.clear()
    done = browser.post("/account/reauthenticate/", {"password": PASSWORD, "next": path})
    assert done.headers["Location"] == path
    assert browser.get(path).status_code == 200


# What lasts


def test_a_second_factor_is_set_up_only_after_a_fresh_proof_there(
    browser: Browser, visitor: Visitor, grey: User
) -> None:
    there_and_back(browser, visitor)
    activate = "/account/second-factor/totp/activate/"
    assert browser.get(activate).status_code == 200
    session = browser.session
    session["account_authentication_methods"][-1]["at"] -= 301
    session.save()
    assert browser.post(activate, {"code": "123456"}).headers["Location"].startswith("/account/reauthenticate/")
    answer = browser.get(activate)
    assert answer.headers["Location"] == f"{START}?{urlencode({'next': activate, 'prompt': 'login'})}"
    there_and_back(browser, visitor, answer.headers["Location"])
    assert visitor.asked
    assert browser.get(activate).status_code == 200


@pytest.mark.requirement("SEC-13")
def test_staff_whom_the_provider_vouches_for_still_need_a_second_factor_here(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital, configure: Configure
) -> None:
    there_and_back(browser, visitor)
    User.objects.filter(pk=grey.pk).update(is_staff=True, is_superuser=True)
    assert browser.get("/admin/").status_code == 200  # In the sandbox.
    configure(mode="production", upstream_idp=hospital.as_configured())
    answer = browser.get("/admin/", secure=True)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/login/?next=/admin/")
    answer = browser.get(answer.headers["Location"], secure=True)
    assert answer.headers["Location"].startswith("/account/second-factor/totp/activate/")
