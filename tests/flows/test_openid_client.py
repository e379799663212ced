"""App launch with a client nobody here wrote: openid-client on Node, over real HTTP, for every authentication method.

It checks issuer, audience, signature, nonce and times of ID tokens by itself. OIDC Core §3.1.3.7; OIDC Discovery §4;
RFC 6749 §4.1 and §6; RFC 7636; RFC 9126; RFC 9449; SMART 2.2 app-launch.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws

from smartauth.models import AuthorizationCode
from smartauth.people.models import User
from tests.world import LAUNCH_SCOPE, App, MakeApp, MakePerson, World, make_app, make_person

__all__ = ["make_app", "make_person"]

NODE_FOLDER = Path(__file__).resolve().parent.parent / "node"


class Refused(Exception):
    """What openid-client refused, or was refused. `code` is the OAuth error or the library's own."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


class OpenidClient:
    """One process of openid-client, asked step by step."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, step: str, **request: Any) -> Any:
        """Return the answer to a step. Raises Refused with the library's words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"step": step, **request}) + "\n")
        self._process.stdin.flush()
        outcome = json.loads(self._process.stdout.readline())
        if "error" in outcome:
            raise Refused(**outcome["error"])
        return outcome["answer"]

    def authorize(
        self,
        world: World,
        app: App,
        scope: str = LAUNCH_SCOPE,
        *,
        push: bool = False,
        bind: bool = False,
        **parameters: str,
    ) -> str:
        """Return the URL to send the person to. push: hand the request over first. bind: use a key pair for tokens."""
        method = "private_key_jwt" if app.key else "client_secret_basic" if app.secret else "none"
        key = app.key.as_dict(private=True) if app.key else None
        url: str = self.ask(
            "authorize",
            issuer=world.base_url,
            client_id=app.client_id,
            authenticate={"method": method, "secret": app.secret, "key": key},
            redirect_uri=app.redirect_uri,
            parameters={"scope": scope, "aud": world.fhir_base, **parameters},
            push=push,
            bind=bind,
        )
        return url


