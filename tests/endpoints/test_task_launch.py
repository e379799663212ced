"""Launches that begin with a Task: the app is one that is registered, and the Task opens nothing by itself.

SMART 2.2 task-launch.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client as Browser

from clients.models import Activation, Client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.models import Authorization, Launch
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import FHIR_BASE, App, begin, launch, make_app, sign_in, told_in
from tests.endpoints.conftest import Post, Service
from tests.endpoints.ehr import LAUNCH_URL, BeginAnswer, begin_answer, chart, ehr, visits
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_launch import rule_of
from tests.endpoints.token_requests import Ask, body_of, redemption
from tests.factories import make_tenant, phone_app
from tests.policy.test_task_launch import STANDALONE, app_context, application, task

__all__ = ["auditor", "begin_answer", "chart", "ehr", "visits"]
pytestmark = pytest.mark.usefixtures("signing_key", "small", "dr_grey", "chart", "switched_on")

CONTEXT = '{"form": "intake", "n": 1}'


@pytest.fixture
def switched_on(configure: Configure) -> None:
    configure(task_launch=True)


def about_ana(**more: Any) -> dict[str, Any]:
    """Return a Task that asks for chart to be opened about a visit of ana's."""
    members = {"for": {"reference": "Patient/ana"}, "encounter": {"reference": "Encounter/visit-of-ana"}}
    return task(application(LAUNCH_URL), app_context(CONTEXT), **members, **more)


def begun(begin_answer: BeginAnswer, **changes: Any) -> Any:
    """Begin a launch with a Task: it says what the members would."""
    return begin_answer(**{"client_id": ..., "patient": ...} | changes)


@pytest.mark.requirement("TASK-01", "TASK-02", "TASK-03")
@pytest.mark.usefixtures("visits")
def test_the_app_is_told_what_the_task_says(
    browser: Browser,
    ask: Ask,
    post: Post,
    chart: App,
    dr_grey: User,
    begin_answer: BeginAnswer,
    auditor: Service,
) -> None:
    answer = begun(begin_answer, task=about_ana(), intent="fill-in")
    assert answer.status_code == 201, answer.content
    assert answer.json().keys() == {"launch", "launch_url", "expires_in"}
    query = parse_qs(urlsplit(answer.json()["launch_url"]).query)
    assert query["iss"] == [FHIR_BASE]
    scope = "launch openid fhirUser offline_access user/Patient.rs user/Encounter.rs"
    done = launch(browser, chart, dr_grey, launch=query["launch"][0], scope=scope)
    tokens = body_of(ask(chart, redemption(done)))
    expected = {"patient": "ana", "encounter": "visit-of-ana", "appContext": CONTEXT, "intent": "fill-in"}
    again = body_of(ask(chart, {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}))
    seen = body_of(post(INTROSPECT, {"token": again["access_token"], **auditor.credentials()}))
    for told in (tokens, again, seen):
        assert {name: told.get(name) for name in expected} == expected
    recorded = AuditRecord.objects.get(action="launch")
    assert (recorded.rule, recorded.patient, recorded.details["app"]) == ("launch.begun", "ana", "chart")


def test_without_a_context_for_the_app_none_is_told(begin_answer: BeginAnswer) -> None:
    assert begun(begin_answer, task=task(application(LAUNCH_URL))).status_code == 201
    assert Launch.objects.get().context.keys() == {"need_patient_banner", "smart_style_url"}


@pytest.mark.requirement("TASK-04")
def test_an_app_that_launches_by_itself_is_opened_as_it_is(begin_answer: BeginAnswer, dr_grey: User) -> None:
    Client.objects.filter(client_id="chart").update(scope="openid launch/patient patient/*.rs")
    answer = begun(begin_answer, task=task(application(LAUNCH_URL), code=STANDALONE))
    assert (answer.status_code, answer.json()) == (201, {"launch_url": LAUNCH_URL})
    assert not Launch.objects.exists()
    told = AuditRecord.objects.get(action="launch")
    assert (told.rule, told.client_id, told.tenant, told.user_id) == ("launch.standalone", "ehr", "sandbox", dr_grey.pk)
    assert told.details == {"app": "chart"}


BESIDE = [
    {"launch_url": LAUNCH_URL},
    {"patient": "ben"},
    {"patient": "ana"},
    {"encounter": "visit-of-ben"},
    {"appContext": "another"},
]


@pytest.mark.requirement("TASK-01")
@pytest.mark.parametrize("code", ["launch-app-ehr", STANDALONE])
@pytest.mark.parametrize("beside", BESIDE)
def test_nobody_says_beside_a_task_what_a_task_says(
    begin_answer: BeginAnswer, beside: dict[str, str], code: str
) -> None:
    answer = begun(begin_answer, task=task(application(LAUNCH_URL), code=code), **beside)
    assert rule_of(answer, 400) == "launch.request"
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).seen == next(iter(beside))


def test_an_app_that_launches_by_itself_is_told_nothing(begin_answer: BeginAnswer) -> None:
    answer = begun(begin_answer, task=task(application(LAUNCH_URL), code=STANDALONE), intent="x")
    assert rule_of(answer, 400) == "launch.request"


