"""Making the faults and habits that were chosen for a launch, at the edge: what serves requests knows of none.

A fault is made by changing the request, the row behind it, or the answer, so that what refuses is what refuses always.
"""

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.utils import timezone

from fhirproxy.messages import FHIR_JSON
from fhirproxy.policy.outcomes import operation_outcome
from smartauth import endpoints
from smartauth.context import context_of
from smartauth.digests import digest, new_secret
from smartauth.errors import InvalidClient, Refusal
from smartauth.models import AccessToken, AuthorizationCode
from smartauth.receipts.recording import record
from smartauth.responses import error_response, private
from smartauth.sandbox.launcher import faults, noting, rewriting, runs
from smartauth.sandbox.launcher.arriving import Arrived
from smartauth.sandbox.launcher.habits import HABITS, scopes_under
from smartauth.sandbox.models import Run

OTHER_SERVER = "https://another-ehr.example.org/fhir"
NOBODYS_TOKEN = "Bearer nobody-was-ever-given-this-token"
MOST_WAITING = 3  # threads; the others of a worker have to answer meanwhile
CHOSEN = "It was chosen in the launcher; choose no fault there."
CONTEXT = ("patient", "encounter", "fhirContext")

_waiting = threading.BoundedSemaphore(MOST_WAITING)


@dataclass(slots=True)
class Spoilt:
    """What was made of one request. `fault`: the fault made here.  `scopes`: those that a habit left of it, else None.

    `answer`: given instead of asking anybody.
    """

    fault: str = ""
    scopes: str | None = None
    answer: HttpResponse | None = None


def before(request: HttpRequest, arrived: Arrived, run: Run) -> Spoilt:
    """Spoil a request on its way in."""
    spoilt = Spoilt()
    _follow_habit(request, arrived, run, spoilt)
    match run.fault, arrived.part:
        case faults.WRONG_AUD, "authorize" | "par":
            is_made = rewriting.change(request, {"aud": OTHER_SERVER, "resource": OTHER_SERVER})
            spoilt.fault = run.fault if is_made else ""
        case faults.WRONG_AUD, "token" if arrived.params.get("grant_type") == "client_credentials":
            spoilt.fault, spoilt.answer = run.fault, _assertion_refused(request, arrived)
        case faults.EXPIRED_CODE, "token" if arrived.params.get("code"):
            spoilt.fault = run.fault if _age_code(arrived.params["code"], timezone.now()) else ""
        case faults.INVALID_TOKEN, "fhir" if request.META.get("HTTP_AUTHORIZATION"):
            request.META["HTTP_AUTHORIZATION"] = NOBODYS_TOKEN
            spoilt.fault = run.fault
        case faults.FHIR_IS_SLOW, "fhir":
            spoilt.fault = run.fault if _wait(float(runs.choices_of(run).delay)) else ""
    return spoilt


def after(request: HttpRequest, response: HttpResponseBase, arrived: Arrived, run: Run, spoilt: Spoilt) -> None:
    """Spoil an answer on its way out, in place."""
    if arrived.part == "token" and response.status_code == 200 and isinstance(response, HttpResponse):
        _spoil_token(response, arrived, run, spoilt)
    elif run.fault == faults.FHIR_FAILS and arrived.part == "fhir" and response.status_code < 400:
        spoilt.fault = run.fault
        _fail(request, response)
    elif run.fault == faults.EXPIRED_TOKEN and arrived.part == "fhir" and response.status_code == 401:
        spoilt.fault = run.fault  # This is what it was made for.
    elif run.fault == faults.ALTERED_STATE and arrived.is_by_browser:
        _alter_state(response, run, spoilt)


def why(spoilt: Spoilt) -> dict[str, str]:
    """Return what stands in a refusal that the request alone would not have met: name to sentence."""
    if spoilt.fault:
        return {"fix": "Nothing was wrong with the request: you chose this fault. See what the app makes of it."}
    if spoilt.scopes == "":
        return {
            "reason": "an EHR with the habit you chose knows none of the scopes that were asked for",
            "fix": "Ask for scopes that such an EHR knows as well, or choose no habit.",
        }
    return {}


