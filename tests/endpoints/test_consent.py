"""The consent page and its answer: what a person is told, what they can choose, what is granted, and what is stored.

RFC 6749 §4.1.2 and §4.1.2.1; RFC 9700 §4.16; OIDC Core §3.1.2.4; SMART 2.2 scopes-and-launch-context and
best-practices.
"""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client, Tenant
from clients.tenants import TenantInfo
from fhirproxy.models import Upstream
from smartauth.audit.models import AuditRecord
from smartauth.conf import config
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization, AuthorizationCode, PendingAuthorization, RefreshToken
from smartauth.people.models import User
from smartauth.policy.advertising import CATEGORIES, US_CORE_TYPES
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import (
    SCOPE,
    App,
    Pkce,
    answer_form,
    assert_no_grant,
    begin,
    callback,
    decide,
    launch,
    make_app,
    open_consent,
    page_number,
    page_refusal,
    pending,
    records_away,
    sign_in,
    ticks,
    told_in,
)
from tests.factories import phone_app
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("small")

LABEL = re.compile(r'<label[^>]*>\s*<input type="checkbox" name="scope" value="([^"]*)" checked>(.*?)</label>', re.S)
TAG = re.compile(r"<[^>]*>")
LAB, EXAMINATION, SOCIAL, SURVEY, VITAL, SDOH = CATEGORIES["Observation"]
OBSERVATIONS = [f"patient/Observation.rs?category={value}" for value in CATEGORIES["Observation"]]
CONDITIONS = [f"patient/Condition.rs?category={value}" for value in CATEGORIES["Condition"]]
EVERYTHING = [
    permission
    for kind in US_CORE_TYPES
    for permission in {"Condition": CONDITIONS, "Observation": OBSERVATIONS}.get(kind, [f"patient/{kind}.rs"])
]


def text_of(page: HttpResponse) -> str:
    """Return what a person reads on a page."""
    main = page.content.decode().partition('<main id="main">')[2]
    return " ".join(unescape(TAG.sub(" ", main)).split())


def ask(
    browser: Browser, app: App, user: User, *, patient: str | None = None, **params: Any
) -> tuple[str, HttpResponse]:
    """Launch an app up to its consent page; return the path and the page."""
    path = begin(browser, app, **params)
    return path, open_consent(browser, path, user, patient=patient)


def consented() -> AuditRecord:
    """Return the one audit record of a decision."""
    return AuditRecord.objects.get(action="consent")


# What the page says


@pytest.mark.requirement("CONSENT-03", "CONSENT-06")
def test_a_patient_is_told_who_asks_for_what(browser: Browser, growth_chart: App, ana: User) -> None:
    Tenant.objects.update(name="Hillside Clinic")
    _, page = ask(browser, growth_chart, ana)
    text = text_of(page)
    assert text.startswith("Allow Growth Chart to use your health record?")
    for fact in (
        "App Growth Chart Checked by Hillside Clinic",
        "Who pays, whether data is passed on, how to have it deleted Not answered",
        "What you allow goes to cardio.example.org",
        "Record Ana Lindqvist Born 12 May 1984 Female No. MRN-1001",
        "Signed in Ana Lindqvist Not you?",
        "In your record, the app may see Optional",
        "also for kinds of information that are added later",
        "Stay connected",
        f"until it has not been used for {config().refresh_token_lifetime.days} days",
        "If you allow it, the app also gets Required",
        "That it is you",
        "learns which entry in the records is yours",
        "Allow Deny",
    ):
        assert fact in text, fact
    assert "<title>Allow Growth Chart?</title>" in page.content.decode()


@pytest.mark.requirement("CONSENT-07")
def test_saying_no_is_as_easy_as_saying_yes(browser: Browser, growth_chart: App, ana: User) -> None:
    _, page = ask(browser, growth_chart, ana)
    buttons = re.findall(r'<button name="decision" value="(allow|deny)"([^>]*)>', page.content.decode())
    assert buttons == [("allow", ""), ("deny", "")]


@pytest.mark.requirement("CONSENT-03")
def test_only_what_stands_for_everything_is_told_as_everything(browser: Browser, growth_chart: App, ana: User) -> None:
    _, page = ask(browser, growth_chart, ana, scope="patient/Goal.rs user/*.rs")
    mine, everybodys = page.content.decode().split("</fieldset>")[:2]
    assert ("The app asks for everything" in mine, "The app asks for everything" in everybodys) == (False, True)
    assert ("data-ticks" in mine, "data-ticks" in everybodys) == (False, True)  # A long list goes at one press, too.


