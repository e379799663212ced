"""How people meet an app's launch, with a client nobody here wrote: openid-client on Node, over real HTTP.

It checks issuer, audience, signature, nonce and times of ID tokens by itself. OIDC Core §3.1.2 and §3.1.3.7;
RFC 6749 §4.1; SMART 2.2 app-launch.
"""

import time

import pytest

from tests.flows.javascript import Library, Refused
from tests.world import LAUNCH_SCOPE, MakeApp, MakePerson, World


def test_a_second_launch_in_the_same_browser_needs_no_second_sign_in(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: Library
) -> None:
    client = openid_client.client(world, make_app("openid-twice"))
    ana = make_person("ana-twice", "Patient/ana")
    first = client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    second = client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    assert "sign-in" not in ana.kinds
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]
    assert second["claims"]["sub"] == first["claims"]["sub"]


@pytest.mark.parametrize("again", [{"max_age": "0"}, {"prompt": "login"}])
def test_an_app_can_ask_for_a_new_sign_in(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: Library, again: dict[str, str]
) -> None:
    app = make_app(f"openid-{'-'.join(again)}")
    client = openid_client.client(world, app)
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")
    first = client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    time.sleep(1)  # auth_time is in whole seconds.
    callback = ana.launch(client.authorize(**again), patient="ana")
    assert ana.kinds[0] == "sign-in"
    assert client.ask("exchange", url=callback)["claims"]["auth_time"] > first["claims"]["auth_time"]


def test_a_clinician_picks_the_patient(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: Library
) -> None:
    client = openid_client.client(world, make_app("openid-clinician"))
    grey = make_person("grey-openid", "Practitioner/dr-grey")
    callback = grey.launch(client.authorize(), patient="ben")
    assert grey.kinds == ["sign-in", "patient", "consent"]
    tokens = client.ask("exchange", url=callback)
    assert tokens["patient"] == "ben"
    assert tokens["claims"]["fhirUser"] == f"{world.fhir_base}/Practitioner/dr-grey"
    assert client.read("Patient/ben")["status"] == 200
    assert client.read("Patient/ana")["status"] == 404


@pytest.mark.requirement("AUTHZ-16")
@pytest.mark.parametrize(
    ("fhir_user", "where"), [("Patient/ana", "consent"), ("Practitioner/dr-grey", "patient"), (None, "consent")]
)
def test_a_refusal_reaches_openid_client_as_access_denied(
    world: World,
    make_app: MakeApp,
    make_person: MakePerson,
    openid_client: Library,
    fhir_user: str | None,
    where: str,
) -> None:
    name = f"denied-{(fhir_user or 'nobody').partition('/')[0].lower()}"
    person = make_person(name, fhir_user)
    client = openid_client.client(world, make_app(name))
    callback = person.launch(client.authorize(), allow=False)
    assert person.kinds == ["sign-in", where]
    with pytest.raises(Refused) as refused:
        client.ask("exchange", url=callback)
    assert (refused.value.kind, refused.value.code) == ("AuthorizationResponseError", "access_denied")


@pytest.mark.requirement("SCOPE-18")
def test_a_scope_taken_back_at_consent_is_not_granted(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: Library
) -> None:
    taken_back = "patient/Immunization.rs"
    scope = f"{LAUNCH_SCOPE} {taken_back}"
    client = openid_client.client(world, make_app("openid-less", scope=scope))
    ana = make_person("ana-less", "Patient/ana")
    callback = ana.launch(client.authorize(scope), patient="ana", untick=[taken_back])
    assert set(client.ask("exchange", url=callback)["scope"].split()) == set(LAUNCH_SCOPE.split())
    assert client.read("Observation?patient=ana")["status"] == 200
    with pytest.raises(Refused) as refused:
        client.read("Immunization?patient=ana")
    assert (refused.value.status, refused.value.code) == (403, "insufficient_scope")