def _follow_habit(request: HttpRequest, arrived: Arrived, run: Run, spoilt: Spoilt) -> None:
    asks = arrived.part in ("authorize", "par") or arrived.params.get("grant_type") == "client_credentials"
    asked = arrived.params.get("scope", "")
    left = scopes_under(run.habit, asked)
    if asks and left != asked and rewriting.change(request, {"scope": left}):
        spoilt.scopes = left


def _assertion_refused(request: HttpRequest, arrived: Arrived) -> HttpResponse:
    context = context_of(request)
    context.endpoint, context.client_id = "token", arrived.client_id
    refusal = Refusal(
        "assertion.aud",
        "aud does not name this server, or names another tenant of it",
        expected=endpoints.oauth(None, "token"),
        seen=OTHER_SERVER,
        fix=CHOSEN,
    )
    return private(error_response(request, InvalidClient(refusal)))


def _age_code(code: str, now: datetime) -> bool:
    good = AuthorizationCode.objects.filter(code=digest(code), spent_at__isnull=True, expires__gt=now)
    return good.update(expires=now - timedelta(minutes=5)) == 1


def _wait(seconds: float) -> bool:
    if not _waiting.acquire(blocking=False):
        return False
    try:
        time.sleep(seconds)
    finally:
        _waiting.release()
    return True


def _spoil_token(response: HttpResponse, arrived: Arrived, run: Run, spoilt: Spoilt) -> None:
    members = msgspec.json.decode(response.content)
    row = AccessToken.objects.filter(token_checksum=digest(members["access_token"]))
    now = timezone.now()
    lifetime = HABITS[run.habit].token_lifetime if run.habit in HABITS else None
    if lifetime is not None and lifetime < members["expires_in"]:
        row.update(expires=now + timedelta(seconds=lifetime))
        members["expires_in"] = lifetime
    if run.fault == faults.EXPIRED_TOKEN and _is_first(arrived, run):
        row.update(expires=now)
        spoilt.fault = run.fault
    if run.fault == faults.MISSING_CONTEXT and any(members.pop(name, None) is not None for name in CONTEXT):
        for name in CONTEXT:
            members.pop(name, None)
        spoilt.fault = run.fault
    response.content = msgspec.json.encode(members)


def _alter_state(response: HttpResponseBase, run: Run, spoilt: Spoilt) -> None:
    if not noting.is_code_for_app(response, run.client_id):
        return
    altered = rewriting.with_other_values(response["Location"], {"state": new_secret()})
    spoilt.fault = run.fault if altered != response["Location"] else ""  # Who sent no state can check none.
    response["Location"] = altered


def _is_first(arrived: Arrived, run: Run) -> bool:
    """Return False for a token that takes the place of an expired one: a service has no other way to get that."""
    grant_type = arrived.params.get("grant_type")
    if grant_type == "client_credentials":
        return not run.steps.filter(part="token", fault=faults.EXPIRED_TOKEN).exists()
    return grant_type != "refresh_token"


def _fail(request: HttpRequest, response: HttpResponseBase) -> None:
    """Make a failure of an answer, and keep the headers by which a page of another origin may read it."""
    context = context_of(request)
    refusal = Refusal("fault.fhir_fails", "the launcher let the FHIR server fail", fix=CHOSEN)
    record(context, status=503, error="transient", refusal=refusal)
    outcome = operation_outcome("transient", "The FHIR server behind this one gave no answer.", str(context.trace_id))
    for name in ("ETag", "Last-Modified", "Location", "Content-Location", "Content-Length", "Content-Encoding"):
        if name in response:
            del response[name]
    response.status_code = 503
    response["Content-Type"] = FHIR_JSON
    response["Retry-After"] = "5"
    body = b"" if request.method == "HEAD" else msgspec.json.encode(outcome)
    if response.streaming:
        response.streaming_content = iter([body])  # type: ignore[attr-defined]
    else:
        response.content = body  # type: ignore[attr-defined]
