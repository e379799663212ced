"""Who may see what is labelled: a registration, an activation or a grant that is confined to security labels.

FHIR R4 security-labels; SMART 2.2 scopes-and-launch-context, "Finer-grained resource constraints".
"""

from typing import Any

import pytest

from clients.models import Activation, Client
from tests.proxy.conftest import Behind, Caller, Mint, ids
from tests.proxy.test_writes import observation

ANA = {"patient": "ana"}
SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NORMAL = f"patient/Observation.rs?_security={SYSTEM}|N"


def labelled(name: str, *codes: str) -> dict[str, Any]:
    return observation(id=name, meta={"security": [{"system": SYSTEM, "code": code} for code in codes]})


WHO = [
    # what confines: the client everywhere, the client at one tenant, or what the person granted
    ("registration", "patient/Observation.rs"),
    ("activation", "patient/Observation.rs"),
    ("grant", NORMAL),
]


@pytest.mark.requirement("PROXY-50")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("who", "granted"), WHO)
def test_a_client_confined_to_labels_sees_nothing_without_them(
    restored: Behind, minted: Mint, call: Caller, who: str, granted: str, leak: bool
) -> None:
    restored.load(
        labelled("normal", "N"), labelled("restricted", "R"), labelled("unlabelled"), labelled("both", "R", "N")
    )
    token = minted(granted, **ANA)
    if who == "registration":
        Client.objects.filter(client_id="growth-chart").update(scope=NORMAL)
    elif who == "activation":
        Activation.objects.filter(client__client_id="growth-chart").update(allowed_scope=NORMAL)
    if leak:
        restored.leak()
    assert set(ids(call("/Observation", token))) == {"Observation/normal", "Observation/both"}
    answers = [call(f"/Observation/{name}", token) for name in ("normal", "both", "restricted", "unlabelled")]
    assert [one.status_code for one in answers] == [200, 200, 404, 404]
    restored.ask("DELETE", "/_received")
    assert call("/Observation/restricted/_history/1", token).status_code == 404
    assert call("/Patient/ana", token).status_code == 403
