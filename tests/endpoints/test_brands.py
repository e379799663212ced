"""User access brands: who is here, for people who look for their hospital, and at which FHIR base.

SMART 2.2 brands, with its profiles user-access-brands-bundle, user-access-brand and user-access-endpoint; FHIR R4.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clients.models import Brand, Tenant
from clients.tenants import TenantInfo
from smartauth.marks.poller import poller
from smartauth.policy import r4
from tests.endpoints.brands import FULL, LEAST, PORTAL, SVG, publish
from tests.factories import make_tenant

MINE, ALL = "/brands/sandbox.json", "/brands.json"
Json = dict[str, Any]


def resources(answer: Any, kind: str) -> list[Json]:
    assert answer.status_code == 200, answer.content
    found = [one["resource"] for one in answer.json()["entry"]]
    return [one for one in found if one["resourceType"] == kind]


def extensions(resource: Json, name: str) -> list[Json]:
    """Return each extension of that name as its parts by their URLs."""
    url = f"http://hl7.org/fhir/StructureDefinition/{name}"
    found = [one for one in resource.get("extension", []) if one["url"] == url]
    return [{part["url"]: next(v for k, v in part.items() if k != "url") for part in one["extension"]} for one in found]


@pytest.fixture
def full(tenant: TenantInfo) -> Brand:
    return publish("sandbox", FULL)


@pytest.mark.requirement("BRAND-01")
def test_the_bundle_is_public_and_fhir_and_there_while_there_is_a_brand(client: Any, tenant: TenantInfo) -> None:
    assert [client.get(path).status_code for path in (MINE, ALL)] == [404, 404]
    publish("sandbox")
    for path in (MINE, ALL):
        for accept in ("*/*", "application/json", "text/html"):
            answer = client.get(path, headers={"Accept": accept})
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/fhir+json")
        assert not answer.cookies
    for path in ("/brands/nowhere.json", "/brands/UPPER.json", "/brands/sandbox", "/brands", "/brands/"):
        assert client.get(path).status_code == 404, path


@pytest.mark.requirement("BRAND-02", "T-69")
@pytest.mark.parametrize("path", [MINE, ALL])
def test_the_bundle_is_a_collection_that_says_when_it_changed(client: Any, full: Brand, path: str) -> None:
    body = client.get(path).json()
    assert (body["resourceType"], body["type"]) == ("Bundle", "collection")
    profile = "http://hl7.org/fhir/smart-app-launch/StructureDefinition/user-access-"
    assert body["meta"]["profile"] == [f"{profile}brands-bundle"]
    changed_at = full.changed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (body["timestamp"], body["meta"]["lastUpdated"]) == (changed_at, changed_at)
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    for entry in body["entry"]:
        kind = {"Organization": "brand", "Endpoint": "endpoint"}[entry["resource"]["resourceType"]]
        assert entry["resource"]["meta"] == {"lastUpdated": changed_at, "profile": [profile + kind]}
    urls = [entry["fullUrl"] for entry in body["entry"]]
    assert len(urls) == len(set(urls)) == 4
    for entry in body["entry"]:
        assert entry["fullUrl"].endswith(f"/{entry['resource']['resourceType']}/{entry['resource']['id']}")


@pytest.mark.requirement("BRAND-05", "BRAND-07", "T-69")
@pytest.mark.parametrize("members", [LEAST, FULL], ids=["least", "full"])
@pytest.mark.parametrize("path", [MINE, ALL])
def test_organizations_and_endpoints_name_each_other_completely(
    client: Any, tenant: TenantInfo, members: Json, path: str
) -> None:
    publish("sandbox", members)
    answer = client.get(path)
    organizations = resources(answer, "Organization")
    listed = {f"Endpoint/{one['id']}" for one in resources(answer, "Endpoint")}
    named = [{one["reference"] for one in brand.get("endpoint", [])} for brand in organizations]
    assert listed == set().union(*named)
    assert named[0] == listed
    assert "partOf" not in organizations[0]
    known = {f"Organization/{one['id']}" for one in organizations}
    for brand, endpoints in zip(organizations, named, strict=True):
        portals = extensions(brand, "organization-portal")
        assert {one["portalEndpoint"]["reference"] for one in portals} <= endpoints
        # Who has no portal leads to who has; that is as deep as it goes.
        assert brand is organizations[0] or brand["partOf"]["reference"] == f"Organization/{organizations[0]['id']}"
    assert {one["partOf"]["reference"] for one in organizations[1:]} <= known


@pytest.mark.requirement("BRAND-06", "BRAND-11")
def test_everything_that_can_be_said_of_a_brand_is_where_apps_look_for_it(client: Any, full: Brand) -> None:
    brand, south, west = resources(client.get(MINE), "Organization")
    assert (brand["id"], brand["name"], brand["active"]) == ("sandbox", "North Hospital", True)
    assert brand["alias"] == ["St. North", "Northern Infirmary"]
    assert brand["telecom"] == [{"system": "url", "value": "https://www.north.example.org/welcome"}]
    assert brand["identifier"] == FULL["identifiers"]
    codes = [coding for kind in brand["type"] for coding in kind["coding"]]
    system = "http://terminology.hl7.org/CodeSystem/organization-type"
    assert codes == [{"system": system, "code": "prov"}, {"system": system, "code": "laboratory"}]
    assert brand["address"] == [
        {"line": ["1 North Street"], "city": "Boston", "state": "MA", "postalCode": "02111", "country": "US"},
        {"postalCode": "02139"},
    ]
    endpoint = {"reference": "Endpoint/sandbox"}
    assert brand["endpoint"] == [endpoint]
    assert extensions(brand, "organization-brand") == [
        {
            "brandLogo": SVG,
            "brandLogoLicense": "https://north.example.org/license",
            "brandBundle": "https://north.example.org/more.json",
        }
    ]
    assert extensions(brand, "organization-portal") == [
        {
            "portalName": "North Portal",
            "portalDescription": PORTAL["description"],
            "portalUrl": "https://portal.north.example.org",
            "portalLogo": "https://north.example.org/portal.png",
            "portalLogoLicense": "https://north.example.org/portal-license",
            "portalEndpoint": endpoint,
        },
        {
            "portalName": "For children",
            "portalUrl": "https://children.north.example.org",
            "portalEndpoint": endpoint,
        },
    ]
    assert [one["name"] for one in (south, west)] == ["South Clinic", "West Clinic"]
    assert "endpoint" not in south
    assert west["endpoint"] == [endpoint]
    assert [len(one["telecom"]) for one in (brand, south, west)] == [1, 1, 1]
    assert "data-absent-reason" not in client.get(MINE).content.decode()


KINDS = {
    "brandLogo": "valueUrl",
    "brandLogoLicense": "valueUrl",
    "brandBundle": "valueUrl",
    "portalName": "valueString",
    "portalDescription": "valueMarkdown",
    "portalUrl": "valueUrl",
    "portalLogo": "valueUrl",
    "portalLogoLicense": "valueUrl",
    "portalEndpoint": "valueReference",
}


@pytest.mark.requirement("BRAND-06")
def test_parts_of_extensions_have_the_types_of_their_definitions(client: Any, full: Brand) -> None:
    parts = [
        part
        for brand in resources(client.get(MINE), "Organization")
        for extension in brand.get("extension", [])
        for part in extension["extension"]
    ]
    assert {part["url"]: next(key for key in part if key != "url") for part in parts} == KINDS


@pytest.mark.requirement("BRAND-08")
def test_the_endpoint_is_the_fhir_base_and_tells_developers_where_to_turn(client: Any, full: Brand) -> None:
    (endpoint,) = resources(client.get(MINE), "Endpoint")
    del endpoint["meta"]
    assert endpoint == {
        "resourceType": "Endpoint",
        "id": "sandbox",
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version", "valueCode": r4_version()}
        ],
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        "name": "The API of North",
        "contact": [
            {"system": "url", "value": "https://developers.north.example.org"},
            {"system": "url", "value": "https://help.north.example.org"},
        ],
        "payloadType": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}]}
        ],
        "address": "http://127.0.0.1:8000/fhir/sandbox/r4",
    }
    publish("sandbox")
    assert resources(client.get(MINE), "Endpoint")[0]["name"] == "FHIR R4 API of North Hospital"


def r4_version() -> str:
    """Return the version of FHIR that our facts are of."""
    return str(json.loads(r4._read("elements-r4.json"))["fhirVersion"])


@pytest.mark.requirement("BRAND-08")
@pytest.mark.usefixtures("small")
def test_each_address_answers_with_its_capabilities(client: Any, tenant: TenantInfo) -> None:
    publish("sandbox")
    for endpoint in resources(client.get(ALL), "Endpoint"):
        answer = client.get(urlsplit(f"{endpoint['address']}/metadata").path)
        assert (answer.status_code, answer.json()["fhirVersion"]) == (200, r4_version())


@pytest.mark.requirement("BRAND-09", "BRAND-10")
def test_a_brand_without_identifiers_is_known_by_its_website(client: Any, tenant: TenantInfo) -> None:
    publish("sandbox")
    told = client.get("/fhir/sandbox/r4/.well-known/smart-configuration").json()["user_access_brand_identifier"]
    assert told == {"system": "urn:ietf:rfc:3986", "value": "https://north.example.org"}
    (brand,) = resources(client.get(MINE), "Organization")
    assert brand["identifier"] == [told]


@pytest.mark.requirement("BRAND-12", "BRAND-13")
def test_a_tenants_bundle_is_its_own_and_the_list_has_every_open_base(client: Any, full: Brand) -> None:
    for slug in ("north", "closed", "silent"):
        make_tenant(slug)
    publish("north", LEAST | {"name": "Another"})
    publish("closed", LEAST | {"name": "Closed"})
    Tenant.objects.filter(slug="closed").update(is_active=False)
    addresses = [one["address"] for one in resources(client.get(ALL), "Endpoint")]
    assert addresses == [f"http://127.0.0.1:8000/fhir/{slug}/r4" for slug in ("north", "sandbox")]
    assert [one["name"] for one in resources(client.get("/brands/north.json"), "Organization")] == ["Another"]
    assert b"Another" not in client.get(MINE).content
    for slug in ("closed", "silent"):
        assert client.get(f"/brands/{slug}.json").status_code == 404
        answer = client.get(f"/fhir/{slug}/r4/.well-known/smart-configuration")
        assert b"brand" not in answer.content


@pytest.mark.requirement("BRAND-04")
@pytest.mark.parametrize("path", [MINE, ALL])
def test_it_is_fetched_again_only_when_it_changed(client: Any, full: Brand, path: str) -> None:
    first = client.get(path)
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    assert first.headers["Cache-Control"] == "public, max-age=300"
    publish("sandbox", FULL)  # Saying the same again is no change.
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    head = client.head(path)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", etag)
    publish("sandbox", FULL | {"name": "Newer"})
    changed = client.get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["ETag"] != etag) == (200, True)
    assert changed.json()["timestamp"] > first.json()["timestamp"]


WAYS_OUT = [
    lambda: Brand.objects.filter(tenant__slug="north").update(is_published=False),
    lambda: Tenant.objects.filter(slug="north").update(is_active=False),
]


@pytest.mark.requirement("BRAND-02", "BRAND-13")
@pytest.mark.parametrize("leave", WAYS_OUT, ids=["withdrawn", "closed"])
def test_the_list_changed_when_somebody_left_it(client: Any, full: Brand, leave: Any) -> None:
    make_tenant("north")
    publish("north")
    before = client.get(ALL).json()
    leave()
    after = client.get(ALL).json()
    assert len(after["entry"]) == len(before["entry"]) - 2
    assert after["timestamp"] > before["timestamp"]
    assert client.get("/brands/north.json").status_code == 404


def test_affiliates_keep_their_ids_when_others_come_and_go(client: Any, full: Brand) -> None:
    ids = {one["name"]: one["id"] for one in resources(client.get(MINE), "Organization")}
    publish("sandbox", FULL | {"affiliates": FULL["affiliates"][1:]})
    kept = {one["name"]: one["id"] for one in resources(client.get(MINE), "Organization")}
    assert kept == {name: ids[name] for name in ("North Hospital", "West Clinic")}


def walk(value: object) -> Iterator[object]:
    """Walk every value that is inside."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


