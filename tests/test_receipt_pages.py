"""The page of a receipt: found by its trace id, in the view the reader may have, with a text for the partner."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from smartauth.audit.models import AuditRecord
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import new_context
from smartauth.errors import Refusal
from smartauth.people.models import User
from smartauth.receipts.ladder import ladder
from smartauth.receipts.models import Receipt, RefusalCount
from smartauth.receipts.recording import record

pytestmark = pytest.mark.django_db

EVIL = '"><script>alert(1)</script>'


def staff(role: str) -> Browser:
    user = User.objects.create_user(role.lower(), password="not used here", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(user)
    return browser


def refused(rule: str = "assertion.aud", *, endpoint: str = "token", **decision: Any) -> UUID:
    context = new_context(endpoint=endpoint, method="POST", client_id="cardio", remote_address="192.0.2.7")
    refusal = Refusal(
        rule, "aud is wrong", expected="our token URL", seen=EVIL, fix="Copy the URL.", officer="only for officers"
    )
    record(context, status=401, error="invalid_client", refusal=refusal)
    Receipt.objects.filter(trace_id=context.trace_id).update(decision=decision)
    return context.trace_id


def explain(browser: Browser, trace: object) -> Any:
    return browser.get(reverse("admin:receipts_trace"), {"trace": str(trace)})


@pytest.mark.requirement("SEC-09")
@pytest.mark.parametrize(
    ("role", "rule", "sees"), [("Security officer", "admin", True), ("Registrar", "admin.partner_view", False)]
)
def test_each_reader_has_a_view_and_reading_is_audited(role: str, rule: str, sees: bool) -> None:
    trace = refused()
    answer = explain(staff(role), f"  {trace} ")
    page = answer.content.decode()
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
    for shown in ("aud is wrong", "our token URL", "Copy the URL.", f"Trace: {trace}"):
        assert shown in page
    assert ("only for officers" in page, "192.0.2.7" in page) == (sees, sees)
    assert "<script>alert" not in page
    [read] = AuditRecord.objects.filter(action="receipt.read")
    assert (read.rule, read.details) == (rule, {"receipt": str(trace)})


def test_a_registrar_never_sees_the_steps_of_a_decision_on_data() -> None:
    trace = refused("scope.compartment", endpoint="fhir", parse={"interaction": "read"}, patient="ana", removed=3)
    page = explain(staff("Security officer"), trace).content.decode()
    assert ("Patient in context" in page, "interaction: read" in page) == (True, True)
    page = explain(staff("Registrar"), trace).content.decode()
    assert ("ana" in page, "interaction" in page, "Resources that" in page) == (False, False, False)


@pytest.mark.parametrize(
    ("trace", "status"), [("nonsense", 400), (EVIL, 400), ("5ec0e10f-7484-413a-b26d-cdabea35d474", 404), ("", 200)]
)
def test_what_is_not_there_is_told_and_stays_in_the_field(trace: str, status: int) -> None:
    answer = explain(staff("Security officer"), trace)
    assert answer.status_code == status
    assert "<script>alert" not in answer.content.decode()
    assert trace == "" or answer.context["wanted"] == trace
    assert ("Look for it in the audit trail" in answer.content.decode()) is (status == 404)
    assert not AuditRecord.objects.filter(action="receipt.read").exists()


@pytest.mark.parametrize("role", ["Keys", "People"])
def test_others_may_not_look(role: str) -> None:
    assert explain(staff(role), refused()).status_code == 403


def test_the_list_leads_to_the_page_and_only_officers_have_the_list() -> None:
    url = reverse("admin:receipts_receipt_change", args=[refused()])
    assert "only for officers" in staff("Security officer").get(url).content.decode()
    assert staff("Registrar").get(url).status_code == 403


LADDERS = [
    # rule                      passed                  refused at
    ("http.size",               0, "The request can be read"),
    ("token.grant_type",        0, "The request can be read"),
    ("client.unknown",          1, "The client is known, approved, and proves who it is"),
    ("assertion.aud",           1, "The client is known, approved, and proves who it is"),
    ("jwks.dns",                1, "The client is known, approved, and proves who it is"),
    ("client.grant_type",       2, "It may use this grant type"),
    ("dpop.missing",            3, "Its proof of possession holds"),
    ("client.not_activated",    4, "The code or refresh token is good, and the client works at the tenant"),
    ("code.reused",             4, "The code or refresh token is good, and the client works at the tenant"),
    ("scope.not_registered",    5, "The scopes may be granted"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "passed", "at"), LADDERS)
def test_the_ladder_ends_at_the_rung_that_refused(rule: str, passed: int, at: str) -> None:
    rungs = ladder(Receipt.objects.get(pk=refused(rule)), officer=True)
    assert [one.state for one in rungs] == ["passed"] * passed + ["refused"] + ["not reached"] * (5 - passed)
    assert rungs[passed].title == at


def test_a_rule_with_no_known_place_claims_nothing() -> None:
    for rule, endpoint in (("server.failure", "token"), ("launch.used", "launch")):
        assert ladder(Receipt.objects.get(pk=refused(rule, endpoint=endpoint)), officer=True) == ()


def test_the_front_page_tells_of_servers_that_do_not_answer_and_of_floods() -> None:
    context = new_context(endpoint="fhir", method="GET", tenant="north")
    record(context, status=502, error="exception", refusal=Refusal("upstream.timeout", "too slow"))
    minute = Receipt.objects.get().at.replace(second=0, microsecond=0)
    RefusalCount.objects.create(minute=minute, source="192.0.2.7", rule="client.secret", count=500)
    page = staff("Security officer").get("/admin/").content.decode()
    assert "the FHIR server of north did not answer" in page
    assert "500" in page
    page = staff("Registrar").get("/admin/").content.decode()
    assert ("the FHIR server of north did not answer" in page, "Refusals of a flood" in page) == (True, False)
    assert "north" not in staff("Keys").get("/admin/").content.decode()


@pytest.mark.parametrize("name", ["receipts_receipt", "audit_auditrecord", "receipts_refusalcount"])
def test_a_long_list_asks_no_more_questions_than_a_short_one(name: str) -> None:
    browser, url = staff("Security officer"), reverse(f"admin:{name}_changelist")

    def add(begin: int, end: int) -> None:
        for number in range(begin, end):
            user = User.objects.create_user(f"user-{number}", password="not used here")
            record_now(new_context(), AuditEvent("read", "allow", client_id=f"app-{number}", user=user.pk))
            refused()
            RefusalCount.objects.create(minute=timezone.now(), source=str(number), rule="client.secret", count=1)

    def questions() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url).status_code == 200
        return len(queries)

    add(0, 2)
    questions()  # What is remembered from the first time on is not asked again.
    few = questions()
    add(2, 12)
    assert questions() == few


def test_the_audit_trail_is_searched_by_the_name_of_a_user_and_shows_it() -> None:
    browser = staff("Security officer")
    for name in ("ana", "ben"):
        user = User.objects.create_user(name, password="not used here")
        record_now(new_context(), AuditEvent("read", "allow", client_id=f"of-{name}", user=user.pk))
    page = browser.get(reverse("admin:audit_auditrecord_changelist"), {"q": "ana"}).content.decode()
    assert ("of-ana" in page, "ana (" in page, "of-ben" in page) == (True, True, False)
