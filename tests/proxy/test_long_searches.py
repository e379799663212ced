"""Searches confined to so many patients that no URL holds them: the same search, in a form.

FHIR R4 http, "search"; the request is the one the decision made, whichever way it goes.
"""

import json
from urllib.parse import parse_qsl

import pytest

from fhirproxy.policy.decisions import resume_link, search_for_ourselves
from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link

FEW = ["ana", "ben"]
MANY = [*FEW, *(f"nobody-{number:04}" for number in range(400))]
FORM = "application/x-www-form-urlencoded"


def test_a_long_search_finds_what_a_short_one_finds(sandbox: Behind, minted: Mint, call: Caller) -> None:
    path = "/Condition?_count=3&_total=accurate"
    short = call(path, minted("system/*.rs", restrictions={"patients": FEW}))
    assert [one["method"] for one in sandbox.received()] == ["GET"] * len(sandbox.received())
    sandbox.ask("DELETE", "/_received")
    long = call(path, minted("system/*.rs", restrictions={"patients": MANY}))
    assert ids(long) == ids(short)
    assert long.json()["total"] == short.json()["total"] > 3
    first = sandbox.received()[0]
    headers = {name.lower(): value for name, value in first["headers"]}
    assert (first["method"], first["target"]) == ("POST", "/r4/Condition/_search")
    assert (headers["content-type"], headers["prefer"]) == (FORM, "handling=strict")
    pairs = parse_qsl(first["body"])
    assert pairs == [("patient", ",".join(f"Patient/{one}" for one in MANY)), ("_count", "3")]


def test_the_pages_of_a_long_search_go_on(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs", restrictions={"patients": MANY})
    wanted = ids(call("/Condition?_count=500", token))
    found, path = [], "/Condition?_count=4"
    for _ in range(len(wanted)):
        page = call(path, token)
        found += ids(page)
        following = link(page, "next")
        if following is None:
            break
        path = following
    assert found == wanted
    # A handle that carried a form carries none afterwards.
    assert call("/Patient/ana", token).status_code == 200
    last = sandbox.received()[-1]
    assert (last["method"], last["target"], last["body"]) == ("GET", "/r4/Patient/ana", "")


def test_the_records_name_it_as_ever(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs", restrictions={"patients": MANY})
    assert call("/Condition?code=a", token).status_code == 200
    recording._buffer.flush()
    assert AuditRecord.objects.get().query.startswith("Condition?patient=Patient%2Fana%2CPatient%2Fben%2C")
    small.fail(kind="html")
    assert call("/Condition?code=s3cret", token).status_code == 502
    plan = Receipt.objects.get().decision["plan"]
    assert plan["request"] == "Condition?patient&code&_count"
    assert "s3cret" not in json.dumps(plan)


def test_what_fails_is_told_as_ever(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs", restrictions={"patients": MANY})
    small.fail(kind="close")
    assert call("/Condition", token).status_code == 502
    methods = [one["method"] for one in small.received()]
    assert set(methods) == {"POST"}
    assert len(methods) >= 2  # It is a read, which is tried once more; libcurl repeats on a connection it had kept.


LENGTHS = [("x" * 4_000, False), ("x" * 4_200, True)]


@pytest.mark.parametrize(("value", "is_form"), LENGTHS, ids=["fits", "too long"])
def test_a_form_is_for_what_is_too_long(value: str, is_form: bool) -> None:
    request = search_for_ourselves("Patient", (("name", value),))
    assert request.target == f"Patient?name={value}"
    assert request.form == (f"name={value}".encode() if is_form else b"")
    again = resume_link(request.target)
    assert again is not None
    assert (again.form, again.form_target) == (request.form, "Patient/_search")
    base = resume_link(f"?page={value}")
    assert base is not None
    assert base.form == b""  # A page of the upstream's own, which knows no form.
