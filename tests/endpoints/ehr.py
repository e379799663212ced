"""An EHR that begins launches, as a backend service with the right to."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.tenants import TenantInfo
from tests.endpoints.app_launch import FHIR_BASE, REGISTERED, App, make_app
from tests.endpoints.conftest import Service
from tests.factories import phone_app, web_app
from tests.proxy.test_records import Load

LAUNCH = "/auth/launch"
LAUNCH_URL = "https://cardio.example.org/launch"
# What an app may ask for that an EHR launches.
EHR_REGISTERED = f"{REGISTERED} launch/imagingstudy launch/imagingstudy?role=https://x.example/prior"
Begin = Callable[..., str]
BeginAnswer = Callable[..., HttpResponse]


@pytest.fixture
def ehr(register: Callable[..., Service]) -> Service:
    """A backend service that may begin launches at the tenant."""
    return register("ehr", scope="__launch system/Patient.rs")


@pytest.fixture
def chart(tenant: TenantInfo) -> App:
    """A public app that an EHR can launch."""
    return make_app(
        phone_app(client_id="chart", client_name="Chart", launch_urls=[LAUNCH_URL], scope=EHR_REGISTERED), tenant
    )


@pytest.fixture
def clinic(tenant: TenantInfo) -> App:
    """A confidential app that an EHR can launch."""
    metadata = web_app(
        client_id="clinic",
        client_name="Clinic",
        launch_urls=[f"{LAUNCH_URL}?tab=1", "https://cardio.example.org/other"],
        scope=EHR_REGISTERED,
    )
    return make_app(metadata, tenant)


def launch_body(**changes: Any) -> dict[str, Any]:
    """Return a good request for a launch of chart by dr-grey about ana; a change to ... leaves a member out."""
    good = {"client_id": "chart", "iss": FHIR_BASE, "user": "dr-grey", "patient": "ana"}
    return {name: value for name, value in (good | changes).items() if value is not ...}


@pytest.fixture
def begin_answer(ehr: Service, get_token: Callable[..., str]) -> BeginAnswer:
    """Ask for a launch as the EHR does and return the answer."""
    token = get_token(ehr, "__launch")

    def send(**changes: Any) -> HttpResponse:
        headers = {"Authorization": f"Bearer {token}"}
        return Browser().post(LAUNCH, launch_body(**changes), content_type="application/json", headers=headers)

    return send


@pytest.fixture
def begin_launch(begin_answer: BeginAnswer) -> Begin:
    """Begin a launch and return the handle that reaches the app."""

    def send(**changes: Any) -> str:
        answer = begin_answer(**changes)
        assert answer.status_code == 201, answer.content
        handle: str = parse_qs(urlsplit(answer.json()["launch_url"]).query)["launch"][0]
        return handle

    return send


@pytest.fixture
def visits(load: Load) -> None:
    """A visit of ana's and one of ben's."""
    for patient in ("ana", "ben"):
        members = {"status": "finished", "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{patient}"}}
        load("Encounter", f"visit-of-{patient}", **members)