def test_what_changes_the_record_is_marked(browser: Browser, growth_chart: App, ana: User) -> None:
    Client.objects.filter(client_id=growth_chart.client_id).update(scope="launch/patient patient/*.cruds")
    _, page = ask(browser, growth_chart, ana, scope="launch/patient patient/Goal.cu patient/Patient.r")
    text = text_of(page)
    assert "the app may see Optional Can change" not in text
    assert "the app may add and change Optional Can change data" in text


@pytest.mark.requirement("CONSENT-06")
def test_what_the_makers_say_is_told_in_their_words(browser: Browser, growth_chart: App, ana: User) -> None:
    said = {
        "publisher": "Chart Makers <b>",
        "purpose": "Draws growth & more.",
        "intended_users": "Parents",
        "funding": "A grant",
        "data_sharing": "<script>No</script>",
    }
    Client.objects.filter(client_id=growth_chart.client_id).update(**said)
    _, page = ask(browser, growth_chart, ana)
    text = text_of(page)
    for fact in (
        "Checked by",
        "Draws growth & more. By Chart Makers <b> For Parents What you allow goes to",
        "Partly answered",
        "Who pays for it? A grant",
        "Does it pass data on? <script>No</script>",
        "How is your data deleted? Not answered",
    ):
        assert fact in text, fact
    assert "<script>" not in page.content.decode()


@pytest.mark.requirement("CONSENT-13")
def test_a_clinician_is_told_whose_record_it_is(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    _, page = ask(browser, growth_chart, dr_grey, patient="ben", scope="patient/Goal.rs user/Goal.rs")
    text = text_of(page)
    for fact in (
        "Allow Growth Chart to use the health record of Ben Okafor?",
        "Record Ben Okafor Born 3 November 1979",
        "Choose somebody else",
        "Signed in Alma Grey",
        "In this record, the app may see",
        "In every record you may see yourself, the app may see",
        "For up to an hour",
    ):
        assert fact in text, fact
    assert "your health record" not in text
    assert "Stay connected" not in text
    assert "That it is you" not in text


def test_a_parent_is_told_whose_record_it_is(browser: Browser, growth_chart: App, parent: User) -> None:
    _, page = ask(browser, growth_chart, parent, patient="ben")
    assert "Allow Growth Chart to use the health record of Ben Okafor?" in text_of(page)
    assert "In this record, the app may see" in text_of(page)


def test_without_a_patient_no_record_is_named(browser: Browser, growth_chart: App, ana: User) -> None:
    _, page = ask(browser, growth_chart, ana, scope="openid user/Goal.rs")
    text = text_of(page)
    assert "Allow Growth Chart to connect?" in text
    assert "Record" not in text
    assert "learns which entry" not in text


@pytest.mark.requirement("CONSENT-06")
def test_an_app_nobody_checked_is_marked(browser: Browser, growth_chart: App, ana: User) -> None:
    Client.objects.update(is_operator_verified=False)
    _, page = ask(browser, growth_chart, ana)
    assert "Not checked by sandbox" in text_of(page)


def test_the_makers_pages_are_linked_and_learn_nothing(browser: Browser, tenant: TenantInfo, ana: User) -> None:
    pages = {"client_uri": "https://growth.example.org/?a=1&b=2", "policy_uri": "https://growth.example.org/privacy"}
    _, page = ask(browser, make_app(phone_app(**pages), tenant), ana)
    for href in ("https://growth.example.org/?a=1&amp;b=2", "https://growth.example.org/privacy"):
        assert f'<a href="{href}" rel="noopener noreferrer" target="_blank">' in page.content.decode()


PRIVATE = "com.example.app:/callback"
WHERE = [
    # where the answer goes, what the page calls it, what browsers must let the form end at
    (PRIVATE, "com.example.app", "com.example.app:"),
    ("http://127.0.0.1:49152/callback", "127.0.0.1:49152", "http://127.0.0.1:49152"),
]


@pytest.mark.requirement("HDR-08", "T-29")
@pytest.mark.requirement("AUTHZ-31", "T-29", "T-30")
@pytest.mark.parametrize(("redirect_uri", "named", "source"), WHERE)
def test_a_native_app_is_answered_where_the_page_says(
    browser: Browser, pocket: App, ana: User, redirect_uri: str, named: str, source: str
) -> None:
    path, page = ask(browser, pocket, ana, redirect_uri=redirect_uri)
    assert f"What you allow goes to {named}" in text_of(page)
    assert f"form-action 'self' {source}" in page.headers["Content-Security-Policy"].split("; ")
    answer = decide(browser, path, page)
    assert callback(answer, redirect_uri).keys() == {"code", "state"}
    assert answer.headers["Location"].startswith(f"{redirect_uri}?code=")
    assert AuthorizationCode.objects.get().redirect_uri == redirect_uri


@pytest.mark.requirement("AUTHZ-33", "CONSENT-10")
def test_the_page_is_framed_kept_and_read_by_nobody_else(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart, state="a-state-of-the-app", nonce="a-nonce-of-the-app")
    open_consent(browser, path, ana)
    page = browser.get(path, headers={"Origin": "https://cardio.example.org"})
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "form-action 'self' https://cardio.example.org" in policy
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"):
        assert directive in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in page.headers if name.lower().startswith("access-control-")]
    markup = page.content.decode()
    for secret in ("a-state-of-the-app", "a-nonce-of-the-app", pending().code_challenge, pending().browser):
        assert secret not in markup
    # Its only script is ours, sends nothing, and sets ticks or takes them away.
    assert re.findall(r"<script[^>]*>", markup) == ['<script type="module" src="/static/consent/ticks.js">']
    assert not re.search(r'(?:src|<link[^>]*href)="(?:https?:)?//', markup)