@pytest.fixture
def openid_client() -> Iterator[OpenidClient]:
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules" / ".installed").exists():
        pytest.skip("NO NODE: install Node 20 with npm and run `make test` for the tests with JavaScript clients")
    command = [node, str(NODE_FOLDER / "openid_client.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield OpenidClient(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("method", "id_token_alg"), [("none", "RS256"), ("client_secret_basic", "ES256"), ("private_key_jwt", "RS256")]
)
def test_openid_client_signs_in_reads_and_refreshes(
    world: World,
    make_app: MakeApp,
    make_person: MakePerson,
    openid_client: OpenidClient,
    method: str,
    id_token_alg: str,
) -> None:
    app = make_app(f"openid-{method.replace('_', '-')}", method, id_token_signed_response_alg=id_token_alg)
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")

    callback = ana.launch(openid_client.authorize(world, app), patient="ana")
    assert callback.startswith(f"{app.redirect_uri}?")
    assert (ana.kinds[0], ana.kinds[-1]) == ("sign-in", "consent")

    tokens = openid_client.ask("exchange", url=callback)
    assert (tokens["token_type"], tokens["patient"]) == ("bearer", "ana")
    assert set(tokens["scope"].split()) == set(LAUNCH_SCOPE.split())
    assert jws.extract_compact(tokens["id_token"].encode()).headers()["alg"] == id_token_alg
    claims = tokens["claims"]
    assert claims["sub"] == str(User.objects.get(username=ana.username).subject)
    assert claims["fhirUser"] == f"{world.fhir_base}/Patient/ana"
    assert time.time() - 60 < claims["auth_time"] <= claims["iat"]

    assert openid_client.ask("userinfo")["sub"] == claims["sub"]
    patient = openid_client.ask("read", url=f"{world.fhir_base}/Patient/ana")
    assert (patient["status"], patient["body"]["id"]) == (200, "ana")

    refreshed = openid_client.ask("refresh")
    assert refreshed["access_token"] != tokens["access_token"]
    assert (refreshed["patient"], refreshed["scope"]) == (tokens["patient"], tokens["scope"])
    assert openid_client.ask("read", url=f"{world.fhir_base}/Patient/ana")["status"] == 200
    assert openid_client.ask("userinfo")["sub"] == claims["sub"]


METHODS = ["none", "client_secret_basic", "private_key_jwt"]


@pytest.mark.requirement("EXT-01", "EXT-03", "EXT-04")
@pytest.mark.parametrize("method", METHODS)
def test_openid_client_pushes_its_request(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient, method: str
) -> None:
    name = f"openid-push-{method.replace('_', '-')}"
    app = make_app(name, method, require_pushed_authorization_requests=True)
    ana = make_person(f"ana-{name}", "Patient/ana")
    url = openid_client.authorize(world, app, push=True)
    assert set(parse_qs(urlsplit(url).query)) == {"client_id", "request_uri"}
    tokens = openid_client.ask("exchange", url=ana.launch(url, patient="ana"))
    assert (tokens["token_type"], tokens["patient"]) == ("bearer", "ana")
    refused = urlsplit(ana.launch(openid_client.authorize(world, app), patient="ana"))
    assert parse_qs(refused.query)["error"] == ["invalid_request"]


@pytest.mark.requirement("EXT-01", "EXT-02")
def test_openid_client_learns_at_once_what_is_wrong_with_its_request(
    world: World, make_app: MakeApp, openid_client: OpenidClient
) -> None:
    with pytest.raises(Refused) as refused:
        openid_client.authorize(world, make_app("openid-push-wrong"), scope="system/*.rs", push=True)
    assert refused.value.code == "invalid_scope"


@pytest.mark.requirement("EXT-05", "EXT-06", "EXT-07", "EXT-08")
@pytest.mark.parametrize("demands_nonce", [False, True])
@pytest.mark.parametrize("push", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_openid_client_uses_tokens_bound_to_its_key(
    world: World,
    make_app: MakeApp,
    make_person: MakePerson,
    openid_client: OpenidClient,
    method: str,
    push: bool,
    demands_nonce: bool,
) -> None:
    name = f"openid-bound-{method.replace('_', '-')}-{push}-{demands_nonce}".lower()
    app = make_app(name, method, dpop_bound_access_tokens=True, require_dpop_nonce=demands_nonce)
    ana = make_person(f"ana-{name}", "Patient/ana")

    # It sends its nonces by itself: it asks again whenever it is told one.
    tokens = openid_client.ask("exchange", url=ana.launch(openid_client.authorize(world, app, push=push, bind=True)))
    assert (tokens["token_type"], tokens["patient"]) == ("dpop", "ana")
    assert AuthorizationCode.objects.filter(application__client_id=name).exclude(dpop_jkt="").count() == 1

    for _ in range(2):
        assert openid_client.ask("userinfo")["sub"] == tokens["claims"]["sub"]
        for path in ("Patient/ana", "Observation?patient=ana&_count=2"):
            assert openid_client.ask("read", url=f"{world.fhir_base}/{path}")["status"] == 200
        refreshed = openid_client.ask("refresh")
        assert (refreshed["token_type"], refreshed["patient"]) == ("dpop", "ana")


def test_a_second_launch_in_the_same_browser_needs_no_second_sign_in(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient
) -> None:
    app = make_app("openid-twice")
    ana = make_person("ana-twice", "Patient/ana")
    first = openid_client.ask("exchange", url=ana.launch(openid_client.authorize(world, app), patient="ana"))
    second = openid_client.ask("exchange", url=ana.launch(openid_client.authorize(world, app), patient="ana"))
    assert "sign-in" not in ana.kinds
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]
    assert second["claims"]["sub"] == first["claims"]["sub"]


@pytest.mark.parametrize("again", [{"max_age": "0"}, {"prompt": "login"}])
def test_an_app_can_ask_for_a_new_sign_in(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient, again: dict[str, str]
) -> None:
    app = make_app(f"openid-{'-'.join(again)}")
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")
    first = openid_client.ask("exchange", url=ana.launch(openid_client.authorize(world, app), patient="ana"))
    time.sleep(1)  # auth_time is in whole seconds.
    callback = ana.launch(openid_client.authorize(world, app, **again), patient="ana")
    assert ana.kinds[0] == "sign-in"
    assert openid_client.ask("exchange", url=callback)["claims"]["auth_time"] > first["claims"]["auth_time"]


def test_a_clinician_picks_the_patient(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient
) -> None:
    app = make_app("openid-clinician")
    grey = make_person("grey-openid", "Practitioner/dr-grey")
    callback = grey.launch(openid_client.authorize(world, app), patient="ben")
    assert grey.kinds == ["sign-in", "patient", "consent"]
    tokens = openid_client.ask("exchange", url=callback)
    assert tokens["patient"] == "ben"
    assert tokens["claims"]["fhirUser"] == f"{world.fhir_base}/Practitioner/dr-grey"
    assert openid_client.ask("read", url=f"{world.fhir_base}/Patient/ben")["status"] == 200
    assert openid_client.ask("read", url=f"{world.fhir_base}/Patient/ana")["status"] == 404


@pytest.mark.requirement("AUTHZ-16")
@pytest.mark.parametrize(
    ("fhir_user", "where"), [("Patient/ana", "consent"), ("Practitioner/dr-grey", "patient"), (None, "consent")]
)
def test_a_refusal_reaches_openid_client_as_access_denied(
    world: World,
    make_app: MakeApp,
    make_person: MakePerson,
    openid_client: OpenidClient,
    fhir_user: str | None,
    where: str,
) -> None:
    name = f"denied-{(fhir_user or 'nobody').partition('/')[0].lower()}"
    person = make_person(name, fhir_user)
    callback = person.launch(openid_client.authorize(world, make_app(name)), allow=False)
    assert person.kinds == ["sign-in", where]
    with pytest.raises(Refused) as refused:
        openid_client.ask("exchange", url=callback)
    assert refused.value.code == "access_denied"


@pytest.mark.requirement("SCOPE-18")
def test_a_scope_taken_back_at_consent_is_not_granted(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient
) -> None:
    taken_back = "patient/Immunization.rs"
    scope = f"{LAUNCH_SCOPE} {taken_back}"
    app = make_app("openid-less", scope=scope)
    ana = make_person("ana-less", "Patient/ana")
    callback = ana.launch(openid_client.authorize(world, app, scope), patient="ana", untick=[taken_back])
    assert set(openid_client.ask("exchange", url=callback)["scope"].split()) == set(LAUNCH_SCOPE.split())
    assert openid_client.ask("read", url=f"{world.fhir_base}/Observation?patient=ana")["status"] == 200
    with pytest.raises(Refused, match="insufficient_scope"):
        openid_client.ask("read", url=f"{world.fhir_base}/Immunization?patient=ana")


def test_a_code_is_taken_once(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: OpenidClient
) -> None:
    app = make_app("openid-replay")
    callback = make_person("ana-replay", "Patient/ana").launch(openid_client.authorize(world, app), patient="ana")
    openid_client.ask("exchange", url=callback)
    with pytest.raises(Refused) as refused:
        openid_client.ask("exchange", url=callback)
    assert refused.value.code == "invalid_grant"
