"""fhirContext for clients of every SMART version: in token answers, in tokens, at refresh and at introspection alike.

SMART 2.2 and SMART 2.0 scopes-and-launch-context, "fhirContext"; SMART 2.2 token-introspection.
"""

from typing import Any

import pytest
from django.test import Client as Browser

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import User
from tests.endpoints.app_launch import App, launch, make_app
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.token_requests import Ask, body_of, redemption, verified
from tests.factories import phone_app

__all__ = ["auditor"]

pytestmark = [pytest.mark.usefixtures("signing_key", "small"), pytest.mark.requirement("CTX-18", "T-22")]

OBJECTS = [
    {"reference": "ImagingStudy/img-88"},
    {"reference": "List/ml-3", "role": "https://cardio.example/roles/home-meds"},
    {"canonical": "https://forms.example/Questionnaire/intake|2.1", "type": "Questionnaire"},
]
REFERENCES = ["ImagingStudy/img-88"]
TOLD = [
    # registered as, told
    (None, OBJECTS),
    ("2.2", OBJECTS),
    ("2.0", REFERENCES),
    ("1.0", None),
]


def app_of(version: str | None, tenant: TenantInfo) -> App:
    metadata = phone_app(client_name="Growth Chart")
    return make_app(metadata | ({"smart_version": version} if version else {}), tenant)


def started(browser: Browser, app: App, user: User, context: list[Any]) -> dict[str, str]:
    """Launch an app with this fhirContext besides the patient, and return what redeems its code."""
    launched = launch(browser, app, user)
    authorization = Authorization.objects.get()
    # As if the EHR had put it into the launch.
    authorization.context["fhirContext"] = context
    authorization.save()
    return redemption(launched)


@pytest.mark.requirement("V1-07")
@pytest.mark.parametrize(("version", "told"), TOLD)
def test_every_answer_tells_it_in_the_client_s_dialect(
    browser: Browser,
    ask: Ask,
    post: Post,
    auditor: Service,
    tenant: TenantInfo,
    ana: User,
    version: str | None,
    told: Any,
) -> None:
    app = app_of(version, tenant)
    first = body_of(ask(app, started(browser, app, ana, OBJECTS)))
    again = body_of(ask(app, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    answers = [first, again]
    for tokens in (first, again):
        answers.append(body_of(post(INTROSPECT, {"token": tokens["access_token"], **auditor.credentials()})))
        answers.append(verified(tokens["access_token"], "ES256").claims)
    for answer in answers:
        assert answer["patient"] == "ana"
        assert answer.get("fhirContext") == told
        assert ("fhirContext" in answer) == (told is not None)


@pytest.mark.parametrize("version", ["2.2", "2.0", "1.0"])
def test_an_empty_one_is_left_out(browser: Browser, ask: Ask, tenant: TenantInfo, ana: User, version: str) -> None:
    app = app_of(version, tenant)
    body = body_of(ask(app, started(browser, app, ana, [])))
    assert body["patient"] == "ana"
    assert "fhirContext" not in body


def test_an_operator_s_change_counts_from_the_next_refresh_on(
    browser: Browser, ask: Ask, post: Post, auditor: Service, tenant: TenantInfo, ana: User
) -> None:
    app = app_of("2.2", tenant)
    first = body_of(ask(app, started(browser, app, ana, OBJECTS)))
    Client.objects.filter(client_id=app.client_id).update(smart_version="2.0")
    again = body_of(ask(app, {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}))
    assert (first["fhirContext"], again["fhirContext"]) == (OBJECTS, REFERENCES)
    old, new = AccessToken.objects.filter(application__client_id=app.client_id).order_by("pk")
    assert (old.claims["fhirContext"], new.claims["fhirContext"]) == (OBJECTS, REFERENCES)