# What can be ticked


OFFERS: list[tuple[str, list[str]]] = [
    ("patient/*.rs", EVERYTHING),
    ("patient/Observation.rs", OBSERVATIONS),
    ("patient/Condition.rs", CONDITIONS),
    ("patient/Goal.rs patient/CarePlan.r", ["patient/Goal.rs", "patient/CarePlan.r"]),
    ("patient/Goal.read", ["patient/Goal.read"]),
    ("patient/Goal.cruds patient/Goal.rs", ["patient/Goal.cruds"]),
    (f"patient/Observation.rs?category={LAB}", OBSERVATIONS[:1]),
    (f"patient/Observation.rs patient/Observation.rs?category={LAB}", OBSERVATIONS),
    ("patient/Goal.rs user/Goal.rs", ["patient/Goal.rs", "user/Goal.rs"]),
    ("patient/Goal.rs offline_access", ["patient/Goal.rs", "offline_access"]),
    ("openid fhirUser launch/patient patient/Goal.rs", ["patient/Goal.rs"]),
    ("patient/Goal.rs online_access", ["patient/Goal.rs"]),
    ("patient/ImagingStudy.rs", ["patient/ImagingStudy.rs"]),
    ("openid", []),
]


@pytest.mark.requirement("CONSENT-01", "CONSENT-02")
@pytest.mark.parametrize(("asked", "offered"), OFFERS)
def test_each_permission_has_a_tick_with_words(
    browser: Browser, growth_chart: App, ana: User, asked: str, offered: list[str]
) -> None:
    _, page = ask(browser, growth_chart, ana, scope=asked)
    assert sorted(ticks(page)) == sorted(offered)
    labels = [(unescape(value), unescape(TAG.sub(" ", words)).strip()) for value, words in LABEL.findall(page.text)]
    assert [value for value, _ in labels] == ticks(page)
    for value, words in labels:
        assert re.match(r"[A-Z][a-z]+", words), value
        assert "|" not in words
        assert "/" not in words  # A value is for programs.
    by_level = [(value.partition("/")[0], words) for value, words in labels]
    assert len(set(by_level)) == len(by_level)


UNTOUCHED = [
    "patient/*.rs",
    "patient/*.read",
    "patient/*.cruds",
    "patient/Observation.rs patient/Condition.rs patient/Patient.rs",
    "patient/Observation.read patient/Patient.*",
    "patient/Goal.r patient/Goal.s",
    f"patient/Observation.rs?category={LAB}",
    f"patient/Observation.rs?category={LAB}&code=718-7",
    "patient/Goal.rs user/Goal.rs",
    "user/*.rs openid fhirUser",
    "launch/patient openid fhirUser offline_access patient/*.rs",
    "openid fhirUser launch/patient online_access patient/Goal.rs",
    "openid profile",
    "offline_access",
    "launch/patient",
]


@pytest.mark.requirement("SCOPE-05", "SCOPE-18", "T-15", "T-17")
@pytest.mark.parametrize("asked", UNTOUCHED)
def test_with_nothing_touched_allow_grants_what_was_asked(
    browser: Browser, growth_chart: App, ana: User, asked: str
) -> None:
    launch(browser, growth_chart, ana, scope=asked)
    assert Authorization.objects.get().scope == asked
    assert AuthorizationCode.objects.get().scope == asked
    assert consented().details == {"asked": asked, "granted": asked, "dropped": ""}


