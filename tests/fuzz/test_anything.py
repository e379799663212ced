"""Anything at all, at every endpoint: never a failure, never a token, never a refusal without its reason."""

from django.test import Client as Browser

from tests.endpoints.app_launch import App
from tests.endpoints.conftest import Service
from tests.fuzz.anything import paths, requests
from tests.fuzz.exploring import explore
from tests.fuzz.sending import Sent, gives_something, require_an_answer, send


def test_every_endpoint_is_tried() -> None:
    assert {"/auth/sandbox/token", "/auth/token", "/auth/sandbox/authorize", "/fhir/sandbox/r4/Patient/ana"} <= set(
        paths()
    )


def test_nobody_gets_a_failure_a_token_or_a_refusal_without_a_reason(
    behind: None, growth_chart: App, bulk_loader: Service
) -> None:
    def check_anything(sent: Sent) -> None:
        answer = send(Browser(raise_request_exception=True), sent)
        require_an_answer(sent, answer)
        assert not gives_something(answer), sent

    explore(requests(), check_anything, part=0.5)