@pytest.mark.requirement("BRAND-02", "BRAND-06", "BRAND-08")
@pytest.mark.parametrize("members", [LEAST, FULL], ids=["least", "full"])
def test_every_resource_is_one_of_fhir_r4_as_far_as_our_facts_go(
    client: Any, tenant: TenantInfo, members: Json
) -> None:
    publish("sandbox", members)
    body = client.get(MINE).json()
    for resource in (body, *(entry["resource"] for entry in body["entry"])):
        facts = r4.elements(resource["resourceType"])
        assert set(resource) - {"resourceType"} <= set(facts.elements)
        assert set(facts.mandatory) <= set(resource)
        for path, targets in facts.refs.items():
            named = resource.get(path, [])
            for one in named if isinstance(named, list) else [named]:
                assert one["reference"].partition("/")[0] in targets
    assert not [value for value in walk(body) if value in (None, "", [], {})]


def test_what_cannot_be_read_is_not_told_and_stops_nothing(client: Any, full: Brand, caplog: Any) -> None:
    Brand.objects.update(details={"name": "Half"})
    assert [client.get(path).status_code for path in (MINE, ALL)] == [404, 404]
    told = client.get("/fhir/sandbox/r4/.well-known/smart-configuration")
    assert (told.status_code, b"brand" in told.content) == (200, False)
    assert "the brand of tenant sandbox cannot be read" in caplog.text


def test_a_worker_that_serves_asks_the_database_once(client: Any, full: Brand, serving: None) -> None:
    for path in (MINE, "/fhir/sandbox/r4/.well-known/smart-configuration"):
        client.get(path)
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        assert len(asked) == 0
    publish("sandbox", FULL | {"name": "Newer"})
    poller.poll()
    assert resources(client.get(MINE), "Organization")[0]["name"] == "Newer"