def less(permissions: list[str], *removed: str) -> str:
    return " ".join(one for one in permissions if one not in removed)


SUBSETS: list[tuple[str, list[str], str]] = [
    # asked, taken back, granted
    ("patient/*.rs", ["patient/Goal.rs"], less(EVERYTHING, "patient/Goal.rs")),
    ("patient/*.rs", OBSERVATIONS, less(EVERYTHING, *OBSERVATIONS)),
    ("patient/*.rs", EVERYTHING[1:], EVERYTHING[0]),
    ("patient/Observation.rs", OBSERVATIONS[:1], less(OBSERVATIONS, OBSERVATIONS[0])),
    ("patient/Observation.rs", OBSERVATIONS[1:], OBSERVATIONS[0]),
    ("patient/Observation.read", OBSERVATIONS[1:], OBSERVATIONS[0]),
    ("patient/Condition.rs", CONDITIONS[:2], CONDITIONS[2]),
    ("patient/Goal.rs patient/CarePlan.rs", ["patient/Goal.rs"], "patient/CarePlan.rs"),
    ("patient/Goal.read patient/CarePlan.read", ["patient/Goal.read"], "patient/CarePlan.read"),
    ("patient/Goal.rs user/Goal.rs", ["user/Goal.rs"], "patient/Goal.rs"),
    ("patient/Goal.rs user/Goal.rs", ["patient/Goal.rs"], "user/Goal.rs"),
    ("openid patient/Goal.rs", ["patient/Goal.rs"], "openid"),
    ("openid fhirUser user/Goal.rs", ["user/Goal.rs"], "openid fhirUser"),
    ("openid offline_access patient/Goal.rs", ["patient/Goal.rs"], "openid offline_access"),
    ("openid offline_access patient/Goal.rs", ["offline_access"], "openid patient/Goal.rs"),
    (SCOPE, ["offline_access"], "launch/patient openid fhirUser patient/*.rs"),
    (f"patient/Observation.rs patient/Observation.rs?category={LAB}", OBSERVATIONS[:1], " ".join(OBSERVATIONS[1:])),
]


@pytest.mark.requirement("SCOPE-18", "SCOPE-06", "CONSENT-01", "CONSENT-04", "CONSENT-12")
@pytest.mark.parametrize(("asked", "untick", "granted"), SUBSETS, ids=lambda value: str(value)[:60])
def test_what_is_taken_back_is_not_granted(
    browser: Browser, growth_chart: App, ana: User, asked: str, untick: list[str], granted: str
) -> None:
    launch(browser, growth_chart, ana, scope=asked, untick=untick)
    assert Authorization.objects.get().scope == granted
    assert AuthorizationCode.objects.get().scope == granted
    told = {"asked": asked, "granted": granted, "dropped": "", "declined": " ".join(untick)}
    assert consented().details == told


@pytest.mark.requirement("REFRESH-03")
def test_somebody_who_declines_to_stay_connected_may_still_be_online(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    scope = "openid online_access offline_access patient/Goal.rs"
    for untick, granted in (
        ((), "openid offline_access patient/Goal.rs"),
        (("offline_access",), "openid online_access patient/Goal.rs"),
    ):
        launch(browser, growth_chart, ana, scope=scope, untick=untick)
        authorization = Authorization.objects.latest("created_at")
        assert authorization.scope == granted
        assert authorization.session == (digest(browser.session.session_key) if untick else "")


# Values nobody offered


FORGED = [
    *("patient/*.cruds", "patient/*.rs", "user/*.rs", "system/*.rs", "patient/Observation.rs", "patient/Goal.cruds"),
    *("user/Goal.rs", "patient/Goal.rs ", "Patient/Goal.rs", "offline_access", "online_access", "openid", "fhirUser"),
    *("launch", "patient/Goal.rs patient/Condition.rs", OBSERVATIONS[1], "", "\x00", "x" * 10_000),
]


def test_values_that_were_not_offered_grant_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana, scope=f"patient/Goal.rs {OBSERVATIONS[0]}")
    form = {"page": page_number(page), "decision": "allow", "scope": FORGED}
    receipt = told_in(browser.post(path, form), growth_chart.redirect_uri, pending().state, "access_denied")
    assert receipt.rule == "consent.nothing"
    assert_no_grant()


