"""The two servers beside ours in `bench.added_latency`: one recites, the other forwards.

A FHIR server that knows two answers, and a proxy that hands bytes on. Both are WSGI applications for the application
server that ours runs in. `BENCH_UPSTREAM` is the FHIR base of the first.
"""

import io
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pycurl

from smartauth.outbound import make_curl

BASE = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:1/r4")
PATIENT_SIZE = 3_000  # bytes
ENTRIES = 100
ENTRY_SIZE = 3_000  # bytes
FHIR_JSON = "application/fhir+json"
META = {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"}

Json = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]


def patient() -> Json:
    """Return a Patient as registries have them: names, identifiers, contacts; about PATIENT_SIZE bytes."""
    address = {"use": "home", "line": ["12 Hillside Road"], "city": "Springfield", "postalCode": "12345"}
    contact = {
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "N"}]}],
        "name": {"family": "Lindqvist", "given": ["Ben"]},
        "telecom": [{"system": "phone", "value": "+1 555 0100", "use": "home", "rank": 1}],
        "address": address,
    }
    resource: Json = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": META,
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ana Lindqvist</div>'},
        "identifier": [{"system": f"urn:oid:1.2.36.146.595.217.0.{n}", "value": f"MRN-{n}"} for n in range(6)],
        "name": [{"use": "official", "family": "Lindqvist", "given": ["Ana", "Maria"]}],
        "telecom": [{"system": "phone", "value": f"+1 555 010{n}", "use": "work"} for n in range(4)],
        "gender": "female",
        "birthDate": "1984-05-12",
        "address": [address, {**address, "use": "old"}],
        "contact": [contact, contact],
        "generalPractitioner": [{"reference": f"{BASE}/Practitioner/dr-grey", "display": "Alma Grey"}],
        "managingOrganization": {"reference": "Organization/hillside-clinic"},
    }
    return _filled(resource, PATIENT_SIZE, lambda n: {"language": {"text": f"Language {n}"}, "preferred": n == 0})


def observation(number: int) -> Json:
    """Return an Observation of the patient with components, about ENTRY_SIZE bytes."""
    loinc, units = "http://loinc.org", "http://unitsofmeasure.org"
    resource: Json = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": META,
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category"}]}],
        "code": {"coding": [{"system": loinc, "code": "58410-2", "display": "CBC panel"}]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": f"{BASE}/Encounter/e{number}"},
        "effectiveDateTime": "2026-01-01T08:00:00Z",
        "performer": [{"reference": "Practitioner/dr-grey"}],
        "component": [],
    }

    def component(n: int) -> Json:
        return {
            "code": {"coding": [{"system": loinc, "code": f"{700 + n}-7", "display": f"Component {n}"}]},
            "valueQuantity": {"value": 13.5 + n, "unit": "g/dL", "system": units, "code": "g/dL"},
        }

    return _filled(resource, ENTRY_SIZE, component, "component")


def _filled(resource: Json, size: int, make: Callable[[int], Json], name: str = "communication") -> Json:
    parts: list[Json] = []
    resource[name] = parts
    while len(json.dumps(resource)) < size:
        parts.append(make(len(parts)))
    return resource


def searchset() -> Json:
    """Return the one page that answers every search."""
    entries = [
        {"fullUrl": f"{BASE}/Observation/o{n}", "resource": observation(n), "search": {"mode": "match"}}
        for n in range(ENTRIES)
    ]
    link = [{"relation": "self", "url": f"{BASE}/Observation?patient=p1"}]
    return {"resourceType": "Bundle", "type": "searchset", "total": ENTRIES, "link": link, "entry": entries}


BODIES = {"Patient/p1": json.dumps(patient()).encode(), "Observation": json.dumps(searchset()).encode()}
_asked = itertools.count()


def upstream(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Recite a body. `/asked` answers how many FHIR requests came before it, and is not counted."""
    path = environ["PATH_INFO"].removeprefix("/r4/")
    if path == "/asked":
        body = str(_asked.__reduce__()[1][0]).encode()
    else:
        next(_asked)
        body = BODIES.get(path, b"")
    return _say(start_response, "200 OK" if body else "404 Not Found", body)


_thread = threading.local()


def plain_proxy(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Forward a GET on a kept connection with libcurl, as ours does, and hand its bytes back unread."""
    if not hasattr(_thread, "curl"):
        _thread.curl = make_curl(3_000)
        _thread.curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        _thread.curl.setopt(pycurl.HTTPHEADER, [f"Accept: {FHIR_JSON}"])
    received, query = io.BytesIO(), environ["QUERY_STRING"]
    path = environ["PATH_INFO"].removeprefix("/r4")
    _thread.curl.setopt(pycurl.URL, f"{BASE}{path}" + (f"?{query}" if query else ""))
    _thread.curl.setopt(pycurl.WRITEFUNCTION, received.write)
    _thread.curl.perform()
    is_found = _thread.curl.getinfo(pycurl.RESPONSE_CODE) == 200
    return _say(start_response, "200 OK" if is_found else "502 Bad Gateway", received.getvalue())


def _say(start_response: Start, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", FHIR_JSON), ("Content-Length", str(len(body)))])
    return [body]
