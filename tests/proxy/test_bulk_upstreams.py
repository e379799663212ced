"""Exports of a server that lies, breaks or keeps files elsewhere: nothing outside leaves, no credential goes astray.

Bulk Data Access IG, "Security Considerations".
"""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from clients.models import Client
from clients.tenants import TenantInfo, find_tenant
from fhirproxy import bulk_downloads, bulk_files, bulk_upstream, inflating
from fhirproxy.bulk_downloads import MOST_DOWNLOADS, MOST_OF_ONE_CLIENT
from fhirproxy.models import BulkJob, Upstream
from fhirproxy.policy import bulk_results
from fhirproxy.upstream import UpstreamError
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from smartauth.sandbox.minting import mint
from tests.factories import make_client, service
from tests.proxy.conftest import PUBLIC, Caller, Mint, put_behind
from tests.proxy.scripted import Said, Scripted, scripted
from tests.proxy.test_bulk import ASYNC, EVERYTHING, content, kick_off, manifest

STATUS = "/r4/jobs/7?x=%2F1"
FILE = "/r4/files/1"
BEARER = "upstream-secret"


def line(resource: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": "Goal", "id": "g", **resource}).encode() + b"\n"


@pytest.fixture
def behind(tenant: TenantInfo) -> Iterator[Scripted]:
    """A server with one finished export of one file."""
    with scripted() as script:
        put_behind(tenant, script.base_url, bearer=BEARER)
        origin = script.base_url.removesuffix("/r4")
        for path in ("$export", "$export?_type=Goal", "Group/g/$export"):
            script.answers[f"GET /r4/{path}"] = Said(202, headers={"Content-Location": f"{origin}{STATUS}"})
        script.answers[f"GET {FILE}"] = Said(body=line({"id": "one"}))
        tell(script)
        yield script


def tell(script: Scripted, *urls: str, **members: Any) -> None:
    """Let the manifest name files at `urls`, or the one file there is."""
    document: dict[str, Any] = {
        "transactionTime": "2026-01-01T00:00:00.000Z",
        "request": "http://internal.example/r4/$export",
        "requiresAccessToken": True,
        "output": [{"type": "Goal", "url": url, "count": 99} for url in urls or (f"{script.base_url}/files/1",)],
        "error": [],
        **members,
    }
    body = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
    script.answers[f"GET {STATUS}"] = Said(body=body)


@pytest.mark.requirement("BULK-08", "BULK-12")
def test_only_our_words_leave(behind: Scripted, minted: Mint, call: Caller) -> None:
    tell(
        behind,
        error=[{"type": "OperationOutcome", "url": f"{behind.base_url}/errors/1"}],
        extension={"stack": "trace"},
        link=[{"relation": "next", "url": f"{behind.base_url}/more"}],
    )
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    document = manifest(call, token, job)
    assert document == {
        "transactionTime": "2026-01-01T00:00:00.000Z",
        "request": f"{PUBLIC}/$export",
        "requiresAccessToken": True,
        "output": [{"type": "Goal", "url": f"{PUBLIC}{job}/1"}],
        "error": [{"type": "OperationOutcome", "url": f"{PUBLIC}{job}/0"}],
    }
    assert json.loads(content(call(f"{job}/1", token))) == {"resourceType": "Goal", "id": "one"}
    (error,) = content(call(f"{job}/0", token)).splitlines()
    assert json.loads(error)["issue"][0]["details"]["text"] == "Some resources could not be exported."
    assert behind.lines() == ["GET /r4/$export", f"GET {STATUS}", f"GET {FILE}"]
    for _, headers in behind.asked:
        assert headers["authorization"] == f"Bearer {BEARER}"
    assert behind.headers_of("GET /r4/$export")["prefer"] == "respond-async, handling=strict"


def test_files_of_types_that_were_not_asked_for_are_left_out(behind: Scripted, minted: Mint, call: Caller) -> None:
    url = f"{behind.base_url}/files/1"
    tell(behind, output=[{"type": name, "url": url} for name in ("Patient", "Goal", "AuditEvent", "Nothing")])
    token = minted(EVERYTHING)
    document = manifest(call, token, kick_off(call, token, "/$export?_type=Goal"))
    assert [one["type"] for one in document["output"]] == ["Goal"]
    recording._buffer.flush()
    assert AuditRecord.objects.get(details__interaction="bulk-status").details["files_removed"] == 3


DELETIONS = {
    "resourceType": "Bundle",
    "id": "d",
    "type": "transaction",
    "entry": [
        {"request": {"method": "DELETE", "url": "Goal/gone", "ifMatch": "x"}, "resource": {"resourceType": "Goal"}},
        {"request": {"method": "DELETE", "url": "Patient/hidden"}},
        {"request": {"method": "DELETE", "url": "Goal?subject=Patient/x"}},
        {"request": {"method": "PUT", "url": "Goal/changed"}},
    ],
}


def test_deletions_are_told_to_full_authority_and_written_anew(behind: Scripted, minted: Mint, call: Caller) -> None:
    lines = [DELETIONS, {**DELETIONS, "type": "batch"}, {**DELETIONS, "entry": []}, {"resourceType": "Goal", "id": "g"}]
    behind.answers["GET /r4/deleted/1"] = Said(body=b"\n".join(json.dumps(one).encode() for one in lines))
    tell(behind, deleted=[{"type": "Bundle", "url": f"{behind.base_url}/deleted/1"}])
    token = minted(EVERYTHING)
    job = kick_off(call, token, "/$export?_type=Goal")
    document = manifest(call, token, job)
    assert document["deleted"] == [{"type": "Bundle", "url": f"{PUBLIC}{job}/2"}]
    (told,) = content(call(f"{job}/2", token)).splitlines()
    assert json.loads(told) == {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Goal/gone"}}],
    }
    recording._buffer.flush()
    counts = AuditRecord.objects.get(details__interaction="bulk-file-end").details
    assert (counts["checked"], counts["removed"]) == (4, 3)


def test_deletions_are_not_told_to_restricted_clients(behind: Scripted, minted: Mint, call: Caller) -> None:
    behind.answers["GET /r4/Group/g"] = Said(
        body=b'{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/ana"}}]}'
    )
    tell(behind, deleted=[{"type": "Bundle", "url": f"{behind.base_url}/deleted/1"}])
    full = minted(EVERYTHING)
    job = kick_off(call, full, "/Group/g/$export")
    assert "deleted" in manifest(call, full, job)
    restricted = minted(EVERYTHING, restrictions={"groups": ["g"]})
    assert call(f"{job}/1", restricted).status_code == 200
    assert call(f"{job}/2", restricted).status_code == 404
    assert "deleted" not in manifest(call, restricted, job)
    assert "GET /r4/deleted/1" not in behind.lines()


STATUS_PLACES = [
    ("{origin}/elsewhere/status", 202),
    ("{origin}", 202),
    ("http://alias.example/api/jobs/7?x=%2F1", 202),
    ("", 502),
    ("/r4/jobs/7", 502),
    ("http://127.0.0.1:1/r4/jobs/7", 502),
    ("https://{host}/r4/jobs/7", 502),
    ("http://{host}@evil.example/r4/jobs/7", 502),
    ("http://user@{host}/r4/jobs/7", 502),
    ("http://{host}.evil.example/r4/jobs/7", 502),
    ("{origin}/r4/jobs/7#x", 502),
    ("{origin}/r4/jobs/ 7", 502),
    ("file:///etc/passwd", 502),
]


@pytest.mark.parametrize(("place", "status"), STATUS_PLACES)
def test_a_job_is_asked_about_on_the_servers_own_origin_only(
    behind: Scripted, minted: Mint, call: Caller, place: str, status: int
) -> None:
    Upstream.objects.update(aliases=["http://alias.example/api"])
    origin = behind.base_url.removesuffix("/r4")
    url = place.format(origin=origin, host=origin.removeprefix("http://"))
    behind.answers["GET /r4/$export"] = Said(202, headers={"Content-Location": url})
    token = minted(EVERYTHING)
    response = call("/$export", token, **ASYNC)
    assert response.status_code == status
    assert BulkJob.objects.exists() == (status == 202)
    if "alias" in place:  # Another name for the same server: it is asked where it really is.
        manifest(call, token, response["Content-Location"].removeprefix(PUBLIC))


def test_files_on_another_host_are_fetched_without_credentials_when_it_is_known(
    behind: Scripted, minted: Mint, call: Caller
) -> None:
    token = minted(EVERYTHING)
    with scripted() as store:
        host = store.base_url.removesuffix("/r4")
        url = f"{host}/bucket/goal.ndjson?X-Signature=a%2Fb&Expires=9"
        store.answers["GET /bucket/goal.ndjson?X-Signature=a%2Fb&Expires=9"] = Said(body=line({"id": "far"}))
        tell(behind, url, requiresAccessToken=False)
        job = kick_off(call, token)
        refused = call(job, token)
        assert (refused.status_code, "known file host" in Receipt.objects.get().officer) == (502, True)
        assert store.asked == []
        Upstream.objects.update(file_hosts=[host])
        manifest(call, token, job)
        assert json.loads(content(call(f"{job}/1", token)))["id"] == "far"
        ((_, headers),) = store.asked
        assert "authorization" not in headers
        assert BEARER not in json.dumps(headers)
        Upstream.objects.update(file_hosts=[])  # Held against what is configured when it is used.
        assert call(f"{job}/1", token).status_code == 502
        assert len(store.asked) == 1


@pytest.mark.requirement("BULK-12")
def test_a_file_that_wants_no_token_gets_none(behind: Scripted, minted: Mint, call: Caller) -> None:
    tell(behind, requiresAccessToken=False)
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    manifest(call, token, job)
    content(call(f"{job}/1", token))
    assert "authorization" not in behind.headers_of(f"GET {FILE}")


MANIFESTS = [
    {"output": ...},
    {"output": {}},
    {"output": [{"type": "Goal"}]},
    {"output": [{"url": "x", "type": 1}]},
    {"output": [{"url": "/files/1", "type": "Goal"}]},
    {"transactionTime": ...},
    {"transactionTime": "yesterday"},
    {"requiresAccessToken": ...},
    {"requiresAccessToken": "true"},
    {"deleted": {}},
    {"deleted": [{"type": "Goal", "url": "x"}]},
]


@pytest.mark.parametrize("members", MANIFESTS)
def test_a_manifest_that_is_none(behind: Scripted, minted: Mint, call: Caller, members: dict[str, Any]) -> None:
    tell(behind, **members)
    token = minted(EVERYTHING)
    assert call(kick_off(call, token), token).status_code == 502
    assert BulkJob.objects.get().sealed_files == ""


@pytest.mark.parametrize(("status", "ours"), [(404, 404), (410, 404), (429, 429), (401, 502), (302, 502), (500, 502)])
def test_other_answers_about_a_job(behind: Scripted, minted: Mint, call: Caller, status: int, ours: int) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    behind.answers[f"GET {STATUS}"] = Said(status, b"{}", {"Location": f"{behind.base_url}/elsewhere"})
    assert call(job, token).status_code == ours
    asked = len(behind.asked)
    # What the upstream has forgotten is not asked for again, and its place is free.
    assert call(job, token).status_code == ours
    assert len(behind.asked) == asked + (ours != 404)


@pytest.mark.parametrize(("status", "ours"), [(200, 202), (204, 202), (404, 202), (405, 202), (401, 502), (500, 502)])
def test_a_cancelled_job_is_gone_once_the_upstream_let_go(
    behind: Scripted, minted: Mint, call: Caller, status: int, ours: int
) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    behind.answers[f"DELETE {STATUS}"] = Said(status)
    assert call(job, token, method="DELETE").status_code == ours
    assert (BulkJob.objects.get().cancelled_at is not None) == (ours == 202)


@pytest.mark.parametrize(("status", "ours"), [(404, 404), (410, 404), (403, 502), (302, 502), (500, 502)])
def test_a_file_that_is_not_given(behind: Scripted, minted: Mint, call: Caller, status: int, ours: int) -> None:
    token = minted(EVERYTHING)
    job = kick_off(call, token)
    assert call(f"{job}/1", token).status_code == 404  # Nobody has said yet that there is one.
    manifest(call, token, job)
    behind.answers[f"GET {FILE}"] = Said(status, line({}), {"Location": f"{behind.base_url}/files/2"})
    assert call(f"{job}/1", token).status_code == ours


LINES = [
    b'{"resourceType":"Patient","id":"p"}\n',
    b'{"resourceType":"Goal"}\n',
    b'{"resourceType":"Goal","id":"a/b"}\n',
    b'{"resourceType":"Goal","id":"g","id":"h"}\n',
    b'{"resourceType":"Goal","resourceType":"Goal","id":"g"}\n',
    b'{"resourceType":"goal","id":"g"}\n',
    b'{"resourceType":"Goal","id":"g"} {"resourceType":"Goal","id":"h"}\n',
    b'[{"resourceType":"Goal","id":"g"}]\n',
    b"nonsense\n",
    b"\xff\xfe\n",
    b'{"resourceType":"Goal","id":"g","n":NaN}\n',
]


def fetched(behind: Scripted, minted: Mint, call: Caller, said: Said, **restrictions: Any) -> Any:
    """Export with this for the only file and return the answer to the file."""
    behind.answers[f"GET {FILE}"] = said
    token = minted(EVERYTHING, restrictions=restrictions or None)
    job = kick_off(call, token, "/Group/g/$export" if restrictions else "/$export")
    manifest(call, token, job)
    return call(f"{job}/1", token)


@pytest.mark.parametrize("bad", LINES)
def test_lines_that_are_no_resource_of_the_type_are_dropped(
    behind: Scripted, minted: Mint, call: Caller, bad: bytes
) -> None:
    whole = line({"id": "one"}) + bad + b"\r\n\n" + line({"id": "two", "x": 1.50})
    found = content(fetched(behind, minted, call, Said(body=whole)))
    assert found == b'{"resourceType":"Goal","id":"one"}\n{"resourceType":"Goal","id":"two","x":1.5}\n'


def test_only_the_patients_of_a_restricted_client_leave(behind: Scripted, minted: Mint, call: Caller) -> None:
    group = {"resourceType": "Group", "id": "g", "member": [{"entity": {"reference": "Patient/ana"}}]}
    behind.answers["GET /r4/Group/g"] = Said(body=json.dumps(group).encode())
    lines = [
        line({"id": name, "subject": {"reference": reference}})
        for name, reference in (
            ("mine", "Patient/ana"),
            ("ours", f"{behind.base_url}/Patient/ana"),
            ("theirs", "Patient/ben"),
            ("foreign", "http://elsewhere.example/Patient/ana"),
            ("group", "Group/g"),
        )
    ]
    found = content(fetched(behind, minted, call, Said(body=b"".join(lines)), groups=["g"])).splitlines()
    assert [json.loads(one)["id"] for one in found] == ["mine", "ours"]
    assert json.loads(found[1])["subject"]["reference"] == f"{PUBLIC}/Patient/ana"


def test_a_line_that_is_too_long_is_dropped_and_counted(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_results.Lines.__init__, "__defaults__", (1_000,))
    body = line({"id": "one"}) + line({"id": "long", "note": "x" * 300_000}) + line({"id": "two"})
    found = content(fetched(behind, minted, call, Said(body=body)))
    assert [json.loads(one)["id"] for one in found.splitlines()] == ["one", "two"]
    recording._buffer.flush()
    counts = AuditRecord.objects.get(details__interaction="bulk-file-end").details
    assert (counts["checked"], counts["removed"]) == (3, 1)


BROKEN = [
    # what arrives                                                          in the officer's view
    (Said(body=line({}), length=10_000), "cut off"),
    (Said(body=line({}) + b'{"resourceType":"Goal","id":"tw'), "cut off inside its last line"),
    (Said(body=b"no gzip", headers={"Content-Encoding": "gzip"}), "not the gzip"),
    (Said(body=gzip.compress(line({}))[:-9], headers={"Content-Encoding": "gzip"}), "cut off inside its gzip"),
    (Said(body=line({}), headers={"Content-Encoding": "br"}), "not asked for"),
]


@pytest.mark.parametrize(("said", "officer"), BROKEN)
def test_a_small_file_that_breaks_is_a_502(
    behind: Scripted, minted: Mint, call: Caller, said: Said, officer: str
) -> None:
    assert fetched(behind, minted, call, said).status_code == 502
    assert officer in Receipt.objects.get().officer


def test_the_last_line_needs_no_line_feed(behind: Scripted, minted: Mint, call: Caller) -> None:
    assert content(fetched(behind, minted, call, Said(body=line({}).rstrip(), length=None))) == line({}).replace(
        b" ", b""
    )


def test_compressed_files_are_unpacked_within_a_ratio(behind: Scripted, minted: Mint, call: Caller) -> None:
    whole = b"".join(line({"id": f"g{number}"}) for number in range(1_000))
    packed = gzip.compress(whole[:5_000]) + gzip.compress(whole[5_000:])
    found = content(fetched(behind, minted, call, Said(body=packed, headers={"Content-Encoding": "gzip"})))
    assert found.count(b"\n") == 1_000
    assert behind.headers_of(f"GET {FILE}")["accept-encoding"] == "gzip"
    bomb = gzip.compress(b" " * (inflating.FREE * 3))
    assert len(bomb) * inflating.LARGEST_RATIO < inflating.FREE * 2
    behind.answers[f"GET {FILE}"] = Said(body=bomb, headers={"Content-Encoding": "gzip"})
    token = minted(EVERYTHING)
    job = BulkJob.objects.get().pk
    assert call(f"/_bulk/{job}/1", token).status_code == 502
    assert "beyond the ratio" in Receipt.objects.get().officer


def test_a_large_file_that_breaks_ends_in_a_line_that_is_none(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_files, "STRETCH", 10_000)
    body = b"".join(line({"id": f"g{number}"}) for number in range(50_000))
    response = fetched(behind, minted, call, Said(body=body, length=len(body) + 1))
    assert response.streaming
    assert "Content-Length" not in response
    received = []
    with pytest.raises(UpstreamError):
        received.extend(response.streaming_content)
    *lines, last = b"".join(received).split(b"\n")
    assert len(lines) > 10_000
    assert all(json.loads(one)["resourceType"] == "Goal" for one in lines)
    with pytest.raises(ValueError):
        json.loads(last)
    assert response["X-Trace-Id"].encode() in last
    recording._buffer.flush()
    assert AuditRecord.objects.get(details__interaction="bulk-file-end").details["complete"] == 0


def test_whoever_goes_away_early_lets_the_upstream_go(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_files, "STRETCH", 1_000)
    closed = []
    close = bulk_upstream.Download.close
    monkeypatch.setattr(bulk_upstream.Download, "close", lambda self: (close(self), closed.append(1)))
    body = b"".join(line({"id": f"g{number}"}) for number in range(50_000))
    response = fetched(behind, minted, call, Said(body=body))
    assert response.streaming
    for end in response._resource_closers:  # As `response.close()` does, which also ends the test's transaction.
        end()
    assert closed
    head = call(f"/_bulk/{BulkJob.objects.get().pk}/1", minted(EVERYTHING), method="HEAD")
    assert (head.status_code, head.content, len(closed)) == (200, b"", 2)


def test_a_file_that_stands_still_is_given_up(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_upstream, "SILENCE", 0.2)
    assert fetched(behind, minted, call, Said(body=line({}), delay=2.0)).status_code == 504


def another_reader() -> tuple[str, str]:
    """Return a token of another client, and the path of a file of an export that is its own."""
    client_id = f"reader-{BulkJob.objects.count()}"
    tenant = find_tenant("sandbox")
    assert tenant is not None
    keys = {"keys": [Client.objects.get(client_id="bulk-loader").client_jwks["keys"][0]]}
    make_client(service(client_id=client_id, jwks=keys, scope="system/*.cruds"), activate_at=(tenant,))
    row = BulkJob.objects.order_by("created_at")[0]
    row.pk, row.client_id = uuid4(), client_id
    row.save(force_insert=True)
    wanted = {"client_id": client_id, "sub": client_id, "tenant": "sandbox", "scope": EVERYTHING}
    return mint(wanted, user=None, now=datetime.now(UTC)), f"/_bulk/{row.pk}/1"


def test_a_reader_who_stalls_keeps_nobody_else_from_reading(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_files, "STRETCH", 1_000)
    body = b"".join(line({"id": f"g{number}"}) for number in range(50_000))
    first = fetched(behind, minted, call, Said(body=body))
    token, path = minted(EVERYTHING), f"/_bulk/{BulkJob.objects.get().pk}/1"
    held = [first, *(call(path, token) for _ in range(MOST_OF_ONE_CLIENT - 1))]
    assert {one.status_code for one in held} == {200}
    behind.asked.clear()
    refused = call(path, token)
    assert (refused.status_code, refused["Retry-After"]) == (429, "10")
    assert Receipt.objects.get().rule == "bulk.client_files"
    assert behind.lines() == []
    other, own = another_reader()
    assert content(call(own, other))
    assert content(held.pop())
    assert content(call(path, token))  # There is room again.
    for one in held:
        assert content(one)
    assert not bulk_downloads._held


def test_downloads_leave_threads_to_others(
    behind: Scripted, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_files, "STRETCH", 1_000)
    body = b"".join(line({"id": f"g{number}"}) for number in range(50_000))
    first = fetched(behind, minted, call, Said(body=body))
    token, path = minted(EVERYTHING), f"/_bulk/{BulkJob.objects.get().pk}/1"
    held, own = [first], path
    while len(held) < MOST_DOWNLOADS:
        if len(held) % MOST_OF_ONE_CLIENT == 0:
            token, own = another_reader()
        held.append(call(own, token))
    assert {one.status_code for one in held} == {200}
    token, own = another_reader()
    refused = call(own, token)
    assert (refused.status_code, refused["Retry-After"]) == (429, "10")
    assert Receipt.objects.get().rule == "bulk.too_many_files"
    for one in held:
        assert content(one)
    assert content(call(own, token))
    assert not bulk_downloads._held