@pytest.mark.requirement("CONSENT-08")
def test_values_that_were_not_offered_add_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana, scope=f"openid patient/Goal.rs {OBSERVATIONS[0]}")
    form = {"page": page_number(page), "decision": "allow", "scope": [*FORGED, "patient/Goal.rs", "patient/Goal.rs"]}
    callback(browser.post(path, form), growth_chart.redirect_uri)
    assert Authorization.objects.get().scope == "openid patient/Goal.rs"
    assert Authorization.objects.get().session == ""


@pytest.mark.requirement("CONSENT-08")
def test_a_form_cannot_change_what_was_asked(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana, scope="patient/Goal.rs")
    before = pending()
    form = answer_form(page) | {
        "patient": "ben",
        "user": "2",
        "client_id": "mallory",
        "redirect_uri": "https://evil.example/",
        "state": "another",
        "code_challenge": "x" * 43,
        "aud": "https://evil.example/r4",
        "nonce": "x",
    }
    told = callback(browser.post(path, form), growth_chart.redirect_uri)
    assert told["state"] == before.state
    authorization, code = Authorization.objects.get(), AuthorizationCode.objects.get()
    assert (authorization.user, authorization.context["patient"]) == (ana, "ana")
    assert (code.redirect_uri, code.code_challenge, code.nonce) == (before.redirect_uri, before.code_challenge, "")


# The answer


@pytest.mark.requirement("AUTHZ-16", "CONSENT-07", "CONSENT-12")
@pytest.mark.parametrize("untick", [(), ("patient/Goal.rs",)])
def test_deny_is_told_to_the_app_and_grants_nothing(
    browser: Browser, growth_chart: App, ana: User, untick: tuple[str, ...]
) -> None:
    path, page = ask(browser, growth_chart, ana)
    answer = decide(browser, path, page, "deny", untick=untick)
    receipt = told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied")
    assert (receipt.rule, receipt.endpoint, receipt.client_id) == ("consent.denied", "consent", "growth-chart")
    assert "error_description=The%20user%20declined" in answer.headers["Location"]
    assert pending().answered_at is not None
    audited = consented()
    assert (audited.rule, audited.authorization, audited.user_id) == ("consent.denied", None, ana.pk)
    assert (audited.client_id, audited.tenant, audited.patient) == ("growth-chart", "sandbox", "ana")
    assert audited.details == {"asked": SCOPE, "granted": "", "dropped": "", "declined": SCOPE}
    assert audited.remote_address == "127.0.0.1"
    assert_no_grant()


@pytest.mark.requirement("AUTHZ-16", "CONSENT-07")
@pytest.mark.parametrize("asked", ["patient/Goal.rs", "patient/*.rs", "user/Goal.rs offline_access", "offline_access"])
def test_allowing_nothing_is_denying(browser: Browser, growth_chart: App, ana: User, asked: str) -> None:
    path, page = ask(browser, growth_chart, ana, scope=asked)
    answer = decide(browser, path, page, untick=ticks(page))
    receipt = told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied")
    assert receipt.rule == "consent.nothing"
    assert consented().rule == "consent.nothing"
    assert pending().answered_at is not None
    assert_no_grant()


@pytest.mark.parametrize("decision", [None, "", "Allow", "yes", "allow ", "deny\x00"])
def test_a_form_without_a_decision_decides_nothing(
    browser: Browser, growth_chart: App, ana: User, decision: str | None
) -> None:
    path, page = ask(browser, growth_chart, ana)
    form = answer_form(page)
    del form["decision"]
    answer = browser.post(path, form if decision is None else form | {"decision": decision})
    assert page_refusal(answer, 400).rule == "consent.decision"
    assert pending().answered_at is None
    assert not AuditRecord.objects.filter(action="consent").exists()
    assert_no_grant()
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]


@pytest.mark.requirement("CONSENT-10")
def test_a_link_decides_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana)
    query = {"page": page_number(page), "decision": "allow", "scope": ticks(page)}
    assert browser.get(path, query).status_code == 200
    assert page_refusal(browser.post(path, query_params=query), 409).rule == "consent.outdated"
    assert pending().answered_at is None
    assert_no_grant()


@pytest.mark.requirement("CONSENT-10")
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_form_of_another_site_decides_nothing(browser: Browser, growth_chart: App, ana: User, decision: str) -> None:
    path, page = ask(browser, growth_chart, ana)
    careful = Browser(enforce_csrf_checks=True)
    careful.cookies = browser.cookies
    form = answer_form(page, decision)
    assert careful.post(path, form).status_code == 403
    assert pending().answered_at is None
    assert_no_grant()
    token = page.content.decode().partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    assert callback(careful.post(path, form | {"csrfmiddlewaretoken": token}), growth_chart.redirect_uri)


