"""What an upstream says beside its resources stays behind: headers, cookies, hosts. FHIR R4 http; RFC 9110 §15.

The server behind is scripted.
"""

import json
from typing import Any

import pytest
from django.http import HttpResponse

from tests.proxy.conftest import PUBLIC, Caller, Mint, ids
from tests.proxy.scripted import Said, Scripted
from tests.proxy.test_second_tries import script
from tests.proxy.test_writes import observation

__all__ = ["script"]

ANA = {"patient": "ana"}
HEADERS = {
    "Content-Type": "text/html",
    "Set-Cookie": "session=upstream; Path=/",
    "X-Powered-By": "FHIR store 7.4",
    "X-Internal-Host": "store.internal.example",
    "Via": "1.1 store.internal.example",
    "ETag": 'W/"99"',
    "Location": "http://store.internal.example/r4/Observation/new/_history/3",
    "Content-Location": "http://store.internal.example/r4/Patient/ana",
    "Link": "<http://store.internal.example/r4/Patient>; rel=self",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Cache-Control": "public, max-age=3600",
    "WWW-Authenticate": "Basic realm=store",
    "Strict-Transport-Security": "max-age=1",
}
PATIENT = {"resourceType": "Patient", "id": "ana", "meta": {"versionId": "2"}}
OBSERVATION = observation(id="new", meta={"versionId": "3"})


MORE = "GET /r4?_getpages=7"


def searchset(base: str, name: str, *links: dict[str, str]) -> Said:
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": "http://store.internal.example/r4/Observation"}, *links],
        "entry": [{"fullUrl": f"{base}/Observation/{name}", "resource": observation(id=name)}],
    }
    return Said(200, json.dumps(bundle).encode(), headers=HEADERS)


ASKED = [
    # method, path, what the upstream is asked, its status and body
    ("GET", "/Patient/ana", "GET /r4/Patient/ana", 200, PATIENT),
    ("POST", "/Observation", "POST /r4/Observation", 201, OBSERVATION),
    ("GET", "/Patient/ana", "GET /r4/Patient/ana", 401, PATIENT),
    ("GET", "/Patient/ana", "GET /r4/Patient/ana", 404, PATIENT),
    ("POST", "/Observation", "POST /r4/Observation", 409, OBSERVATION),
]


@pytest.mark.requirement("PROXY-37")
@pytest.mark.parametrize(("method", "path", "line", "status", "body"), ASKED)
def test_no_header_and_no_host_of_the_upstream_gets_through(
    script: Scripted, minted: Mint, call: Caller, method: str, path: str, line: str, status: int, body: Any
) -> None:
    script.answers[line] = Said(status, json.dumps(body).encode(), headers=HEADERS)
    token = minted("patient/*.cruds", **ANA)
    response = call.write(method, path, token, observation()) if method == "POST" else call(path, token)
    assert script.lines()[0] == line
    assert (response.status_code < 300) == (status < 300), response.content
    require_only_ours(response, script)
    assert response.get("Location") == (f"{PUBLIC}/Observation/new/_history/3" if status == 201 else None)


@pytest.mark.requirement("PROXY-37", "PROXY-28", "PROXY-29", "T-60")
def test_links_of_a_page_lead_to_us(script: Scripted, minted: Mint, call: Caller) -> None:
    following = {"relation": "next", "url": f"{script.base_url}?_getpages=7"}
    first = {"relation": "first", "url": f"{script.base_url}?_getpages=0"}
    script.answers["GET /r4/Observation?patient=Patient%2Fana&_count=1"] = searchset(
        script.base_url, "one", first, following
    )
    script.answers[MORE] = searchset(script.base_url, "two", first)
    token = minted("patient/*.rs", **ANA)
    response = call("/Observation?_count=1", token)
    require_only_ours(response, script)
    bundle = response.json()
    assert [one["relation"] for one in bundle["link"]] == ["self", "next"]
    assert all(one["url"].startswith(f"{PUBLIC}/") for one in bundle["link"])
    assert bundle["entry"][0]["fullUrl"] == f"{PUBLIC}/Observation/one"
    page = call(bundle["link"][1]["url"].removeprefix(PUBLIC), token)
    require_only_ours(page, script)
    assert ids(page) == ["Observation/two"]


def require_only_ours(response: HttpResponse, script: Scripted) -> None:
    told = f"{list(response.items())} {response.content.decode()}"
    for word in ("internal", "session=", "7.4", "public", "max-age", "Basic", script.base_url, 'W/"99"'):
        assert word not in told, word
    assert (response["Content-Type"], response["Cache-Control"]) == ("application/fhir+json", "no-store")
    assert response["Vary"] == "Authorization, Origin"
    assert not {"Set-Cookie", "Via", "Link", "Content-Location", "WWW-Authenticate"} & set(response.headers)
    assert "Access-Control-Allow-Origin" not in response
