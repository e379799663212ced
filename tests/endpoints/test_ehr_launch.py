"""Apps that an EHR launches: from the handle to the context in the token response, and every way that ends before.

SMART 2.2 app-launch, "Launch App: EHR Launch", and scopes-and-launch-context; RFC 9126 §2.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization, AuthorizationCode, Launch, PendingAuthorization
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.retention import purge
from smartauth.styling import smart_style_url
from tests.endpoints.app_launch import (
    AUTHORIZE,
    App,
    answer_form,
    authorize_params,
    begin,
    callback,
    decide,
    launch,
    open_consent,
    page_number,
    sign_in,
    told_in,
)
from tests.endpoints.conftest import Post, Service
from tests.endpoints.ehr import Begin, begin_answer, begin_launch, chart, clinic, ehr, visits
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.token_requests import TOKEN, Ask, basic, body_of, redemption, verified
from tests.factories import make_tenant
from tests.proofs import Holder
from tests.proxy.conftest import Behind, Caller

__all__ = [
    "auditor",
    "begin_answer",
    "begin_launch",
    "chart",
    "clinic",
    "ehr",
    "visits",
]

pytestmark = pytest.mark.usefixtures("signing_key", "small", "dr_grey")

ASKED = "launch openid fhirUser offline_access user/Patient.rs user/Encounter.rs"
CONTEXT = {
    "patient": "ana",
    "encounter": "visit-of-ana",
    "fhirContext": [
        {"reference": "ImagingStudy/img-88"},
        {"canonical": "https://forms.example/Questionnaire/intake|2.1", "type": "Questionnaire"},
    ],
    "intent": "reconcile-medications",
    "need_patient_banner": False,
    "smart_style_url": "https://ehr.example.org/style.json",
    "tenant": "lakeside-main",
}


def tokens_for(browser: Browser, ask: Ask, app: App, user: User, handle: str, **options: Any) -> dict[str, Any]:
    """Launch an app with a handle and return the token response."""
    options = {"scope": ASKED} | options
    found: dict[str, Any] = body_of(ask(app, redemption(launch(browser, app, user, launch=handle, **options))))
    return found


def assert_no_code() -> None:
    """Fail when a user's code or what it stands for was stored."""
    assert not Authorization.objects.filter(kind="user").exists()
    assert not AuthorizationCode.objects.exists()


def context_in(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in CONTEXT if name in body}


@pytest.mark.requirement("CTX-01", "CTX-02", "CTX-05", "CTX-07", "CTX-08", "CTX-09", "CTX-11", "CTX-12", "CTX-20")
@pytest.mark.requirement("LAUNCH-01", "T-16", "T-17", "T-18", "T-19", "T-20", "T-23")
@pytest.mark.usefixtures("visits")
def test_what_the_ehr_said_is_told_to_the_app_and_nothing_is_asked(
    browser: Browser, ask: Ask, call: Caller, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(**CONTEXT))
    assert context_in(body) == CONTEXT
    assert body["scope"] == ASKED
    for path in ("/Patient/ana", "/Encounter/visit-of-ana"):
        assert call(path, body["access_token"]).status_code == 200
    told = AuditRecord.objects.get(action="consent")
    assert (told.rule, told.patient) == ("consent.allowed", "ana")
    assert told.details["launch"] == str(Launch.objects.get().pk)