@pytest.mark.requirement("CONSENT-10")
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_form_that_is_sent_twice_gets_the_same_answer(
    browser: Browser, growth_chart: App, ana: User, decision: str
) -> None:
    path, page = ask(browser, growth_chart, ana)
    first, second = (decide(browser, path, page, decision) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first["Location"] == second["Location"]
    assert AuthorizationCode.objects.count() == Authorization.objects.count() == (decision == "allow")
    assert AuditRecord.objects.filter(action="consent").count() == 1


@pytest.mark.requirement("CONSENT-10")
def test_a_second_answer_that_differs_changes_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana)
    first = callback(decide(browser, path, page), growth_chart.redirect_uri)
    fewer = answer_form(page, "allow") | {"scope": ticks(page)[:1]}
    for answer in (decide(browser, path, page, "deny"), browser.post(path, fewer), browser.get(path)):
        receipt = page_refusal(answer, 409)
        assert (receipt.rule, receipt.endpoint) == ("pending.answered", "consent")
    assert AuthorizationCode.objects.get().code == digest(first["code"])
    assert Authorization.objects.get().revoked_at is None
    assert AuditRecord.objects.filter(action="consent").count() == 1


@pytest.mark.requirement("CONSENT-10")
def test_an_answer_is_not_given_again_once_its_code_was_used(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana)
    decide(browser, path, page)
    AuthorizationCode.objects.update(spent_at=timezone.now())
    assert page_refusal(decide(browser, path, page), 409).rule == "pending.answered"


@pytest.mark.requirement("CONSENT-10")
def test_an_answer_is_for_the_browser_that_sent_the_form(browser: Browser, growth_chart: App, ana: User) -> None:
    path, page = ask(browser, growth_chart, ana)
    form = answer_form(page, "allow")
    decide(browser, path, page)
    stranger = Browser()
    sign_in(stranger, ana)
    assert page_refusal(stranger.post(path, form), 403).rule == "pending.browser"
    sign_in(browser, ana)  # A new session in the browser that has the request.
    assert page_refusal(browser.post(path, form), 409).rule == "pending.answered"


STATES = ["a+b c%20d&e=f#g", " leading and trailing ", "é 漢字 🙂", 'quote" <b> back\\slash', "x" * 2_048]


@pytest.mark.requirement("AUTHZ-06", "AUTHZ-15", "T-31")
@pytest.mark.parametrize("state", STATES, ids=lambda value: ascii(value)[:30])
def test_state_comes_back_as_it_was(browser: Browser, growth_chart: App, ana: User, state: str) -> None:
    sign_in(browser, ana)
    for decision, told in (("allow", "code"), ("deny", "error")):
        path = begin(browser, growth_chart, state=state)
        answer = decide(browser, path, browser.get(path), decision)
        assert (answer.status_code, answer.content) == (303, b"")
        found = callback(answer, growth_chart.redirect_uri)
        assert found["state"] == state
        assert told in found