NOT_REGISTERED = [
    "https://evil.example/launch",
    f"{LAUNCH_URL}/",
    f"{LAUNCH_URL}?x=1",
    LAUNCH_URL.upper(),
    LAUNCH_URL[:-1],
    f"{LAUNCH_URL} https://evil.example",
    "javascript:alert(1)",
    "/launch",
]


@pytest.mark.requirement("TASK-05")
@pytest.mark.parametrize("code", ["launch-app-ehr", STANDALONE])
@pytest.mark.parametrize("url", NOT_REGISTERED)
def test_a_task_leads_to_no_url_that_is_not_registered(begin_answer: BeginAnswer, url: str, code: str) -> None:
    answer = begun(begin_answer, task=task(application(url), code=code))
    assert rule_of(answer, 400) == "launch.task_url"
    assert rule_of(begun(begin_answer, task=task(application(url), code=code), client_id="chart"), 400) == "launch.url"


@pytest.mark.requirement("TASK-05")
@pytest.mark.parametrize("code", ["launch-app-ehr", STANDALONE])
@pytest.mark.parametrize("how", ["suspended", "not active here", "elsewhere"])
def test_a_task_leads_to_no_app_that_may_not_act_here(begin_answer: BeginAnswer, code: str, how: str) -> None:
    begun(begin_answer, task=task(code="none"))  # The token is there before anything changes.
    if how == "suspended":
        Client.objects.filter(client_id="chart").update(status=Client.Status.SUSPENDED)
    else:
        Activation.objects.filter(client__client_id="chart").update(is_active=False)
    if how == "elsewhere":
        north = make_tenant("north")
        Activation.objects.create(client=Client.objects.get(client_id="chart"), tenant_id=north.pk)
    answer = begun(begin_answer, task=task(application(LAUNCH_URL), code=code))
    assert rule_of(answer, 400) == "launch.task_url"


@pytest.mark.requirement("TASK-05")
def test_of_several_apps_at_one_url_the_ehr_names_one(begin_answer: BeginAnswer, tenant: TenantInfo) -> None:
    make_app(phone_app(client_id="chart-2", launch_urls=[LAUNCH_URL], scope="launch openid"), tenant)
    answer = begun(begin_answer, task=about_ana())
    assert rule_of(answer, 400) == "launch.task_ambiguous"
    assert begun(begin_answer, task=about_ana(), client_id="chart-2").status_code == 201
    assert Launch.objects.get().client.client_id == "chart-2"


def test_an_app_that_may_not_be_launched_is_not_launched(begin_answer: BeginAnswer) -> None:
    Client.objects.filter(client_id="chart").update(scope="openid patient/*.rs")
    assert rule_of(begun(begin_answer, task=about_ana()), 400) == "launch.client_scope"


@pytest.mark.requirement("TASK-05")
@pytest.mark.usefixtures("visits")
@pytest.mark.parametrize(
    ("patient", "encounter", "rule"),
    [
        ("ben", "visit-of-ben", "launch.patient"),
        ("nobody", None, "launch.patient"),
        ("ana", "visit-of-ben", "launch.encounter"),
    ],
)
def test_whom_a_task_is_about_the_user_must_be_allowed_to_see(
    browser: Browser, chart: App, ana: User, begin_answer: BeginAnswer, patient: str, encounter: str | None, rule: str
) -> None:
    members: dict[str, Any] = {"for": {"reference": f"Patient/{patient}"}}
    members |= {"encounter": {"reference": f"Encounter/{encounter}"}} if encounter else {}
    answer = begun(begin_answer, user="ana", task=task(application(LAUNCH_URL), **members))
    handle = parse_qs(urlsplit(answer.json()["launch_url"]).query)["launch"][0]
    scope = "launch openid fhirUser patient/Patient.rs patient/Encounter.rs"
    path = begin(browser, chart, launch=handle, scope=scope, state="state-1")
    sign_in(browser, ana, then=path)
    assert told_in(browser.get(path), chart.redirect_uri, "state-1", "access_denied").rule == rule
    assert not Authorization.objects.filter(kind="user").exists()


@pytest.mark.requirement("TASK-01")
def test_what_is_wrong_with_a_task_is_told_and_nothing_is_begun(begin_answer: BeginAnswer) -> None:
    for bad in (None, "Task/1", {"reference": "Task/1"}, task(status="cancelled"), task(code="x"), []):
        assert rule_of(begun(begin_answer, task=bad), 400) == "launch.task"
    lonely = task(application(LAUNCH_URL), encounter={"reference": "Encounter/visit-of-ana"})
    assert rule_of(begun(begin_answer, task=lonely), 400) == "launch.request"
    control = task(application(LAUNCH_URL), app_context("a\x00b"))
    assert rule_of(begun(begin_answer, task=control), 400) == "launch.request"
    assert rule_of(begun(begin_answer, task=about_ana(), user="nobody"), 400) == "launch.user"
    assert rule_of(begun(begin_answer, task=about_ana(), iss=f"{FHIR_BASE}x"), 400) == "launch.iss"


@pytest.mark.requirement("TASK-01")
def test_while_it_is_off_a_task_is_a_member_nobody_knows(begin_answer: BeginAnswer, configure: Configure) -> None:
    configure(task_launch=False)
    answer = begin_answer(task=about_ana())
    assert rule_of(answer, 400) == "launch.request"
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).seen == "task"
    assert rule_of(begin_answer(appContext="x"), 400) == "launch.request"
