"""What the launcher lets go wrong, and how its EHR behaves, as an app meets it: by real HTTP, in every kind of launch.

The app knows what it was told, and nothing of this server. RFC 6749 §4.1.2.1 and §5; RFC 6750 §3.1; FHIR R4 http.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from joserfc.jwk import ECKey

from clients.models import Client
from smartauth.conf import config
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS, why_not
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS, PORTAL, PROVIDER, STANDALONE
from smartauth.sandbox.models import Run
from tests.endpoints.app_launch import Pkce
from tests.flows.authlib_session import keyed_session
from tests.flows.visitor import Visitor, opened_in, visitor
from tests.hospital import PASSWORD, hospital
from tests.person import Person
from tests.world import World, register

__all__ = ["hospital", "visitor"]

Story = dict[str, Any]
DELAY = 2  # seconds; what a slow FHIR server is told here

TRIED = {
    "client_id": "tried-app",
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": ["https://tried.example.org/callback"],
    "launch_urls": ["https://tried.example.org/launch"],
    "scope": "launch launch/patient openid offline_access patient/*.rs",
}
ASKED = "openid offline_access patient/*.rs patient/Goal.read"

# What an app meets while nothing goes wrong. Later members of a story are absent where it could not go on.
WELL_READ = {"read": 200, "challenge": "", "body": "Patient", "is late": False, "read once more": 200}
WELL_APP = {"answer": "code", "state": "as sent", "token": 200, "patient": "ana", **WELL_READ}
WELL_SERVICE = {"token": 200, **WELL_READ}
UP_TO_TOKEN = ("answer", "state", "token")
UP_TO_READ = (*UP_TO_TOKEN, "patient", "read", "challenge", "body", "is late")
REFUSED = {"read": 401, "challenge": "invalid_token", "body": "OperationOutcome"}
REFUSED_AGAIN = REFUSED | {"read once more": 401}
FAILED = {"read": 503, "body": "OperationOutcome", "read once more": 503}


def app(*members: str, **changes: Any) -> Story:
    """Return the story of an app with these changes; with `members`, what it has up to where it could not go on."""
    return {name: value for name, value in (WELL_APP | changes).items() if not members or name in members}


def service(*members: str, **changes: Any) -> Story:
    return {name: value for name, value in (WELL_SERVICE | changes).items() if not members or name in members}


FAULT_CASES = {
    # fault           what an app meets                                          what a service meets, None: it cannot
    "":               (app(),                                                    service()),
    "wrong-aud":      (app("answer", "state", answer="invalid_request"),
                       service("token", token="invalid_client")),
    "altered-state":  (app("answer", "state", state="another"),                  None),
    "expired-code":   (app(*UP_TO_TOKEN, token="invalid_grant"),                 None),
    "invalid-token":  (app(**REFUSED_AGAIN),                                     service(**REFUSED_AGAIN)),
    "expired-token":  (app(**REFUSED),                                           service(**REFUSED)),
    "missing-context": (app(patient=None),                                       None),
    "fhir-fails":     (app(**FAILED),                                            service(**FAILED)),
    "fhir-is-slow":   (app(*UP_TO_READ, **{"is late": True}),
                       service(*UP_TO_READ, **{"is late": True})),
}  # fmt: skip


@dataclass
class Tried:
    """An app, or with BACKEND a service, that is launched and tells what it met. The people sign in once."""

    world: World
    visitor: Visitor
    kind: str
    person: Person | None
    tokens: dict[str, Any] = field(default_factory=dict)

    def launched(self, **chosen: str) -> str:
        """Have the launcher launch it, and return the handle that came with the launch, "" where none does."""
        client = "bulk-loader" if self.kind == BACKEND else TRIED["client_id"]
        user = {PROVIDER: "dr-grey", PORTAL: "ana"}.get(self.kind, "")
        patient = "ana" if user else ""
        page = self.visitor.launch(kind=self.kind, client=str(client), user=user, patient=patient, **chosen)
        assert page.status_code == 200, page.text
        return parse_qs(urlsplit(opened_in(page)).query)["launch"][0] if user else ""

    def story(self, *, scope: str = ASKED, **chosen: str) -> Story:
        """Return what it meets in a launch with these choices."""
        handle = self.launched(delay=str(DELAY), **chosen)
        story = self._as_service(scope) if self.kind == BACKEND else self._as_app(handle, scope)
        Run.objects.all().delete()
        return story

    def _as_app(self, handle: str, scope: str) -> Story:
        """Authorize, redeem, read, refresh and read again, and stop where an app would have to."""
        configuration = requests.get(f"{self.world.fhir_base}/.well-known/smart-configuration", timeout=20).json()
        pkce, state = Pkce(), secrets.token_urlsafe(24)
        asked = {
            "response_type": "code",
            "client_id": TRIED["client_id"],
            "redirect_uri": TRIED["redirect_uris"][0],
            "scope": f"{'launch' if handle else 'launch/patient'} {scope}",
            "state": state,
            "aud": self.world.fhir_base,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            **({"launch": handle} if handle else {}),
        }
        assert self.person
        url = self.person.launch(f"{configuration['authorization_endpoint']}?{urlencode(asked)}", patient="ana")
        told = dict(parse_qsl(urlsplit(url).query))
        is_own = told["state"] == state
        story: Story = {"answer": told.get("error", "code"), "state": "as sent" if is_own else "another"}
        if "code" not in told or not is_own:
            return story
        form = {"code": told["code"], "redirect_uri": asked["redirect_uri"], "code_verifier": pkce.verifier}
        story["token"] = self._ask(configuration["token_endpoint"], "authorization_code", form)
        if story["token"] != 200:
            return story
        story["patient"] = self.tokens.get("patient")
        story |= self._read()
        if "refresh_token" in self.tokens and not story["is late"]:  # Once was enough.
            form = {"refresh_token": self.tokens["refresh_token"]}
            assert self._ask(configuration["token_endpoint"], "refresh_token", form) == 200
            story["read once more"] = self._read()["read"]
        return story

    def _ask(self, url: str, grant_type: str, form: dict[str, str]) -> int | str:
        answer = requests.post(url, {"grant_type": grant_type, "client_id": TRIED["client_id"], **form}, timeout=20)
        if answer.status_code == 200:
            self.tokens = answer.json()
            return 200
        assert answer.status_code == 400
        error: str = answer.json()["error"]
        return error

    def _as_service(self, scope: str) -> Story:
        key = ECKey.import_key((config().var / "secrets" / "bulk-loader.pem").read_bytes(), {"alg": "ES384"})
        key.ensure_kid()
        session = keyed_session(self.world, "bulk-loader", key, alg="ES384", scope=scope)
        try:
            self.tokens = session.fetch_token(self.world.token_url, grant_type="client_credentials")
        except OAuthError as error:
            return {"token": error.error}
        story = {"token": 200} | self._read()
        if story["is late"]:
            return story
        self.tokens = session.fetch_token(self.world.token_url, grant_type="client_credentials")
        return story | {"read once more": self._read()["read"]}

    def _read(self) -> Story:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        began = time.monotonic()
        answer = requests.get(f"{self.world.fhir_base}/Patient/ana", headers=headers, timeout=20)
        took = time.monotonic() - began
        challenge = answer.headers.get("WWW-Authenticate", "")
        return {
            "read": answer.status_code,
            "challenge": "invalid_token" if 'error="invalid_token"' in challenge else challenge,
            "body": answer.json()["resourceType"],
            "is late": took >= DELAY,
        }


@pytest.fixture
def tried(request: pytest.FixtureRequest, hospital: World, visitor: Visitor) -> Iterator[Tried]:
    kind = request.param
    if not Client.objects.filter(client_id=TRIED["client_id"]).exists():
        register(hospital, TRIED)
    who = {PROVIDER: "dr-grey", PORTAL: "ana", STANDALONE: "ana"}.get(kind)
    yield Tried(hospital, visitor, kind, Person(hospital.base_url, who, PASSWORD) if who else None)
    Run.objects.all().delete()


in_every_kind = pytest.mark.parametrize("tried", list(KINDS), indirect=True)


def test_every_fault_is_tried() -> None:
    assert set(FAULT_CASES) == {"", *FAULTS}
    assert {fault for fault, (_, of_service) in FAULT_CASES.items() if of_service is None} == {
        fault.id for fault in FAULTS.values() if BACKEND not in fault.kinds
    }


WILD = "offline_access patient/*.rs patient/Goal.read"
HABIT_CASES = [
    # habit             what of WILD the app is granted                                lifetime of its token
    ("",                "offline_access patient/*.rs patient/Goal.read",               1800),
    ("short-tokens",    "offline_access patient/*.rs patient/Goal.read",               60),
    ("no-refresh",      "patient/*.rs patient/Goal.read",                              1800),
    ("exact-scopes",    "offline_access patient/Goal.read",                            1800),
    ("v1-scopes",       "offline_access patient/Goal.read",                            1800),
    ("narrowed-scopes", "offline_access patient/Patient.rs patient/Observation.rs",    1800),
]  # fmt: skip


@in_every_kind
def test_a_habit_is_met_by_the_app(tried: Tried) -> None:
    is_service = tried.kind == BACKEND
    met, expected = {}, {}
    for habit, granted, lifetime in HABIT_CASES:
        if habit and why_not(habit, tried.kind):
            continue
        scope = WILD.replace("offline_access ", "").replace("patient/", "system/") if is_service else WILD
        tried.story(scope=scope, habit=habit)
        told = tried.tokens
        own = {"launch", "launch/patient"}
        met[habit] = {*told["scope"].split()} - own, told["expires_in"], "refresh_token" in told
        if is_service:
            granted, lifetime = granted.replace("patient/", "system/"), min(lifetime, 300)
        of_type = {*granted.split()} - ({"offline_access"} if is_service else set())
        expected[habit] = of_type, lifetime, "offline_access" in of_type
    assert met == expected
    assert {habit for habit, _, _ in HABIT_CASES} == {"", *HABITS}


@in_every_kind
def test_a_fault_is_met_by_the_app(tried: Tried) -> None:
    is_service = tried.kind == BACKEND
    scope = "system/Patient.rs" if is_service else ASKED
    expected = {fault: case[is_service] for fault, case in FAULT_CASES.items() if case[is_service] is not None}
    assert {fault: tried.story(scope=scope, fault=fault) for fault in expected} == expected


@pytest.mark.parametrize("tried", [BACKEND], indirect=True)
@pytest.mark.parametrize("fault", [fault for fault, case in FAULT_CASES.items() if case[1] is None])
def test_a_fault_that_a_service_cannot_meet_is_refused_with_the_reason(tried: Tried, fault: str) -> None:
    page = tried.visitor.launch(kind=BACKEND, client="bulk-loader", user="", patient="", fault=fault)
    assert page.status_code == 400
    assert FAULTS[fault].no_service in page.text
    assert not Run.objects.exists()