@pytest.mark.requirement("AUTHZ-15")
def test_a_query_of_the_redirect_uri_is_kept(browser: Browser, tenant: TenantInfo, ana: User) -> None:
    uri = "https://cardio.example.org/callback?tenant=7&x=%20a+b"
    app = make_app(phone_app(redirect_uris=[uri]), tenant)
    path, page = ask(browser, app, ana)
    assert "form-action 'self' https://cardio.example.org" in page.headers["Content-Security-Policy"].split("; ")
    assert callback(decide(browser, path, page), uri).keys() == {"code", "state"}


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_the_redirect_is_neither_kept_nor_shared(browser: Browser, growth_chart: App, ana: User, decision: str) -> None:
    path, page = ask(browser, growth_chart, ana)
    answer = browser.post(path, answer_form(page, decision), headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 303
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert "iss=" not in answer.headers["Location"]


# What is stored


@pytest.mark.requirement("AUTHZ-19", "SEC-09", "CONSENT-12")
def test_allowing_stores_one_authorization_and_the_digest_of_one_code(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    pkce, before = Pkce(), timezone.now()
    path, page = ask(browser, growth_chart, ana, nonce="n-81f2", code_challenge=pkce.challenge)
    answer = decide(browser, path, page)
    told = callback(answer, growth_chart.redirect_uri)
    after = timezone.now()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43,}", told["code"])
    stored, authorization, code = pending(), Authorization.objects.get(), AuthorizationCode.objects.get()
    assert (authorization.kind, authorization.user) == ("user", ana)
    assert (authorization.client_id, authorization.tenant_id) == (stored.client_id, stored.tenant_id)
    assert (authorization.scope, authorization.session) == (SCOPE, "")
    assert (authorization.revoked_at, authorization.revoked_by) == (None, "")
    assert before <= authorization.auth_time <= after
    assert (code.code, code.authorization, code.spent_at) == (digest(told["code"]), authorization, None)
    assert (code.user, code.application_id, code.scope) == (ana, stored.client_id, SCOPE)
    assert (code.redirect_uri, code.nonce) == (growth_chart.redirect_uri, "n-81f2")
    assert (code.code_challenge, code.code_challenge_method) == (pkce.challenge, "S256")
    assert config().code_lifetime == timedelta(seconds=60)
    for expires in (code.expires, authorization.expires_at):
        assert before <= expires - timedelta(seconds=60) <= after
    assert stored.answered_at is not None
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.exists()
    assert not Receipt.objects.exists()
    audited = consented()
    assert str(audited.trace_id) == answer.headers["X-Trace-Id"]
    assert (audited.rule, audited.authorization, audited.user_id) == ("consent.allowed", authorization.pk, ana.pk)
    assert (audited.client_id, audited.tenant, audited.patient) == ("growth-chart", "sandbox", "ana")
    assert audited.remote_address == "127.0.0.1"
    tables = (PendingAuthorization.objects, Authorization.objects, AuthorizationCode.objects, AuditRecord.objects)
    for table in tables:
        assert told["code"] not in str(list(table.values()))


@pytest.mark.requirement("AUTHZ-19", "SEC-03")
def test_codes_do_not_repeat(browser: Browser, growth_chart: App, ana: User) -> None:
    codes = {launch(browser, growth_chart, ana, state="the-same").code for _ in range(3)}
    assert len(codes) == AuthorizationCode.objects.count() == 3


def test_apps_of_every_kind_get_a_code(
    browser: Browser, growth_chart: App, cardio: App, pocket: App, ana: User
) -> None:
    for app in (growth_chart, cardio, pocket):
        launch(browser, app, ana)
        code = AuthorizationCode.objects.latest("created")
        assert (code.application.client_id, code.redirect_uri) == (app.client_id, app.redirect_uri)


def test_the_session_is_noted_only_for_an_app_that_ends_with_it(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana, scope="openid online_access")
    key = browser.session.session_key
    assert key
    assert Authorization.objects.get().session == digest(key)
    launch(browser, growth_chart, ana, scope="openid")
    assert Authorization.objects.latest("created_at").session == ""


def test_what_was_dropped_is_in_the_audit_trail(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana, scope="launch patient/Goal.rs nonsense patient/Goal.x")
    details = consented().details
    assert (details["asked"], details["granted"]) == ("patient/Goal.rs", "patient/Goal.rs")
    assert details["dropped"] == ("launch (scope.no_use_here) nonsense (scope.grammar) patient/Goal.x (scope.grammar)")


# Launch context


@pytest.mark.requirement("CTX-08", "CTX-09")
def test_the_patient_and_how_to_look_are_the_launch_context(browser: Browser, growth_chart: App, parent: User) -> None:
    launch(browser, growth_chart, parent, patient="ben")
    context = Authorization.objects.get().context
    assert context.keys() == {"patient", "need_patient_banner", "smart_style_url"}
    assert context["patient"] == "ben"
    assert context["need_patient_banner"] is True
    style = Browser().get(urlsplit(context["smart_style_url"]).path)
    assert (style.status_code, style.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "color_background" in style.json()


@pytest.mark.requirement("CTX-02", "CTX-03", "CTX-06", "T-18", "T-19")
@pytest.mark.parametrize("scope", ["patient/Goal.rs", "launch/patient", "openid launch/patient user/Goal.rs"])
def test_a_patient_in_question_is_in_the_context(browser: Browser, growth_chart: App, ana: User, scope: str) -> None:
    launch(browser, growth_chart, ana, scope=scope)
    authorization = Authorization.objects.get()
    assert (authorization.context["patient"], authorization.scope) == ("ana", scope)


@pytest.mark.requirement("CTX-20")
@pytest.mark.parametrize("scope", ["openid", "openid fhirUser user/*.rs", "user/Patient.rs", "offline_access"])
def test_without_a_patient_in_question_there_is_no_context(
    browser: Browser, growth_chart: App, ana: User, scope: str
) -> None:
    launch(browser, growth_chart, ana, scope=scope)
    authorization = Authorization.objects.get()
    assert (authorization.context, authorization.scope) == ({}, scope)
    assert consented().patient == ""


def test_who_takes_back_the_patient_gives_no_context(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana, scope="openid patient/Goal.rs", untick=["patient/Goal.rs"])
    authorization = Authorization.objects.get()
    assert (authorization.context, authorization.scope) == ({}, "openid")


# Somebody without a record


@pytest.mark.parametrize("scope", ["patient/Goal.rs", SCOPE, "openid user/Goal.rs"])
def test_without_a_record_there_is_nothing_to_allow(
    browser: Browser, growth_chart: App, mallory: User, scope: str
) -> None:
    path, page = ask(browser, growth_chart, mallory, scope=scope)
    text = text_of(page)
    assert "There is no record you could share" in text
    assert "signed in as mallory" in text
    assert 'value="allow"' not in page.content.decode()
    assert "form-action 'self' https://cardio.example.org" in page.headers["Content-Security-Policy"].split("; ")
    assert pending().patient == ""
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    receipt = told_in(answer, growth_chart.redirect_uri, pending().state, "access_denied")
    assert receipt.rule == "consent.denied"
    assert (consented().user_id, consented().patient) == (mallory.pk, "")
    assert_no_grant()


def test_somebody_else_can_sign_in_instead(browser: Browser, growth_chart: App, mallory: User, ana: User) -> None:
    path, page = ask(browser, growth_chart, mallory)
    assert f'action="/account/logout/?next={path}"' in page.content.decode()
    answer = browser.post(f"/account/logout/?next={path}")
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    page = open_consent(browser, path, ana)
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    assert Authorization.objects.get().user == ana


@pytest.mark.parametrize("scope", ["patient/Goal.rs", "user/Goal.rs", "launch/patient patient/*.rs user/*.rs"])
def test_a_forged_form_without_a_record_grants_nothing(
    browser: Browser, growth_chart: App, mallory: User, scope: str
) -> None:
    path, page = ask(browser, growth_chart, mallory, scope=scope)
    form = {"page": page_number(page), "decision": "allow", "scope": [*scope.split(), *EVERYTHING], "patient": "ana"}
    told_in(browser.post(path, form), growth_chart.redirect_uri, pending().state, "access_denied")
    assert_no_grant()


@pytest.mark.requirement("OIDC-10", "CONSENT-07")
def test_without_a_record_an_app_may_still_learn_who_it_is(browser: Browser, growth_chart: App, mallory: User) -> None:
    path, page = ask(browser, growth_chart, mallory, scope="openid fhirUser")
    text = text_of(page)
    assert "Allow Growth Chart to connect?" in text
    assert "Signed in mallory" in text
    assert "learns which entry" not in text
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    authorization = Authorization.objects.get()
    assert (authorization.scope, authorization.context, authorization.user) == ("openid", {}, mallory)


@pytest.mark.requirement("CTX-03", "CTX-22")
@pytest.mark.parametrize("scope", ["patient/Goal.rs", "launch/patient", "launch/patient patient/*.rs"])
def test_a_form_that_skips_the_picker_grants_nothing(
    browser: Browser, growth_chart: App, dr_grey: User, scope: str
) -> None:
    path = begin(browser, growth_chart, scope=scope)
    browser.get(path)
    sign_in(browser, dr_grey, then=path)
    page = browser.get(f"{path}/patient")
    form = {"page": page_number(page), "decision": "allow", "scope": [*scope.split(), *EVERYTHING], "patient": "ben"}
    told_in(browser.post(path, form), growth_chart.redirect_uri, pending().state, "access_denied")
    assert_no_grant()


# A FHIR server that does not answer


def test_without_the_records_nothing_is_shown_or_granted_and_denying_works(
    browser: Browser, growth_chart: App, parent: User
) -> None:
    path, page = ask(browser, growth_chart, parent, patient="ben")
    good = Upstream.objects.get().base_url
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
    for answer in (browser.get(path), decide(browser, path, page)):
        receipt = records_away(answer)
        assert (receipt.rule, receipt.endpoint) == ("records.unavailable", "consent")
        assert receipt.officer
        assert "Okafor" not in answer.content.decode()
    assert (pending().answered_at, pending().patient) == (None, "ben")
    assert_no_grant()
    Upstream.objects.update(base_url=good)
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]
    path, page = ask(browser, growth_chart, parent, patient="ben", state="second")
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
    told_in(decide(browser, path, page, "deny"), growth_chart.redirect_uri, "second", "access_denied")
