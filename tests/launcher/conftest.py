"""A launch that the launcher watches, in front of the server: an EHR, an app, people, and a FHIR server behind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from smartauth.people.models import User
from smartauth.sandbox.launcher import recorder, runs
from smartauth.sandbox.launcher.browsers import COOKIE
from smartauth.sandbox.launcher.choices import Choices
from smartauth.sandbox.launcher.kinds import PROVIDER, STANDALONE
from smartauth.sandbox.models import Run
from tests.conftest import Configure
from tests.endpoints.app_launch import App, Launch, ana, browser, calm, dr_grey, growth_chart, launch, small
from tests.endpoints.conftest import Post, bulk_loader, get_token, no_flood, post, register, tenant
from tests.endpoints.ehr import LAUNCH_URL, Begin, begin_answer, begin_launch, chart, clinic, ehr
from tests.endpoints.token_requests import Ask, _rsa_key, ask, redemption, signing_key
from tests.proxy.conftest import Caller, call

__all__ = [
    "_rsa_key",
    "ana",
    "ask",
    "begin_answer",
    "begin_launch",
    "browser",
    "bulk_loader",
    "call",
    "calm",
    "chart",
    "clinic",
    "dr_grey",
    "ehr",
    "get_token",
    "growth_chart",
    "no_flood",
    "post",
    "register",
    "signing_key",
    "small",
    "tenant",
]

MINE = "a browser that began launches"
EHR_SCOPE = "launch openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"
OWN_SCOPE = EHR_SCOPE.replace("launch", "launch/patient", 1)
Watch = Callable[..., Run]


@pytest.fixture(autouse=True)
def elsewhere(configure: Configure, tmp_path: Path) -> None:
    """Keep what the launcher leaves on the disk to one test: its sign makes every other request cost statements."""
    configure(var=tmp_path)


@pytest.fixture
def begin_run() -> Watch:
    """Begin a launch as the form does, and have it watched."""

    def begin(kind: str, client: str, *, handle: str = "", **chosen: Any) -> Run:
        found = Choices(kind=kind, client=client, **({"place": "window"} | chosen))
        opened = f"{LAUNCH_URL}?launch={handle}" if handle else ""
        return runs.begin(found, browser=MINE, opened=opened, launch=handle, now=timezone.now())

    return begin


@dataclass(frozen=True, slots=True)
class Flow:
    """An app that is launched in one of the ways, and the person at the browser."""

    run: Run
    app: App
    user: User
    browser: Browser
    asked: dict[str, Any]  # beside the usual authorization parameters
    ask: Ask
    call: Caller

    def code(self) -> Launch:
        """Return what the app knows once the person has allowed it."""
        return launch(self.browser, self.app, self.user, **self.asked)

    def tokens(self) -> dict[str, Any]:
        """Return the token response that reaches the app."""
        answer = self.ask(self.app, redemption(self.code()))
        assert answer.status_code == 200, answer.content
        body: dict[str, Any] = answer.json()
        return body

    def refresh(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """Return the token response to a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        body: dict[str, Any] = self.ask(self.app, form).json()
        return body

    def seen(self) -> list[dict[str, Any]]:
        """Return what the recorder tells."""
        steps: list[dict[str, Any]] = recorder.told(self.run)["steps"]
        return steps

    def verdicts(self) -> dict[str, str]:
        """Return the marks of the report, by id."""
        return {mark["id"]: mark["verdict"] for mark in recorder.told(self.run)["report"]}


MakeFlow = Callable[..., Flow]


@pytest.fixture
def make_flow(
    begin_run: Watch,
    begin_launch: Begin,
    browser: Browser,
    chart: App,
    dr_grey: User,
    ana: User,
    ask: Ask,
    call: Caller,
) -> MakeFlow:
    """Begin a launch of chart by kind, with the browser that began it."""
    browser.cookies[COOKIE] = MINE

    def make(kind: str = PROVIDER, **chosen: Any) -> Flow:
        if kind == STANDALONE:
            return Flow(begin_run(kind, "chart", **chosen), chart, ana, browser, {"scope": OWN_SCOPE}, ask, call)
        user = dr_grey if kind == PROVIDER else ana
        handle = begin_launch(user=user.username)
        asked = {"scope": EHR_SCOPE, "launch": handle}
        return Flow(begin_run(kind, "chart", handle=handle, **chosen), chart, user, browser, asked, ask, call)

    return make


@pytest.fixture
def service_token(post: Post, bulk_loader: Any) -> Callable[..., Any]:
    """Ask for a token as bulk-loader and return the answer, whatever it is."""

    def send(scope: str = "system/Patient.rs") -> Any:
        form = {"grant_type": "client_credentials", "scope": scope, **bulk_loader.credentials()}
        return post("/auth/sandbox/token", form)

    return send


@pytest.fixture(autouse=True)
def _signs(signing_key: None) -> None:
    """Have ID tokens signed in every test here."""
