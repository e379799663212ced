"""What one warm request costs: statements, round trips, and how often a body is read, judged and written.

Calls are counted by the interpreter's profiling hook, so that what is counted is what runs.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fhirproxy import pipeline
from fhirproxy.policy import bodies, compartments
from fhirproxy.policy.paths import STEPS
from smartauth.policy import r4
from smartauth.tokens import finding
from tests.proxy.conftest import Behind, Caller, Mint
from tests.servers import ROOT

WHO = [("patient/*.rs", {"patient": "ana"}), ("system/*.rs", {})]
ENTRIES = 100
COUNTED = {
    function.__code__: function.__name__
    for function in (
        bodies.parse_json,
        bodies.write_json,
        compartments.check,
        pipeline.decide,
        finding._load,
    )
}


@dataclass(slots=True)
class Seen:
    """How often each counted function was called, and every text that was split."""

    calls: Counter[str] = field(default_factory=Counter)
    split: list[str] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[Seen]:
    """Count what runs on this thread."""
    seen = Seen()

    def hook(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code in COUNTED:
            seen.calls[COUNTED[frame.f_code]] += 1
        elif event == "c_call" and argument.__name__ == "split" and isinstance(argument.__self__, str):
            seen.split.append(argument.__self__)

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield seen
    finally:
        sys.setprofile(before)


def observations() -> list[dict[str, Any]]:
    return [
        {
            "resourceType": "Observation",
            "id": f"counted-{number}",
            "status": "final",
            "code": {"text": "counted"},
            "subject": {"reference": "Patient/ana"},
            "note": [{"text": "x" * 2_700}],
        }
        for number in range(ENTRIES)
    ]


@pytest.mark.parametrize(("scope", "claims"), WHO)
def test_a_warm_read_is_one_statement_of_the_audit_trail_and_one_round_trip(
    small: Behind, minted: Mint, call: Caller, serving: None, scope: str, claims: dict[str, str]
) -> None:
    token = minted(scope, **claims)
    assert call("/Patient/ana", token).status_code == 200
    small.ask("DELETE", "/_received")
    with CaptureQueriesContext(connection) as captured, watching() as seen:
        assert call("/Patient/ana", token).status_code == 200
    # Only where reads are recorded before they happen; a buffered trail is written by a thread of its own.
    assert [one["sql"][:31] for one in captured] == ['INSERT INTO "audit_auditrecord"']
    assert small.targets() == ["Patient/ana"]
    assert seen.calls == {"decide": 1, "parse_json": 1, "check": 1, "write_json": 1}


def test_a_cold_token_is_looked_up_once(small: Behind, minted: Mint, call: Caller, serving: None) -> None:
    token = minted("patient/*.rs", patient="ana")
    with watching() as seen:
        assert call("/Patient/ana", token).status_code == 200
        assert call("/Patient/ana", token).status_code == 200
    assert seen.calls["_load"] == 1


@pytest.mark.parametrize(("scope", "claims"), WHO)
def test_a_bundle_is_fetched_and_read_once_each_entry_judged_once_and_the_whole_written_once(
    restored: Behind, minted: Mint, call: Caller, serving: None, scope: str, claims: dict[str, str]
) -> None:
    restored.load(*observations())
    token = minted(scope, **claims)
    question = f"/Observation?patient=ana&code:text=counted&_count={ENTRIES}"
    assert call(question, token).status_code == 200
    restored.ask("DELETE", "/_received")
    with CaptureQueriesContext(connection) as captured, watching() as seen:
        response = call(question, token)
    assert len(response.content) > 290_000
    assert len(response.json()["entry"]) == ENTRIES
    assert len(captured) == 1
    assert len(restored.targets()) == 1
    assert seen.calls == {"decide": 1, "parse_json": 1, "check": ENTRIES, "write_json": 1}


def test_membership_paths_are_taken_apart_at_import_and_by_no_request(
    small: Behind, minted: Mint, call: Caller, serving: None
) -> None:
    for facts in r4.memberships().values():
        for path in (*facts.primary, *facts.secondary):
            assert ".".join(STEPS[path]) == path
    with watching() as seen:
        assert call("/Observation/versioned-ana", minted("patient/*.rs", patient="ana")).status_code == 200
    assert "parse_json" in seen.calls
    assert not set(seen.split) & STEPS.keys()


def test_a_worker_keeps_what_it_loaded_out_of_the_collector() -> None:
    script = "import gc, sys, smartauth.wsgi; print(gc.get_freeze_count(), 'fhirproxy.pipeline' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    frozen, is_loaded = done.stdout.split()
    assert int(frozen) > 50_000
    assert is_loaded == "True"
