"""An export by a backend service over real HTTP: Authlib for the token, two worker processes, streamed files.

Bulk Data Access IG; SMART 2.2 backend-services.
"""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from fhirproxy.models import Upstream
from smartauth.audit.models import AuditRecord
from tests.flows.authlib_session import keyed_session
from tests.proxy.scripted import Said, Scripted, scripted
from tests.world import MakePartner, World

SCOPE = "system/Patient.rs system/Group.rs system/Goal.rs system/Condition.rs"
MARK_TIME = 1.0  # seconds within which a change is seen by every worker


def headers_for(world: World, make_partner: MakePartner, name: str, scope: str = SCOPE) -> dict[str, str]:
    partner = make_partner(name)
    session = keyed_session(world, partner.client_id, partner.key, alg=partner.alg, scope=scope)
    token = session.fetch_token(world.token_url, grant_type="client_credentials")["access_token"]
    return {"Authorization": f"Bearer {token}"}


def start(url: str, headers: dict[str, str]) -> str:
    started = requests.get(url, headers={**headers, "Prefer": "respond-async"}, timeout=10)
    assert started.status_code == 202, started.text
    return started.headers["Content-Location"]


def finished(job: str, headers: dict[str, str]) -> dict[str, Any]:
    for _ in range(20):
        status = requests.get(job, headers={**headers, "Accept": "application/json"}, timeout=10)
        if status.status_code != 202:
            break
        time.sleep(int(status.headers["Retry-After"]) / 10)
    assert status.status_code == 200, status.text
    document: dict[str, Any] = status.json()
    return document


@pytest.mark.requirement("BULK-01", "BULK-07", "BULK-09", "BULK-11")
def test_a_group_is_exported_and_the_export_is_deleted(world: World, make_partner: MakePartner) -> None:
    headers = headers_for(world, make_partner, "exporter")
    job = start(f"{world.fhir_base}/Group/ana-and-ben/$export?_type=Patient,Goal", headers)
    assert job.startswith(f"{world.fhir_base}/_bulk/")
    document = finished(job, headers)
    found = []
    for output in document["output"]:
        file = requests.get(output["url"], headers=headers, timeout=10)
        assert file.headers["Content-Type"] == "application/fhir+ndjson"
        found += [json.loads(line) for line in file.text.splitlines()]
        assert requests.get(output["url"], timeout=10).status_code == 401
    assert {"ana", "ben"} <= {one["id"] for one in found if one["resourceType"] == "Patient"}
    assert {one["resourceType"] for one in found} == {"Patient", "Goal"}
    stranger = headers_for(world, make_partner, "stranger")
    for url in (job, document["output"][0]["url"]):
        assert requests.get(url, headers=stranger, timeout=10).status_code == 404
    assert requests.delete(job, headers=stranger, timeout=10).status_code == 404
    assert requests.delete(job, headers=headers, timeout=10).status_code == 202
    assert requests.get(job, headers=headers, timeout=10).status_code == 404
    assert requests.get(document["output"][0]["url"], headers=headers, timeout=10).status_code == 404


@pytest.mark.requirement("BULK-06")
def test_kick_offs_at_once_do_not_get_past_the_limit(world: World, make_partner: MakePartner) -> None:
    headers = headers_for(world, make_partner, "hasty") | {"Prefer": "respond-async"}

    def ask(_: int) -> int:
        return requests.get(f"{world.fhir_base}/$export?_type=Goal", headers=headers, timeout=10).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(12)))
    assert sorted(statuses) == [202] * 3 + [429] * 9


@pytest.fixture
def large(world: World) -> Iterator[Scripted]:
    """A server behind the tenant with one export of one large file."""
    upstream = Upstream.objects.filter(tenant__slug=world.tenant)
    base_url = upstream.get().base_url
    with scripted() as script:
        origin = script.base_url.removesuffix("/r4")
        script.answers["GET /r4/$export?_type=Goal"] = Said(202, headers={"Content-Location": f"{origin}/job"})
        manifest = {
            "transactionTime": "2026-01-01T00:00:00Z",
            "requiresAccessToken": True,
            "output": [{"type": "Goal", "url": f"{origin}/file"}],
        }
        script.answers["GET /job"] = Said(body=json.dumps(manifest).encode())
        try:
            upstream.update(base_url=script.base_url)
            time.sleep(MARK_TIME)
            yield script
        finally:
            upstream.update(base_url=base_url)
            time.sleep(MARK_TIME)


LINE = b'{"resourceType":"Goal","id":"g","description":{"text":"%s"}}\n' % (b"x" * 400)
COUNT = 40_000


@pytest.mark.clocked
def test_a_large_file_is_streamed_and_one_that_breaks_never_looks_complete(
    world: World, make_partner: MakePartner, large: Scripted
) -> None:
    headers = headers_for(world, make_partner, "streamer", "system/Goal.rs")
    job = start(f"{world.fhir_base}/$export?_type=Goal", headers)
    (output,) = finished(job, headers)["output"]

    large.answers["GET /file"] = Said(body=LINE * COUNT)
    whole = requests.get(output["url"], headers=headers, timeout=60)
    assert whole.headers["Transfer-Encoding"] == "chunked"
    assert whole.content == LINE * COUNT

    large.answers["GET /file"] = Said(body=LINE * COUNT, length=len(LINE) * COUNT * 2)
    broken = b""
    try:
        for piece in requests.get(output["url"], headers=headers, timeout=60, stream=True).iter_content(65_536):
            broken += piece
    except requests.RequestException:
        pass  # A server in front that breaks the connection does even better.
    last = broken.rpartition(b"\n")[2]
    assert last
    with pytest.raises(ValueError):
        json.loads(last)

    # Whoever goes away early frees the worker and the upstream.
    parts = urlsplit(output["url"])
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path, headers=headers)
    assert connection.getresponse().read(1_000)
    connection.close()
    ends = AuditRecord.objects.filter(client_id="streamer", details__interaction="bulk-file-end")
    for _ in range(100):
        if ends.count() == 3:
            break
        time.sleep(0.1)
    counts = [(one.details["complete"], one.details["checked"]) for one in ends.order_by("at")]
    assert counts[0] == (1, COUNT)
    assert [complete for complete, _ in counts[1:]] == [0, 0]
    assert counts[2][1] < COUNT
