"""The EHR of the launcher: it begins launches as any other would, with a client, a key and an API, and no way around.

Source: SMART 2.2 app-launch, "Launch App: EHR Launch".
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from smartauth import endpoints
from smartauth.receipts.views import find_receipt
from smartauth.sandbox.launcher import outgoing
from smartauth.sandbox.launcher.choices import LATEST, Choices, Known
from smartauth.sandbox.launcher.kinds import PORTAL
from smartauth.sandbox.launcher.outgoing import Answer
from smartauth.sandbox.launcher.recorder import Entry
from smartauth.sandbox.seed import TENANT
from smartauth.tenant_style import style_url_at

EHR, READER = "ehr", "bulk-loader"
SCOPE = "__launch"
# Whose fault a refusal is: the beginning of its rule, and the field of the form.
FIELDS = {"launch.client": "client", "launch.url": "client", "launch.user": "user"}
MEMBERS = {"fhirContext": "fhir_context"}


class NotBegun(Exception):
    """The server refused the launch. `field` of the form, "" for none; the text says why and what mends it."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(says)
        self.field = field


@dataclass(frozen=True, slots=True)
class Begun:
    """A launch that the server knows. `url` opens the app and carries `handle`; `entries` are the EHR's requests."""

    url: str
    handle: str
    choices: Choices
    entries: tuple[Entry, ...]


def settle(found: Choices, known: Known, now: datetime) -> Choices:
    """Return the choices with everything found that was left to the EHR: the patient of a portal, the latest encounter.

    Raises NotBegun, NotReached.
    """
    if found.kind == PORTAL and not found.patient:
        own = known.own_record(found.user)
        if not own:
            raise NotBegun("patient", "this user has no record of their own; choose whose it is about")
        found = replace(found, patient=own)
    if found.encounter == LATEST:
        found = replace(found, encounter=_latest_encounter(found.patient, now))
    return found


def begin(found: Choices, now: datetime) -> Begun:
    """Begin a launch at `POST /auth/launch`. Raises NotBegun, NotReached."""
    token, first = _timed("POST token client_credentials", lambda: _token(EHR, SCOPE, now))
    launch_url = endpoints.oauth(None, "launch")
    answer, second = _timed(
        "POST launch", lambda: outgoing.post_json(launch_url, body_of(found), bearer=token.body["access_token"])
    )
    if answer.status != 201:
        raise _not_begun(answer)
    return Begun(answer.body["launch_url"], answer.body["launch"], found, (first, second))


def body_of(found: Choices) -> dict[str, Any]:
    """Return the launch request that the choices are; see docs/how-to/launch-from-an-ehr.md."""
    members = {
        "client_id": found.client,
        "iss": endpoints.fhir_base(TENANT),
        "user": found.user,
        "patient": found.patient,
        "encounter": found.encounter,
        "intent": found.intent,
        "need_patient_banner": found.need_patient_banner == "yes",
        "smart_style_url": found.smart_style_url or style_url_at(TENANT),
        "fhirContext": found.entries,
    }
    return {name: value for name, value in members.items() if value not in ("", [])}


def reader_token(scope: str, now: datetime) -> str:
    """Return an access token with which the EHR reads for itself. Raises NotBegun, NotReached."""
    token: str = _token(READER, scope, now).body["access_token"]
    return token


def _latest_encounter(patient: str, now: datetime) -> str:
    url = f"{endpoints.fhir_base(TENANT)}/Encounter?patient={patient}&_sort=-date&_count=1"
    answer = outgoing.get(url, bearer=reader_token("system/Encounter.rs", now))
    entries = answer.body.get("entry") or []
    if answer.status != 200 or not entries:
        raise NotBegun("encounter", "this patient has no encounter that could be the latest; leave the field empty")
    found: str = entries[0]["resource"]["id"]
    return found


def _token(client_id: str, scope: str, now: datetime) -> Answer:
    answer = outgoing.token(client_id, {"grant_type": "client_credentials", "scope": scope}, tenant=TENANT, now=now)
    if answer.status != 200:
        raise _not_begun(answer)
    return answer


def _timed(what: str, ask: Any) -> tuple[Answer, Entry]:
    at = timezone.now()
    answer: Answer = ask()
    took = int((timezone.now() - at).total_seconds() * 1000)
    says = "answered" if answer.status < 400 else "refused"
    return answer, Entry("ehr", what, says, answer.status, at, took, UUID(answer.trace_id) if answer.trace_id else None)


def _not_begun(answer: Answer) -> NotBegun:
    """Return why, as the EHR's own receipt tells it."""
    receipt = find_receipt(UUID(answer.trace_id)) if answer.trace_id else None
    if receipt is None:
        return NotBegun("", str(answer.body.get("error_description", "the server refused the launch")))
    field = next((name for rule, name in FIELDS.items() if receipt.rule.startswith(rule)), "")
    if receipt.rule == "launch.request":
        field = MEMBERS.get(receipt.seen, receipt.seen)
    parts = (receipt.reason, f"seen: {receipt.seen}" if receipt.seen else "", receipt.fix)
    return NotBegun(field, f"{'; '.join(filter(None, parts))} ({receipt.rule}, trace {answer.trace_id})")
