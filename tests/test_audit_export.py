"""The audit trail as the security officer reads it: FHIR AuditEvents, filtered, and the reading itself recorded."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from smartauth.audit.models import AuditRecord
from smartauth.audit.reading import records_of_patient
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext, new_context
from smartauth.errors import Refusal
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.receipts.recording import record
from tests.audit_trail import rewritable

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Decided:
    """What the proxy knows of a refused request."""

    switches: tuple[str, ...] = ("compartment_mode",)
    patients: frozenset[str] = frozenset()

    def as_json(self) -> dict[str, Any]:
        parse = {"interaction": "read", "type": "Observation", "id": "o9"}
        return {"user": None, "patient": "ben", "parse": parse, "checked": 1, "removed": 1, "switches": self.switches}


@pytest.fixture
def grey() -> User:
    return User.objects.create_user("dr-grey")


@pytest.fixture
def trail(grey: User) -> None:
    """Two reads, an hour apart, a refusal between them, and a refusal that is not about the FHIR API."""

    def read(patient: str, user: User | None, client: str, tenant: str, hours: int) -> None:
        event = AuditEvent(
            "read", "allow", client, tenant, user.pk if user else None, patient, None, "Observation", f"of-{patient}",
            "Observation/x", {"interaction": "read", "checked": 1},
        )  # fmt: skip
        record_now(new_context(remote_address="192.0.2.7"), event)
        with rewritable():
            AuditRecord.objects.filter(pk=AuditRecord.objects.latest("pk").pk).update(at=NOON + timedelta(hours=hours))

    read("ana", grey, "growth-chart", "north", 0)
    read("ben", None, "bulk-loader", "south", 2)
    context = RequestContext(new_context().trace_id, endpoint="fhir", client_id="growth-chart", tenant="north")
    context.explanation = Decided()
    record(context, status=404, error="not-found", refusal=Refusal("read.absent_or_outside", "absent or outside"))
    Receipt.objects.update(at=NOON + timedelta(hours=1))
    record(new_context(endpoint="token"), status=400, error="invalid_request", refusal=Refusal("r", "x"))


def export(*words: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("export_audit", *words, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def who(events: list[dict[str, Any]]) -> list[str]:
    """Return the patient of each event of the FHIR API."""
    found = []
    for event in events:
        references = [one["what"].get("reference", "") for one in event["entity"] if "what" in one]
        found += [one.removeprefix("Patient/") for one in references if one.startswith("Patient/")]
    return found


FILTERS: list[tuple[tuple[str, ...], list[str]]] = [
    (("--until", "2026-03-02"), ["ana", "ben", "ben"]),
    (("--tenant", "north", "--until", "2026-03-02"), ["ana", "ben"]),
    (("--patient", "ana"), ["ana"]),
    (("--patient", "ben"), ["ben", "ben"]),
    (("--patient", "ben", "--tenant", "south"), ["ben"]),
    (("--client", "bulk-loader"), ["ben"]),
    (("--user", "dr-grey"), ["ana"]),
    (("--since", "2026-03-01T13:00:00Z", "--until", "2026-03-01T14:00:00"), ["ben"]),
    (("--since", "2026-03-01T12:00:00+00:00", "--until", "2026-03-01T13:00:00Z"), ["ana"]),
    (("--patient", "nobody"), []),
]


@pytest.mark.parametrize(("words", "patients"), FILTERS, ids=str)
def test_the_trail_is_filtered_and_in_order(trail: None, words: tuple[str, ...], patients: list[str]) -> None:
    assert who(export(*words)) == patients
    read = AuditRecord.objects.get(action="audit.read")
    assert read.rule == "export_audit"
    assert set(read.details) == {word.removeprefix("--") for word in words[::2]}


def test_a_refusal_is_an_event_like_any_decision(trail: None, grey: User) -> None:
    allowed, refused = export("--tenant", "north")
    assert allowed["agent"][2]["who"]["identifier"]["value"] == str(grey.subject)
    assert (refused["outcome"], refused["outcomeDesc"]) == ("4", "absent or outside")
    details = {one["type"]: one["valueString"] for one in refused["entity"][-1]["detail"]}
    assert details == {
        "rule": "read.absent_or_outside",
        "status": "404",
        "checked": "1",
        "removed": "1",
        "switches": "compartment_mode",
    }


def test_it_may_go_to_a_file(trail: None, tmp_path: Path) -> None:
    assert export("--patient", "ana", "--output", str(tmp_path / "a.ndjson")) == []
    (line,) = (tmp_path / "a.ndjson").read_text().splitlines()
    assert json.loads(line)["resourceType"] == "AuditEvent"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--user", "nobody"), "no user"),
        (("--since", "yesterday"), "since"),
        (("--output", "/nowhere/x"), "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_said(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("export_audit", *words)


def test_a_patient_is_told_who_looked_newest_first(trail: None) -> None:
    event = AuditEvent("search", "allow", "bulk-loader", "north", resource_type="Observation")
    context = new_context()
    context.explanation = Decided()
    context.explanation.patients = frozenset({"ana", "ben"})
    record_now(context, event)
    found = records_of_patient("north", "ana", limit=5)
    assert [(one.action, one.client_id) for one in found] == [("search", "bulk-loader"), ("read", "growth-chart")]
    assert records_of_patient("north", "ana", limit=1) == found[:1]
    assert records_of_patient("north", "ana", limit=5, before=found[0].at) == found[1:]
    assert records_of_patient("south", "ana", limit=5) == []


def test_the_admin_shows_and_exports_audit_events_and_records_who_looked(client: Any, trail: None) -> None:
    client.force_login(User.objects.create_superuser("admin"))
    row = AuditRecord.objects.get(patient="ana")
    page = client.get(reverse("admin:audit_auditrecord_change", args=[row.pk])).content.decode()
    assert "AuditEvent" in page
    assert "Patient/ana" in page
    body = {"action": "export_as_fhir", "_selected_action": [row.pk]}
    answer = client.post(reverse("admin:audit_auditrecord_changelist"), body)
    assert answer["Content-Type"] == "application/fhir+ndjson"
    (event,) = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert event["id"] == f"audit-{row.pk}-1"
    refused, other = Receipt.objects.get(endpoint="fhir"), Receipt.objects.get(endpoint="token")
    page = client.get(reverse("admin:receipts_receipt_change", args=[refused.pk])).content.decode()
    assert f"receipt-{refused.pk}-1" in page
    page = client.get(reverse("admin:receipts_receipt_change", args=[other.pk])).content.decode()
    assert "not a request to the FHIR API" in page
    looked = AuditRecord.objects.filter(action="audit.read", rule="admin")
    assert [one.details for one in looked.order_by("pk")] == [{"record": str(row.pk)}, {"records": 1}]
    listed = client.get(reverse("admin:audit_auditrecord_changelist"), {"q": "ana"}).content.decode()
    assert "of-ana" in listed
    assert "of-ben" not in listed
