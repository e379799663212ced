"""What changes in the middle of a launch counts from then on, on whichever page the user is.

RFC 6749 §4.1.2.1; RFC 9700 §4.11.2 and §4.14; SMART 2.2 best-practices.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Activation, Client, Tenant
from fhirproxy.models import Upstream
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization, AuthorizationCode, PendingAuthorization, SigningKey
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, answer_form, assert_no_grant, begin, decide, launch, sign_in, told_in
from tests.endpoints.ehr import Begin, begin_answer, begin_launch, chart, ehr, visits
from tests.endpoints.token_requests import Ask, body_of, redemption, verified
from tests.proxy.conftest import Caller, call

__all__ = [
    "begin_answer",
    "begin_launch",
    "call",
    "chart",
    "ehr",
    "visits",
]

pytestmark = pytest.mark.usefixtures("signing_key", "small", "visits")

ASKED = "launch/patient launch/encounter openid fhirUser offline_access patient/*.rs"
STATE = "state-1"
CALLBACK = "https://cardio.example.org/callback"
MOMENTS = ("nobody signed in", "patient picker", "visit picker", "consent page")


def suspend() -> None:
    Client.objects.update(status=Client.Status.SUSPENDED)


def decline() -> None:
    Client.objects.update(status=Client.Status.DECLINED)


def delete_client() -> None:
    Client.objects.all().delete()


def remove_redirect_uri() -> None:
    Client.objects.update(redirect_uris="https://cardio.example.org/another")


def switch_off() -> None:
    Activation.objects.update(is_active=False)


def close_tenant() -> None:
    Tenant.objects.update(is_active=False)


def take_the_grant_type() -> None:
    Client.objects.update(grant_types=["refresh_token"])


def take_every_scope() -> None:
    Client.objects.update(scope="user/Immunization.r")


def narrow_scopes() -> None:
    Activation.objects.update(allowed_scope="launch/patient launch/encounter openid patient/Observation.rs")


def lock_user() -> None:
    User.objects.update(is_active=False)


def change_password() -> None:
    user = User.objects.get()
    user.set_password("another horse battery staple")
    user.save()


def sign_out_elsewhere() -> None:
    Session.objects.all().delete()


def become_nobody() -> None:
    FhirUser.objects.all().delete()
    ProxyRelation.objects.all().delete()


def come_of_age() -> None:
    ProxyRelation.objects.update(patient_born=timezone.now().date() - timedelta(days=20 * 365))


def delete_relation() -> None:
    ProxyRelation.objects.all().delete()


def remove_upstream() -> None:
    Upstream.objects.all().delete()


def mark_sensitive() -> None:
    Tenant.objects.update(policy={"sensitive_categories": ["Observation.social-history"]})


def rotate_keys() -> None:
    SigningKey.objects.update(state=SigningKey.State.RETIRED, retired_at=timezone.now())


# How it goes on: as if nothing had been; at the sign-in page; back at the page of the request, which is another by now;
# on a page with a status and a rule; at the app, which is told an error, with a rule.
GONE = "404 pending.unknown"
STOPPED = "403 client.suspended"
UNAPPROVED = "403 client.not_approved"
MOVED = "403 redirect_uri.not_registered"
OFF = "app: invalid_request client.not_activated"
CLOSED = "app: invalid_request tenant.inactive"
UNFIT = "app: unauthorized_client client.grant_type"
NOTHING = "app: invalid_scope scope.nothing_left"
AWAY = "503 records.unavailable"
NOT_YOURS, OLD, OFFER = "403 picker.not_yours", "409 consent.outdated", "409 consent.offer_changed"
TABLE = [
    # change               nobody signed in   patient picker  visit picker  consent page
    (suspend,              STOPPED,           STOPPED,        STOPPED,      STOPPED),
    (decline,              UNAPPROVED,        UNAPPROVED,     UNAPPROVED,   UNAPPROVED),
    (delete_client,        GONE,              GONE,           GONE,         GONE),
    (remove_redirect_uri,  MOVED,             MOVED,          MOVED,        MOVED),
    (switch_off,           OFF,               OFF,            OFF,          OFF),
    (close_tenant,         CLOSED,            CLOSED,         CLOSED,       CLOSED),
    (take_the_grant_type,  UNFIT,             UNFIT,          UNFIT,        UNFIT),
    (take_every_scope,     NOTHING,           NOTHING,        NOTHING,      NOTHING),
    (narrow_scopes,        "sign in",         "on",           "on",         OFFER),
    (lock_user,            "sign in",         "sign in",      "sign in",    "sign in"),
    (change_password,      "sign in",         "sign in",      "sign in",    "sign in"),
    (sign_out_elsewhere,   "sign in",         "sign in",      "sign in",    "sign in"),
    (become_nobody,        "sign in",         NOT_YOURS,      "on",         OLD),
    (come_of_age,          "sign in",         NOT_YOURS,      "on",         OLD),
    (delete_relation,      "sign in",         NOT_YOURS,      "on",         OLD),
    (remove_upstream,      "sign in",         AWAY,           AWAY,         AWAY),
    (mark_sensitive,       "sign in",         "on",           "on",         OFFER),
    (rotate_keys,          "sign in",         "on",           "on",         "a code"),
]  # fmt: skip


def arrive(browser: Browser, app: App, user: User, moment: str) -> Callable[[], HttpResponse]:
    """Go so far in a launch of a parent about ben, and return what the browser does next."""
    path = begin(browser, app, scope=ASKED, state=STATE)
    if moment == "nobody signed in":
        return partial(browser.get, path)
    sign_in(browser, user, then=path)
    assert browser.get(path).headers["Location"] == f"{path}/patient"
    steps = [
        ("patient picker", f"{path}/patient", {"patient": "ben"}),
        ("visit picker", f"{path}/visit", {"visit": "visit-of-ben"}),
    ]
    for name, target, form in steps:
        if name == moment:
            return partial(browser.post, target, form)
        assert browser.post(target, form).headers["Location"] == path
    return partial(browser.post, path, answer_form(browser.get(path)))


def outcome(answer: HttpResponse) -> str:
    """Say how it went on, as the table does."""
    target = urlsplit(answer.headers.get("Location", ""))
    told = dict(parse_qsl(target.query))
    receipt = Receipt.objects.filter(trace_id=answer.headers["X-Trace-Id"]).first()
    rule = receipt.rule if receipt else ""
    if "code" in told:
        return "a code"
    assert_no_grant()
    if "error" in told:
        assert answer.headers["Location"].startswith(f"{CALLBACK}?")
        assert told["state"] == STATE
        # It has had its answer: what is put right again brings nothing back.
        assert PendingAuthorization.objects.get().answered_at is not None
        return f"app: {told['error']} {rule}"
    if target.path == "/account/login/":
        return "sign in"
    if answer.status_code == 302:
        assert target.path == f"/auth/consent/{PendingAuthorization.objects.get().pk}"
        return "on"
    assert "Location" not in answer.headers
    assert "Okafor" not in answer.content.decode() or rule == "consent.offer_changed"
    return f"{answer.status_code} {rule}"


@pytest.mark.requirement("AUTHZ-03", "AUTHZ-29", "CONSENT-08", "CTX-22", "T-24")
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_changed_counts_at_the_next_step(browser: Browser, growth_chart: App, parent: User, moment: str) -> None:
    ProxyRelation.objects.update(kind="parent", patient_born=timezone.now().date() - timedelta(days=365))
    go_on = arrive(browser, growth_chart, parent, moment)
    expected = {change.__name__: row[MOMENTS.index(moment)] for change, *row in TABLE}
    seen, kept = {}, {name: one.value for name, one in browser.cookies.items()}
    for change, *_ in TABLE:
        with transaction.atomic():
            change()
            seen[change.__name__] = outcome(go_on())
            transaction.set_rollback(True)
        browser.cookies = SimpleCookie(kept)
    assert seen == expected


def test_a_visit_that_was_chosen_is_not_told_to_an_app_that_lost_the_scope_for_it(
    browser: Browser, growth_chart: App, parent: User
) -> None:
    press = arrive(browser, growth_chart, parent, "consent page")
    Activation.objects.update(allowed_scope="launch/patient openid patient/Observation.rs")
    assert status_and_rule(press()) == "409 consent.offer_changed"
    path = f"/auth/consent/{PendingAuthorization.objects.get().pk}"
    page = browser.get(path)
    assert "Choose another visit" not in page.content.decode()
    assert outcome(decide(browser, path, page)) == "a code"
    granted = Authorization.objects.get()
    assert (granted.scope, granted.context["patient"]) == ("launch/patient openid patient/Observation.rs", "ben")
    assert "encounter" not in granted.context
    lost = "launch/encounter fhirUser offline_access"
    assert AuditRecord.objects.get(action="consent").details["no_longer_allowed"].startswith(lost)


def stop() -> None:
    Authorization.objects.update(revoked_at=timezone.now(), revoked_by="user")


TWICE = [
    # change               the form that was sent is sent again
    (suspend,              STOPPED),
    (delete_client,        GONE),
    (remove_redirect_uri,  MOVED),
    (stop,                 "409 pending.answered"),
    (change_password,      "409 pending.answered"),
    (rotate_keys,          "303"),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-10")
def test_an_answer_is_given_again_only_while_it_may_be(browser: Browser, growth_chart: App, parent: User) -> None:
    press = arrive(browser, growth_chart, parent, "consent page")
    assert outcome(press()) == "a code"
    seen, kept = [], {name: one.value for name, one in browser.cookies.items()}
    for change, _ in TWICE:
        with transaction.atomic():
            change()
            seen.append((change, status_and_rule(press())))
            transaction.set_rollback(True)
        browser.cookies = SimpleCookie(kept)
    assert seen == TWICE


def test_a_launch_of_an_ehr_needs_its_scope_until_it_is_answered(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope="launch user/Patient.rs", launch=begin_launch(), state=STATE)
    sign_in(browser, dr_grey, then=path)
    form = answer_form(browser.get(path))
    Activation.objects.filter(client__client_id="chart").update(allowed_scope="user/*.rs")
    answer = browser.post(path, form)
    assert told_in(answer, chart.redirect_uri, STATE, "invalid_request").rule == "launch.scope_missing"
    assert not AuthorizationCode.objects.exists()


# After the code: what older tests do not ask. Of an app that was stopped, see tests/tokens/test_ending_at_once.py.
REVOKED, UNRELATED, UNKNOWN = "400 grant.revoked", "400 grant.relation_ended", "401 client.unknown"
NOT_CONNECTED = "400 grant.stays_no_more"
AFTERWARDS = [
    # change                token request                    at the proxy                       refresh
    (delete_client,         UNKNOWN,                         "401 token.unknown",               UNKNOWN),
    (remove_redirect_uri,   "400 code.redirect_uri_removed", "200",                             "200"),
    (narrow_scopes,         "200",                           "403 scope",                       NOT_CONNECTED),
    (change_password,       REVOKED,                         "401 token.authorization_revoked", REVOKED),
    (sign_out_elsewhere,    "200",                           "200",                             "200"),
    (become_nobody,         UNRELATED,                       "401 token.relation_ended",        UNRELATED),
    (come_of_age,           UNRELATED,                       "401 token.relation_ended",        UNRELATED),
    (remove_upstream,       "200",                           "502 upstream.failed",             "200"),
    (mark_sensitive,        "200",                           "200",                             "200"),
    (rotate_keys,           "200",                           "200",                             "200"),
]  # fmt: skip


@pytest.mark.requirement("TOK-24", "REFRESH-17", "REVOKE-11")
def test_what_changed_counts_for_the_code_and_for_what_it_gave(
    browser: Browser, ask: Ask, call: Caller, growth_chart: App, parent: User
) -> None:
    ProxyRelation.objects.update(kind="parent", patient_born=timezone.now().date() - timedelta(days=365))
    given, spent = (launch(browser, growth_chart, parent, scope=ASKED, patient="ben", visit="") for _ in range(2))
    tokens = body_of(ask(growth_chart, redemption(spent)))
    requests = (
        lambda: ask(growth_chart, redemption(given), path="/auth/token"),
        lambda: call("/Patient/ben", tokens["access_token"]),
        lambda: ask(growth_chart, {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}),
    )
    seen = []
    for change, *_ in AFTERWARDS:
        with transaction.atomic():
            change()
            seen.append((change, *map(status_and_rule, (request() for request in requests))))
            transaction.set_rollback(True)
    assert seen == AFTERWARDS


def status_and_rule(answer: HttpResponse) -> str:
    receipt = Receipt.objects.filter(trace_id=answer.headers["X-Trace-Id"]).first()
    return f"{answer.status_code} {receipt.rule if receipt else ''}".rstrip()


def test_who_has_no_entry_in_the_records_any_more_is_not_said_to_be_one(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    scope = "openid fhirUser offline_access user/Goal.rs"
    given = launch(browser, growth_chart, ana, scope=scope)
    FhirUser.objects.all().delete()
    body = body_of(ask(growth_chart, redemption(given)))
    assert body["scope"] == "openid offline_access user/Goal.rs"
    assert "fhirUser" not in verified(body["id_token"], "RS256").claims
