"""What an operator decides reaches every worker within a second: two of them answer, and a third process decides.

RFC 7592 §2.3; RFC 9700 §4.14; SMART 2.2 app-launch, "Register App with EHR".
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

import pytest
import requests
from django.utils import timezone

from clients.acting import operator
from clients.activations import activate, deactivate
from clients.client_secrets import issue_secret
from clients.lifecycle import take_step
from clients.models import Client
from clients.registration import register_client
from smartauth.context import new_context
from smartauth.models import Authorization
from tests.flows.test_concurrency import ask_for_token, assertion
from tests.world import Partner, World, key_set, new_key, tenant_of

pytestmark = pytest.mark.clocked
PROMISED = 1.0  # seconds until every worker knows
WATCHED = 1.6  # seconds for which both are asked again and again
EVERY = 0.02  # seconds between two requests; each on a connection of its own, so that both workers are asked
WIDE, NARROW = "system/Patient.rs system/Observation.rs", "system/Patient.rs"
OPERATOR = operator(None)
numbers = count(1)


@dataclass(frozen=True, slots=True)
class Applicant:
    """A backend service that registered and waits, as its operator and as its program see it."""

    world: World
    partner: Partner

    @property
    def row(self) -> Client:
        return Client.objects.get(client_id=self.partner.client_id)

    def step(self, name: str, reason: str = "") -> None:
        take_step(self.partner.client_id, name, by=OPERATOR, context=new_context(), reason=reason)

    def activate(self, scope: str = "") -> None:
        activate(self.row, tenant_of(self.world), allowed_scope=scope, by=OPERATOR, context=new_context())

    def deactivate(self) -> None:
        deactivate(self.row, tenant_of(self.world), by=OPERATOR, context=new_context(), note="The contract ended.")

    def token(self) -> tuple[str, str]:
        """Ask for all there is; return what was granted and the token, or the error and nothing."""
        signed = assertion(self.world, self.partner)
        status, body = ask_for_token(self.world, signed, scope=WIDE)
        return (body["scope"], body["access_token"]) if status == 200 else (body["error"], "")

    def granted(self) -> str:
        return self.token()[0]

    def read(self, token: str, resource: str = "Patient/ana") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.world.fhir_base}/{resource}", headers=headers, timeout=10).status_code


@pytest.fixture
def applicant(world: World) -> Applicant:
    key = new_key("ES384")
    metadata = {
        "client_name": f"Applicant {next(numbers)}",
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "scope": WIDE,
        "jwks": key_set(key),
    }
    registered = register_client(metadata, operator=False, approved=False, propose_at=[tenant_of(world)])
    return Applicant(world, Partner(registered.client.client_id, key, "ES384"))


def known_after(decide: Callable[[], None], ask: Callable[[], object], *, before: object, after: object) -> float:
    """Decide, and return the seconds after which no worker gave the answer of before any more.

    Both workers have given it already, so that both remember what is no longer true.
    """
    assert {ask() for _ in range(12)} == {before}
    decide()
    decided, last, answers = time.monotonic(), 0.0, set()
    while (asked := time.monotonic()) < decided + WATCHED:
        answer = ask()
        answers.add(answer)
        if answer == before:
            last = asked - decided
        time.sleep(EVERY)
    assert answers <= {before, after}
    assert after in answers
    return last


def require_promise(seconds: float) -> None:
    assert seconds < PROMISED, f"a worker went by the old state for {seconds:.2f} s"


@pytest.mark.requirement("REG-11")
def test_an_approved_and_activated_client_gets_a_token_from_every_worker_within_a_second(applicant: Applicant) -> None:
    def decide() -> None:
        applicant.step("approved")
        applicant.activate(NARROW)

    # The tenant allows less than is registered, and that is what counts.
    require_promise(known_after(decide, applicant.granted, before="invalid_client", after=NARROW))
    _, token = applicant.token()
    assert applicant.read(token) == 200
    assert applicant.read(token, "Observation?patient=ana") == 403


@pytest.mark.requirement("REG-11")
def test_the_hospital_may_decide_before_the_operator(applicant: Applicant) -> None:
    applicant.activate()
    require_promise(
        known_after(partial(applicant.step, "approved"), applicant.granted, before="invalid_client", after=WIDE)
    )


@pytest.mark.requirement("REG-11")
def test_a_narrower_activation_reaches_every_worker_and_the_tokens_that_are_out(applicant: Applicant) -> None:
    applicant.step("approved")
    applicant.activate()
    time.sleep(PROMISED)
    _, token = applicant.token()
    search = partial(applicant.read, token, "Observation?patient=ana")
    require_promise(known_after(partial(applicant.activate, NARROW), search, before=200, after=403))
    assert applicant.granted() == NARROW
    assert applicant.read(token) == 200


def test_a_new_secret_is_good_at_once_on_every_worker_and_is_no_guess(world: World) -> None:
    metadata = {"client_name": "Secretive", "redirect_uris": ["https://secretive.example.org/callback"]}
    registered = register_client(metadata, operator=True, activate_at=[tenant_of(world)])
    client_id = registered.client.client_id

    def show(secret: str | None) -> int:
        params = {"grant_type": "authorization_code", "code": "none", "redirect_uri": metadata["redirect_uris"][0]}
        answer = requests.post(world.token_url, params, auth=(client_id, secret or ""), timeout=10)
        return answer.status_code

    assert {show(registered.secret) for _ in range(12)} == {400}  # Every worker remembers the first secret.
    issued = issue_secret(client_id, by=OPERATOR, context=new_context(), now=timezone.now())
    assert [show(issued.secret) for _ in range(12)] == [400] * 12
    assert show("a wrong one") == 401


@pytest.mark.requirement("REG-14")
def test_suspending_ends_tokens_everywhere_within_a_second_and_resuming_brings_none_back(applicant: Applicant) -> None:
    applicant.step("approved")
    applicant.activate()
    time.sleep(PROMISED)
    _, token = applicant.token()
    suspend = partial(applicant.step, "suspended", "It leaked its key.")
    require_promise(known_after(suspend, partial(applicant.read, token), before=200, after=401))
    assert applicant.granted() == "invalid_client"
    [ended] = Authorization.objects.filter(client=applicant.row)
    assert (ended.revoked_at is not None, ended.revoked_by) == (True, "operator")

    require_promise(
        known_after(partial(applicant.step, "resumed"), applicant.granted, before="invalid_client", after=WIDE)
    )
    assert {applicant.read(token) for _ in range(12)} == {401}
    assert applicant.read(applicant.token()[1]) == 200


@pytest.mark.requirement("REG-14")
def test_retiring_ends_tokens_everywhere_within_a_second(applicant: Applicant) -> None:
    applicant.step("approved")
    applicant.activate()
    time.sleep(PROMISED)
    _, token = applicant.token()
    retire = partial(applicant.step, "retired")
    require_promise(known_after(retire, partial(applicant.read, token), before=200, after=401))
    assert applicant.granted() == "invalid_client"


def test_switching_off_at_one_hospital_stops_tokens_there_within_a_second(applicant: Applicant) -> None:
    applicant.step("approved")
    applicant.activate()
    time.sleep(PROMISED)
    _, token = applicant.token()
    require_promise(known_after(applicant.deactivate, partial(applicant.read, token), before=200, after=401))
    assert applicant.granted() == "invalid_client"