@pytest.mark.requirement("CTX-21", "INTRO-03", "REFRESH-13")
@pytest.mark.usefixtures("visits")
def test_it_stays_the_same_in_refreshed_tokens_at_introspection_and_inside_tokens(
    browser: Browser,
    ask: Ask,
    post: Post,
    clinic: App,
    dr_grey: User,
    auditor: Service,
    begin_launch: Begin,
) -> None:
    first = tokens_for(browser, ask, clinic, dr_grey, begin_launch(client_id="clinic", **CONTEXT))
    Launch.objects.update(context={"patient": "ben"})  # Whatever the EHR does afterwards.
    again = body_of(ask(clinic, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    answers = [first, again]
    for tokens in (first, again):
        answers.append(body_of(post(INTROSPECT, {"token": tokens["access_token"], **auditor.credentials()})))
        answers.append(verified(tokens["access_token"], "ES256").claims)
    assert [context_in(one) for one in answers] == [CONTEXT] * 6


@pytest.mark.requirement("CONSENT-06")
@pytest.mark.usefixtures("visits")
def test_the_page_says_all_of_what_goes_along(browser: Browser, chart: App, dr_grey: User, begin_launch: Begin) -> None:
    pages = [
        open_consent(browser, begin(browser, chart, scope=ASKED, launch=begin_launch(**said)), dr_grey).content.decode()
        for said in (CONTEXT, {}, {"patient": ..., "intent": "x"})
    ]
    for text in ("Whose record it is, and which visit", "<dt>Visit</dt>", "What it was opened for"):
        assert [text in page for page in pages] == [True, False, text.startswith("What")]
    assert ["Whose record it is" in page for page in pages] == [True, True, False]
    assert "Choose another visit" not in pages[0]


@pytest.mark.requirement("CTX-21", "INTRO-03")
@pytest.mark.usefixtures("visits")
def test_a_token_that_is_bound_or_has_fewer_scopes_tells_all_of_it(
    browser: Browser, post: Post, clinic: App, dr_grey: User, auditor: Service, begin_launch: Begin
) -> None:
    Client.objects.filter(client_id="clinic").update(dpop_bound_access_tokens=True)
    holder = Holder()

    def tokens(params: dict[str, str]) -> dict[str, Any]:
        credentials = basic(clinic.client_id, clinic.secret or "")
        found: dict[str, Any] = body_of(post(TOKEN, params, Authorization=credentials, DPoP=holder.proof()))
        return found

    launched = launch(browser, clinic, dr_grey, scope=ASKED, launch=begin_launch(client_id="clinic", **CONTEXT))
    first = tokens(redemption(launched))
    narrow = "openid user/Patient.rs"
    again = tokens({"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "scope": narrow})
    assert [one["scope"] for one in (first, again)] == [ASKED, narrow]
    for one in (first, again):
        told = body_of(post(INTROSPECT, {"token": one["access_token"], **auditor.credentials()}))
        assert (one["token_type"], told["cnf"]) == ("DPoP", {"jkt": holder.jkt})
        assert context_in(one) == context_in(told) == CONTEXT


@pytest.mark.requirement("AT-07", "CTX-02", "CTX-12")
def test_a_launch_that_says_more_than_a_header_holds_opens_the_record_and_is_told_beside_the_token(
    browser: Browser,
    ask: Ask,
    post: Post,
    call: Caller,
    clinic: App,
    dr_grey: User,
    auditor: Service,
    begin_launch: Begin,
) -> None:
    said = [{"reference": f"ImagingStudy/{one}", "role": f"https://x.example/{'r' * 200}"} for one in range(50)]
    handle = begin_launch(client_id="clinic", fhirContext=said)
    first = tokens_for(browser, ask, clinic, dr_grey, handle)
    again = body_of(ask(clinic, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    for tokens in (first, again):
        token = tokens["access_token"]
        assert call("/Patient/ana", token).status_code == 200
        told = body_of(post(INTROSPECT, {"token": token, **auditor.credentials()}))
        assert (tokens["fhirContext"], told["fhirContext"], told["scope"]) == (said, said, ASKED)
        inside = verified(token, "ES256").claims
        assert {"scope", "patient", "fhirContext"}.isdisjoint(inside)
        assert inside["fhirUser"] == told["fhirUser"]


@pytest.mark.requirement("CTX-18")
@pytest.mark.parametrize(("version", "told"), [("2.0", ["ImagingStudy/img-88"]), ("1.0", None)])
def test_an_older_app_hears_it_in_its_dialect(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin, version: str, told: Any
) -> None:
    Client.objects.filter(client_id="chart").update(smart_version=version)
    context = {name: value for name, value in CONTEXT.items() if name != "encounter"}
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(**context))
    assert body.get("fhirContext") == told
    assert body["patient"] == "ana"


@pytest.mark.requirement("CTX-08", "CTX-09", "T-20")
@pytest.mark.parametrize("patient", ["ana", ...])
def test_how_to_look_is_always_told(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin, patient: Any
) -> None:
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(patient=patient))
    expected = {"need_patient_banner": True, "smart_style_url": smart_style_url()}
    assert context_in(body) == expected | ({} if patient is ... else {"patient": "ana"})


@pytest.mark.requirement("CTX-05", "CTX-16", "CTX-17", "T-17")
@pytest.mark.parametrize(
    "asked",
    [
        "launch launch/patient launch/encounter openid",
        "launch launch/imagingstudy openid",
        # What there is of the type is told, in whatever role.
        "launch launch/imagingstudy?role=https://x.example/prior openid",
    ],
)
@pytest.mark.usefixtures("visits")
def test_context_scopes_are_granted_for_what_is_there(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin, asked: str
) -> None:
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(**CONTEXT), scope=asked)
    assert body["scope"] == asked
    assert context_in(body) == CONTEXT


@pytest.mark.requirement("CTX-16", "CTX-17", "T-17")
def test_context_scopes_without_context_are_left_out(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    asked = "launch launch/encounter launch/imagingstudy openid user/Patient.rs"
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(), scope=asked)
    assert body["scope"] == "launch openid user/Patient.rs"


@pytest.mark.usefixtures("visits")
@pytest.mark.requirement("CTX-04", "AUTHZ-12", "T-17")
def test_without_an_ehr_the_encounter_is_the_one_that_was_picked(
    browser: Browser, ask: Ask, chart: App, ana: User
) -> None:
    asked = "launch launch/encounter launch/patient openid patient/Goal.rs"
    alone = {"patient", "need_patient_banner", "smart_style_url"}
    body = body_of(ask(chart, redemption(launch(browser, chart, ana, scope=asked, visit="visit-of-ana"))))
    assert body["scope"] == "launch/encounter launch/patient openid patient/Goal.rs"
    assert context_in(body).keys() == {*alone, "encounter"}
    assert body["encounter"] == "visit-of-ana"
    body = body_of(ask(chart, redemption(launch(browser, chart, ana, scope=asked, visit=""))))
    assert body["scope"] == "launch/patient openid patient/Goal.rs"
    assert context_in(body).keys() == alone


@pytest.mark.requirement("CTX-03", "CTX-04", "CTX-08")
def test_a_patient_whom_the_ehr_did_not_name_is_chosen_and_the_app_shows_them(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    handle = begin_launch(patient=..., need_patient_banner=False, intent="x")
    body = tokens_for(browser, ask, chart, dr_grey, handle, scope="launch patient/*.rs", patient="ben")
    assert (body["patient"], body["need_patient_banner"], body["intent"]) == ("ben", True, "x")


@pytest.mark.requirement("CTX-20")
def test_an_app_that_may_be_launched_no_more_is_told_of_no_context_when_it_refreshes(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    first = tokens_for(browser, ask, chart, dr_grey, begin_launch(intent="x"))
    assert first["patient"] == "ana"
    Client.objects.filter(client_id="chart").update(scope="openid fhirUser offline_access user/Patient.rs")
    again = body_of(ask(chart, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    assert (again["scope"], context_in(again)) == ("openid fhirUser offline_access user/Patient.rs", {})


def test_whoever_declines_all_data_does_not_tell_whose_they_were(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    options = {"scope": "launch openid patient/Goal.rs", "untick": ["patient/Goal.rs"]}
    body = tokens_for(browser, ask, chart, dr_grey, begin_launch(), **options)
    assert (body["scope"], context_in(body)) == ("openid", {})


# ---- signing in


@pytest.mark.requirement("LAUNCH-07")
def test_a_session_of_ours_is_enough_and_a_handle_is_none(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope=ASKED, launch=begin_launch())
    asked = browser.get(path)
    assert asked.headers["Location"].startswith("/account/login/")
    assert "_auth_user_id" not in browser.session
    sign_in(browser, dr_grey, then=path)
    assert browser.get(path).status_code == 200
    again = browser.get(begin(browser, chart, scope=ASKED, launch=begin_launch()))
    assert (again.status_code, "Ana Lindqvist" in again.content.decode()) == (200, True)


@pytest.mark.requirement("LAUNCH-05", "LAUNCH-07", "T-67")
def test_somebody_else_can_change_places_or_go_back_and_sees_nobody(
    browser: Browser, chart: App, dr_grey: User, ana: User, begin_launch: Begin
) -> None:
    state = "state-1"
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(patient="ben"), state=state)
    sign_in(browser, ana, then=path)
    page = browser.get(path)
    text = page.content.decode()
    assert (page.status_code, "Okafor" in text, "dr-grey" in text) == (403, False, False)
    receipt = Receipt.objects.get(trace_id=page.headers["X-Trace-Id"])
    assert (receipt.rule, receipt.client_id) == ("launch.other_user", "chart")
    form = {"page": page_number(page), "decision": "allow", "scope": ["user/Patient.rs"]}
    assert browser.post(path, form).status_code == 403
    assert browser.get(f"{path}/patient").headers["Location"] == path
    assert browser.post(f"{path}/patient", {"patient": "ana"}).headers["Location"] == path
    assert_no_code()
    # Changing places leads on, with the launch still good.
    assert browser.post(f"/account/logout/?next={path}").headers["Location"] == path
    sign_in(browser, dr_grey, then=path)
    answer = decide(browser, path, browser.get(path))
    assert "code" in callback(answer, chart.redirect_uri)


@pytest.mark.requirement("LAUNCH-07")
def test_somebody_else_who_goes_back_is_denied(browser: Browser, chart: App, ana: User, begin_launch: Begin) -> None:
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(), state="state-1")
    sign_in(browser, ana, then=path)
    page = browser.get(path)
    answer = browser.post(path, {"page": page_number(page), "decision": "deny"})
    assert told_in(answer, chart.redirect_uri, "state-1", "access_denied").rule == "launch.other_user"
    assert Launch.objects.get().used_at is None
    assert_no_code()


# ---- handles that are not good


def _unknown(handle: str) -> str:
    return handle[:-1] + ("A" if handle[-1] != "A" else "B")


def _long(handle: str) -> str:
    return handle * 100


def _expired(handle: str) -> str:
    then = timezone.now() - timedelta(seconds=301)
    Launch.objects.update(created_at=then, expires_at=then + timedelta(seconds=300))
    return handle


def _used(handle: str) -> str:
    Launch.objects.update(used_at=timezone.now())
    return handle


def _of_another_client(handle: str) -> str:
    Launch.objects.update(client=Client.objects.get(client_id="clinic"))
    return handle


def _of_another_tenant(handle: str) -> str:
    Launch.objects.update(tenant_id=make_tenant("north").pk)
    return handle


def _of_another_client_and_used(handle: str) -> str:
    return _of_another_client(_used(handle))


NOT_GOOD = [
    (_unknown, "launch.unknown"),
    (_long, "launch.unknown"),
    (_expired, "launch.expired"),
    (_used, "launch.used"),
    (_of_another_client, "launch.not_yours"),
    (_of_another_client_and_used, "launch.not_yours"),
    (_of_another_tenant, "launch.other_tenant"),
]


@pytest.mark.requirement("AUTHZ-11", "LAUNCH-05", "LAUNCH-06", "T-67")
@pytest.mark.parametrize(("spoil", "rule"), NOT_GOOD)
@pytest.mark.parametrize("scope", [ASKED, "launch launch/patient patient/*.rs openid"])
def test_a_handle_that_is_not_good_begins_no_launch_of_another_kind(
    browser: Browser,
    chart: App,
    clinic: App,
    begin_launch: Begin,
    spoil: Callable[[str], str],
    rule: str,
    scope: str,
) -> None:
    handle = spoil(begin_launch())
    answer = browser.get(AUTHORIZE, authorize_params(chart, scope=scope, launch=handle, state="state-1"))
    receipt = told_in(answer, chart.redirect_uri, "state-1", "invalid_request")
    assert (receipt.rule, receipt.client_id) == (rule, "chart")
    assert "clinic" not in f"{receipt.reason}{receipt.expected}{receipt.seen}{receipt.fix}"
    assert not PendingAuthorization.objects.exists()


@pytest.mark.requirement("AUTHZ-12")
def test_without_its_scope_it_is_refused(browser: Browser, chart: App, begin_launch: Begin) -> None:
    params = authorize_params(chart, scope="launch/patient openid", launch=begin_launch(), state="state-1")
    answer = browser.get(AUTHORIZE, params)
    assert told_in(answer, chart.redirect_uri, "state-1", "invalid_request").rule == "launch.scope_missing"


@pytest.mark.requirement("LAUNCH-05")
def test_it_is_good_for_five_minutes_and_until_a_code_is_issued(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    handle = begin_launch()
    then = timezone.now() - timedelta(seconds=290)
    Launch.objects.update(created_at=then, expires_at=then + timedelta(seconds=300))
    paths = [begin(browser, chart, scope=ASKED, launch=handle, state=f"state-{turn}") for turn in range(2)]
    sign_in(browser, dr_grey, then=paths[0])
    # It counts when the app comes, not when the user has read the page; and the page may be loaded again.
    Launch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    pages = [browser.get(path) for path in (*paths, *paths)][2:]
    assert [page.status_code for page in pages] == [200, 200]
    # Declining uses nothing up.
    declined = browser.post(paths[0], answer_form(pages[0], "deny"))
    assert told_in(declined, chart.redirect_uri, "state-0", "access_denied").rule == "consent.denied"
    assert "code" in callback(decide(browser, paths[1], pages[1]), chart.redirect_uri)
    assert Launch.objects.get().used_at is not None
    late = browser.get(AUTHORIZE, authorize_params(chart, scope=ASKED, launch=handle, state="state-2"))
    assert told_in(late, chart.redirect_uri, "state-2", "invalid_request").rule == "launch.used"


@pytest.mark.requirement("LAUNCH-05", "T-67")
@pytest.mark.parametrize("opened", ["before", "after"])
def test_of_two_requests_with_one_handle_one_gets_a_code(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin, opened: str
) -> None:
    handle = begin_launch()
    first, second = (begin(browser, chart, scope=ASKED, launch=handle, state=f"state-{turn}") for turn in range(2))
    sign_in(browser, dr_grey, then=first)
    page = browser.get(second) if opened == "before" else None
    assert "code" in callback(decide(browser, first, browser.get(first)), chart.redirect_uri)
    answer = decide(browser, second, page) if page else browser.get(second)
    assert told_in(answer, chart.redirect_uri, "state-1", "invalid_request").rule == "launch.used"
    assert Authorization.objects.filter(client__client_id="chart").count() == 1
    assert AuditRecord.objects.filter(action="consent", rule="launch.used").count() == 1
    assert browser.get(second).status_code == 409  # It has been answered.


def test_an_app_that_nobody_verified_hears_of_it_by_way_of_a_page(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    Client.objects.update(is_operator_verified=False)
    path = begin(browser, chart, scope=ASKED, launch=begin_launch())
    sign_in(browser, dr_grey, then=path)
    Launch.objects.update(used_at=timezone.now())
    answer = browser.get(path)
    assert urlsplit(answer.headers["Location"]).path.startswith("/auth/refused/")


# ---- whom and what it is about


@pytest.mark.requirement("CTX-22", "CONSENT-12")
@pytest.mark.parametrize("patient", ["ben", "nobody"])
def test_a_patient_for_whom_the_user_may_not_act_is_refused_like_one_that_is_not_there(
    browser: Browser, chart: App, ana: User, begin_launch: Begin, patient: str
) -> None:
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(user="ana", patient=patient), state="state-1")
    sign_in(browser, ana, then=path)
    receipt = told_in(browser.get(path), chart.redirect_uri, "state-1", "access_denied")
    assert (receipt.rule, receipt.seen, receipt.expected) == ("launch.patient", "", "")
    assert AuditRecord.objects.filter(action="consent", rule="launch.patient").count() == 1
    assert_no_code()


@pytest.mark.requirement("CTX-22")
def test_a_patient_whom_the_app_may_not_reach_is_refused(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    Client.objects.filter(client_id="chart").update(restrictions={"patients": ["ben"]})
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(), state="state-1")
    sign_in(browser, dr_grey, then=path)
    assert told_in(browser.get(path), chart.redirect_uri, "state-1", "access_denied").rule == "launch.patient"


def test_a_right_that_ended_while_the_page_was_read_ends_the_launch(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(), state="state-1")
    sign_in(browser, dr_grey, then=path)
    page = browser.get(path)
    Client.objects.filter(client_id="chart").update(restrictions={"patients": ["ben"]})
    answer, pressed_again = (decide(browser, path, page) for _ in range(2))
    assert told_in(answer, chart.redirect_uri, "state-1", "access_denied").rule == "launch.patient"
    assert pressed_again.headers["Location"] == answer.headers["Location"]
    assert AuditRecord.objects.filter(action="consent").count() == 1
    assert_no_code()


@pytest.mark.requirement("CTX-07")
@pytest.mark.usefixtures("visits")
@pytest.mark.parametrize("encounter", ["visit-of-ben", "nothing"])
@pytest.mark.parametrize("leaks", [False, True])
def test_an_encounter_of_another_patient_is_refused_like_one_that_is_not_there(
    browser: Browser, chart: App, dr_grey: User, small: Behind, begin_launch: Begin, encounter: str, leaks: bool
) -> None:
    if leaks:
        small.leak()
    path = begin(browser, chart, scope=ASKED, launch=begin_launch(encounter=encounter), state="state-1")
    sign_in(browser, dr_grey, then=path)
    receipt = told_in(browser.get(path), chart.redirect_uri, "state-1", "access_denied")
    assert (receipt.rule, receipt.seen, receipt.expected) == ("launch.encounter", "", "")


def test_records_that_do_not_answer_use_nothing_up(
    browser: Browser, chart: App, dr_grey: User, small: Behind, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope=ASKED, launch=begin_launch())
    sign_in(browser, dr_grey, then=path)
    small.fail(kind="status", status=500)
    assert browser.get(path).status_code == 503
    small.fail(kind="none")
    assert "code" in callback(decide(browser, path, browser.get(path)), chart.redirect_uri)


@pytest.mark.requirement("CTX-05")
def test_the_patient_of_the_ehr_cannot_be_exchanged(
    browser: Browser, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    path = begin(browser, chart, scope="launch launch/patient patient/*.rs", launch=begin_launch())
    sign_in(browser, dr_grey, then=path)
    page = browser.get(path)
    assert f"{path}/patient" not in page.content.decode()
    assert browser.get(f"{path}/patient").headers["Location"] == path
    assert browser.post(f"{path}/patient", {"patient": "ben"}).headers["Location"] == path
    decide(browser, path, browser.get(path))
    assert Authorization.objects.get(client__client_id="chart").context["patient"] == "ana"


# ---- pushed, and afterwards


@pytest.mark.requirement("EXT-01")
def test_a_pushed_request_carries_it(
    browser: Browser, ask: Ask, chart: App, dr_grey: User, begin_launch: Begin
) -> None:
    params = authorize_params(chart, scope=ASKED, launch=begin_launch(intent="x"))
    pushed = ask(chart, params, path="/auth/sandbox/par")
    assert pushed.status_code == 201
    given = {"client_id": "chart", "request_uri": pushed.json()["request_uri"]}
    path = browser.get(AUTHORIZE, given).headers["Location"]
    page = open_consent(browser, path, dr_grey)
    assert "code" in callback(decide(browser, path, page), chart.redirect_uri)
    assert Authorization.objects.get(client__client_id="chart").context["intent"] == "x"
    again = ask(chart, params, path="/auth/sandbox/par")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")
    assert Receipt.objects.get(trace_id=again.headers["X-Trace-Id"]).rule == "launch.used"


def test_purge_forgets_launches_a_day_after_they_expired(chart: App, begin_launch: Begin) -> None:
    begin_launch()
    assert purge(timezone.now() + timedelta(hours=23))["launches"] == 0
    assert purge(timezone.now() + timedelta(hours=25))["launches"] == 1
    assert not Launch.objects.exists()
