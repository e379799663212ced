"""App launch with a client nobody here wrote: the Python fhirclient, with a secret, over real HTTP.

It finds the endpoints in the CapabilityStatement, which it reads strictly, and sends `client_id` beside Basic.
SMART 2.2 app-launch and conformance; RFC 6749 §2.3.1, §4.1 and §6; RFC 7636.
"""

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.immunization import Immunization
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRPermissionDeniedException

from tests.world import MakeApp, MakePerson, World, make_app, make_person

__all__ = ["make_app", "make_person"]

# The client puts launch/patient in front by itself.
SCOPE = "openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"


def client_of(world: World, make_app: MakeApp, name: str, scope: str = SCOPE) -> FHIRClient:
    app = make_app(name, "client_secret_basic", f"launch/patient {scope}")
    return FHIRClient(
        settings={
            "app_id": app.client_id,
            "app_secret": app.secret,
            "api_base": world.fhir_base,
            "redirect_uri": app.redirect_uri,
            "scope": scope,
        }
    )


def test_fhirclient_launches_reads_searches_and_refreshes(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    client = client_of(world, make_app, "fhirclient")
    ana = make_person("ana-fhirclient", "Patient/ana")
    client.handle_callback(ana.launch(client.authorize_url, patient="ana"))
    assert client.ready
    assert client.patient_id == "ana"
    assert client.patient.id == "ana"

    observations = list(Observation.where({"patient": "ana", "_count": "2"}).perform_resources_iter(client.server))
    assert len(observations) > 2  # Later pages were followed.
    assert {found.subject.reference.partition("/_history/")[0] for found in observations} == {"Patient/ana"}
    with pytest.raises(FHIRNotFoundException):
        Patient.read("ben", client.server)

    before = client.server.auth.access_token
    assert client.reauthorize()
    assert client.server.auth.access_token != before
    assert client.patient_id == "ana"
    assert Patient.read("ana", client.server).id == "ana"


def test_fhirclient_kept_as_state_between_requests_of_an_app_goes_on(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    begun = client_of(world, make_app, "fhirclient-state")
    callback = make_person("ana-state", "Patient/ana").launch(begun.authorize_url, patient="ana")
    returned = FHIRClient(state=begun.state)
    returned.handle_callback(callback)
    assert FHIRClient(state=returned.state).patient.id == "ana"


def test_fhirclient_finds_nothing_of_what_was_taken_back_at_consent(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    taken_back = "patient/Immunization.rs"
    client = client_of(world, make_app, "fhirclient-less", f"{SCOPE} {taken_back}")
    ana = make_person("ana-fhirclient-less", "Patient/ana")
    client.handle_callback(ana.launch(client.authorize_url, patient="ana", untick=[taken_back]))
    assert next(Observation.where({"patient": "ana"}).perform_resources_iter(client.server))
    with pytest.raises(FHIRPermissionDeniedException):
        next(Immunization.where({"patient": "ana"}).perform_iter(client.server))


def test_fhirclient_tells_the_reason_of_a_refused_consent(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    client = client_of(world, make_app, "fhirclient-denied")
    callback = make_person("ana-fhirclient-denied", "Patient/ana").launch(
        client.authorize_url, patient="ana", allow=False
    )
    with pytest.raises(Exception, match="declined"):
        client.handle_callback(callback)
