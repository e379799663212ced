"""From a draft to a client and to its end, by a program."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from clients import drafts
from clients.acting import operator
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.models import Client, Draft
from smartauth.context import new_context
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.api.conftest import Program, make_draft, make_own_client, service_answers
from tests.conftest import Configure
from tests.factories import make_tenant


def right() -> Permission:
    return Permission.objects.get(codename="own_client")


def rules(answer: HttpResponse) -> list[tuple[str, str]]:
    return [(one["member"], one["rule"]) for one in answer.json()["findings"]]


def web_answers(**members: Any) -> dict[str, Any]:
    return {
        "client_name": "Cardio",
        "publisher": "Kim Inc",
        "purpose": "Shows a curve.",
        "contacts": ["kim@example.org"],
        "scope": "launch/patient openid fhirUser patient/Observation.rs",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": ["https://cardio.example.org/callback"],
        "tenants": ["sandbox"],
    } | members


@pytest.mark.requirement("REG-01", "REG-11")
def test_a_program_registers_an_app_from_beginning_to_end(kims: Program, ec: KeyPair) -> None:
    begun = kims.ask("POST", "drafts", {"kind": "service"})
    assert begun.status_code == 201
    draft = begun.json()
    assert draft["answers"]["grant_types"] == ["client_credentials"]
    assert {one["member"] for one in draft["findings"]} >= {"client_name", "scope"}
    where = begun["Location"]
    kept = kims.ask("PATCH", where, {"answers": service_answers(ec)})
    assert (kept.status_code, kept.json()["findings"]) == (200, [])
    done = kims.ask("POST", f"{where}/submit")
    assert done.status_code == 201
    client = done.json()["client"]
    assert (client["state"], client["activations"][0]["state"]) == ("approved", "active")
    assert "client_secret" not in done.json()
    assert kims.ask("GET", where).status_code == 404
    assert kims.ask("GET", done["Location"]).json() == client
    assert [one["step"] for one in client["next_steps"]] == ["revise", "retire"]
    acts = [one["act"] for one in kims.ask("GET", f"{done['Location']}/events").json()["events"]]
    assert acts == ["activated", "approved", "requested", "keys_by_value", "submitted"]


@pytest.mark.requirement("REG-10")
def test_the_secret_of_a_confidential_app_is_told_once(kims: Program) -> None:
    draft = kims.ask("POST", "drafts", {"kind": "patient", "answers": web_answers()}).json()
    assert draft["findings"] == []
    done = kims.ask("POST", f"drafts/{draft['id']}/submit")
    secret = done.json()["client_secret"]
    assert len(secret) == 43
    assert secret not in kims.ask("GET", done["Location"]).content.decode()
    assert done.json()["client"]["secrets"]["has_secret"] is True


def test_a_draft_that_is_not_finished_is_refused_with_all_its_findings(kims: Program) -> None:
    draft = kims.ask("POST", "drafts", {"kind": "service"}).json()
    refused = kims.ask("POST", f"drafts/{draft['id']}/submit")
    assert (refused.status_code, refused.json()["error"]) == (409, "unfinished")
    assert refused.json()["findings"] == draft["findings"]
    assert Receipt.objects.get(trace_id=refused.json()["trace_id"]).rule == draft["findings"][0]["rule"]
    assert Client.objects.count() == 0


def test_wrong_values_are_kept_and_found_and_wrong_types_are_refused(kims: Program) -> None:
    draft = kims.ask("POST", "drafts", {"kind": "service"}).json()
    kept = kims.ask("PATCH", f"drafts/{draft['id']}", {"answers": {"contacts": ["kim"]}})
    assert ("contacts", "draft.contact") in rules(kept)
    assert kept.json()["answers"]["contacts"] == ["kim"]
    refused = kims.ask("PATCH", f"drafts/{draft['id']}", {"answers": {"contacts": "kim", "redirect_uri": "x"}})
    assert refused.status_code == 400
    assert rules(refused) == [("redirect_uri", "input.unknown")]
    assert "redirect_uris" in refused.json()["findings"][0]["message"]
    refused = kims.ask("PATCH", f"drafts/{draft['id']}", {"answers": {"contacts": "kim"}})
    assert rules(refused) == [("contacts", "input.invalid")]
    assert refused.json()["findings"][0]["step"] == "identity"


def test_put_replaces_and_patch_adds(kims: Program, kim: User, ec: KeyPair) -> None:
    draft = make_draft(kim, ec)
    kims.ask("PATCH", f"drafts/{draft.pk}", {"answers": {"client_name": None}})
    draft.refresh_from_db()
    assert (draft.answers["client_name"], draft.answers["publisher"]) == (None, "Kim Inc")
    kims.ask("PUT", f"drafts/{draft.pk}", {"answers": {"client_name": "Export"}})
    draft.refresh_from_db()
    assert draft.answers == {"client_name": "Export"}
    assert kims.ask("DELETE", f"drafts/{draft.pk}").status_code == 204
    assert not Draft.objects.exists()


def test_a_private_key_is_not_kept(kims: Program, ec: KeyPair) -> None:
    private = {**ec.public_jwk, "d": "secret"}
    body = {"kind": "service", "answers": service_answers(ec, jwks={"keys": [private]})}
    answer = kims.ask("POST", "drafts", body)
    assert rules(answer) == [("jwks", "jwks.private_key")]
    assert '"secret"' not in answer.content.decode()
    assert "secret" not in str(Draft.objects.values_list("answers", flat=True)[0])


class TestChanges:
    """Of a client that a hospital approved."""

    @pytest.fixture
    def where(self, kim: User, ec: KeyPair, configure: Configure) -> str:
        configure(mode="production")
        kim.user_permissions.add(right())
        client = make_own_client(kim, ec)
        take_step(client.client_id, "approved", by=operator(None), context=new_context())
        return f"clients/{client.client_id}"

    def ask_for_more(self, kims: Program, where: str) -> Any:
        led = kims.ask("POST", f"{where}/draft")
        assert led.status_code == 303
        kims.ask("PATCH", led["Location"], {"answers": {"scope": "system/Immunization.rs system/Patient.rs"}})
        return kims.ask("POST", f"{led['Location']}/submit")

    @pytest.mark.requirement("REG-15")
    def test_more_scopes_wait_and_can_be_taken_back(self, kims: Program, where: str) -> None:
        done = self.ask_for_more(kims, where)
        assert (done.status_code, done.json()["client"]["state"]) == (200, "approved")
        change = kims.ask("GET", f"{where}/change").json()
        assert change == done.json()["change"] == done.json()["client"]["change"]
        assert [(one["member"], one["added"], one["widens"]) for one in change["differences"]] == [
            ("scope", ["system/Patient.rs"], True)
        ]
        assert kims.ask("DELETE", f"{where}/change").status_code == 204
        assert kims.ask("GET", f"{where}/change").status_code == 404
        again = kims.ask("DELETE", f"{where}/change")
        assert (again.status_code, rules(again)) == (409, [("", "change.none")])

    def test_a_client_that_waits_is_withdrawn_before_it_is_changed(self, kims: Program, where: str) -> None:
        Client.objects.update(status="submitted")
        refused = kims.ask("POST", f"{where}/draft")
        assert (refused.status_code, rules(refused)) == (409, [("", "draft.status")])
        withdrawn = kims.ask("POST", f"{where}/withdraw")
        assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "draft")
        assert kims.ask("POST", f"{where}/draft").status_code == 303


@pytest.mark.requirement("REG-14")
def test_a_retired_client_stays_and_can_do_nothing(kims: Program, kim: User, ec: KeyPair) -> None:
    where = f"clients/{make_own_client(kim, ec).client_id}"
    retired = kims.ask("POST", f"{where}/retire").json()
    assert (retired["state"], retired["next_steps"]) == ("retired", [])
    again = kims.ask("POST", f"{where}/retire")
    assert (again.status_code, rules(again)) == (409, [("", "lifecycle.retired")])
    asked = kims.ask("POST", f"{where}/activations", {"tenant": "sandbox"})
    assert (asked.status_code, rules(asked)) == (409, [("", "activation.retired")])
    assert Receipt.objects.filter(client_id=retired["client_id"], rule="activation.retired").count() == 1


def test_the_list_has_the_newest_first_by_state_and_in_pages(kims: Program, kim: User, ec: KeyPair) -> None:
    ids = [make_own_client(kim, ec, client_name=f"Export {n}").client_id for n in range(3)]
    assert [one["client_id"] for one in kims.ask("GET", "clients").json()["clients"]] == ids[::-1]
    page = kims.ask("GET", "clients?limit=2").json()
    assert len(page["clients"]) == 2
    rest = kims.ask("GET", f"clients?limit=2&before={page['next']}").json()
    assert ([one["client_id"] for one in rest["clients"]], rest["next"]) == (ids[:1], None)
    assert kims.ask("GET", "clients?state=retired").json()["clients"] == []
    for wrong, member in (
        ("state=alive", "state"),
        ("limit=0", "limit"),
        ("stat=x", "stat"),
        ("limit=1&limit=2", "limit"),
    ):
        refused = kims.ask("GET", f"clients?{wrong}")
        assert (refused.status_code, refused.json()["findings"][0]["member"]) == (400, member)


def test_a_receipt_is_shown_to_the_owner_of_its_client_only(
    kims: Program, mallorys: Program, kim: User, ec: KeyPair
) -> None:
    one, other = (make_own_client(kim, ec, client_name=name).client_id for name in ("One", "Other"))
    trace = kims.ask("POST", f"clients/{one}/withdraw").json()["trace_id"]
    shown = kims.ask("GET", f"clients/{one}/receipts/{trace}")
    assert (shown.json()["rule"], shown.json()["client_id"]) == ("lifecycle.withdrawn", one)
    assert kims.ask("GET", f"clients/{other}/receipts/{trace}").status_code == 404
    assert mallorys.ask("GET", f"clients/{one}/receipts/{trace}").status_code == 404


@pytest.mark.parametrize("path", ["clients", "drafts", "tokens", "clients/{id}/events", "clients/{id}/activations"])
def test_a_list_costs_no_more_statements_for_more_rows(
    kims: Program, kim: User, ec: KeyPair, path: str, django_assert_num_queries: Any
) -> None:
    client_id = make_own_client(kim, ec).client_id
    make_draft(kim, ec)
    path = path.format(id=client_id)
    kims.ask("GET", path)
    with CaptureQueriesContext(connection) as few:
        kims.ask("GET", path)
    needed = len(few)
    assert needed
    for n in range(5):
        make_own_client(kim, ec, client_name=f"Export {n}")
        make_draft(kim, ec)
        kims.ask("GET", f"clients/{client_id}")
    with django_assert_num_queries(needed):
        kims.ask("GET", path)


def test_what_there_is_to_choose_from_is_told(kims: Program) -> None:
    assert [one["name"] for one in kims.ask("GET", "kinds").json()["kinds"]] == ["patient", "clinician", "service"]
    assert "Observation" in kims.ask("GET", "scopes").json()["us_core_types"]
    assert kims.ask("GET", "tenants").json()["tenants"] == [
        {"slug": "sandbox", "name": "Sandbox Hospital", "fhir_base": "http://127.0.0.1:8000/fhir/sandbox/r4"}
    ]


def test_the_number_of_drafts_has_a_limit(kims: Program, kim: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_DRAFTS", 0)
    refused = kims.ask("POST", "drafts", {"kind": "service"})
    assert (refused.status_code, rules(refused)) == (409, [("", "draft.too_many")])


@pytest.mark.parametrize("depth", [50, 300, 600, 900])
def test_what_is_nested_deeply_is_kept_or_refused(kims: Program, depth: int) -> None:
    jwks: dict[str, Any] = {"keys": []}
    for _ in range(depth):
        jwks = {"a": jwks}
    answer = kims.ask("POST", "drafts", {"kind": "service", "answers": {"jwks": jwks}})
    assert answer.status_code in (201, 400, 409)  # Which refuses it depends on how deep the server stands itself.
    assert kims.ask("GET", "drafts").status_code == 200
    assert kims.ask("POST", "test-jwks", {"jwks": jwks}).status_code in (200, 400)


@pytest.mark.parametrize("value", ["\0", "\x1f", 1e400])
def test_what_cannot_be_stored_is_refused(kims: Program, value: object) -> None:
    body = {"kind": "service", "answers": {"jwks": {"keys": [{"kid": value}]}}}
    refused = kims.ask("POST", "drafts", body)
    # JSON has no infinity, but a number that becomes one.
    assert refused.status_code in (400, 409)
    assert not Draft.objects.exists()


@pytest.mark.parametrize(("mode", "state"), [("sandbox", "active"), ("production", "waiting")])
def test_another_hospital_is_asked_once(
    kims: Program, kim: User, ec: KeyPair, configure: Configure, mode: str, state: str
) -> None:
    configure(mode=mode)
    kim.user_permissions.add(right())
    make_tenant("elsewhere")
    where = f"clients/{make_own_client(kim, ec).client_id}"
    for _ in range(2):
        asked = kims.ask("POST", f"{where}/activations", {"tenant": "elsewhere"})
        assert (asked.status_code, asked.json()["tenant"], asked.json()["state"]) == (200, "elsewhere", state)
    listed = kims.ask("GET", f"{where}/activations").json()["activations"]
    assert [(one["tenant"], one["state"]) for one in listed] == [("elsewhere", state), ("sandbox", state)]
    events = kims.ask("GET", f"{where}/events").json()["events"]
    assert len([one for one in events if one["tenant"] == "elsewhere" and one["act"] == "requested"]) == 1
