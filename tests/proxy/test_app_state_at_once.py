"""Two requests about the same app state in the same moment, each on a connection of its own.  SMART 2.2 app-state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fhirproxy import app_states
from fhirproxy.models import AppState
from fhirproxy.policy.app_state import StateKey
from smartauth.audit.models import AuditRecord
from tests.clients.at_once import at_once
from tests.conftest import Configure
from tests.proxy.conftest import Behind, Mint
from tests.proxy.test_app_state import ANA, SCOPE, StateCaller, created, state

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keep(configure: Configure, small: Behind, minted: Mint) -> Callable[[], tuple[str, dict[str, Any]]]:
    """Keep something, and return the token with which it was kept and what it is."""
    configure(app_state=True)

    def make() -> tuple[str, dict[str, Any]]:
        token = minted(SCOPE, **ANA)
        return token, created(StateCaller(), token)

    return make


def change(token: str, kept: dict[str, Any], method: str, text: str = "") -> int:
    body = kept | {"extension": [{"url": "urn:x", "valueString": text}]} if method == "PUT" else None
    answer = StateCaller().ask(method, f"/Basic/{kept['id']}", token, body, HTTP_IF_MATCH='W/"1"')
    return answer.status_code


@pytest.mark.requirement("STATE-06", "STATE-07")
@pytest.mark.parametrize(("one", "other"), [("PUT", "PUT"), ("PUT", "DELETE"), ("DELETE", "DELETE")])
def test_of_two_changes_of_one_version_one_happens(
    keep: Callable[[], tuple[str, dict[str, Any]]], one: str, other: str
) -> None:
    for _ in range(5):
        token, kept = keep()
        results = at_once(partial(change, token, kept, one, "a"), partial(change, token, kept, other, "b"))
        assert sorted(map(str, results))[1] == "412", results
        won = results.index(next(code for code in results if code != 412))
        row = AppState.objects.get(pk=kept["id"])
        told = AuditRecord.objects.filter(resource_id=kept["id"]).exclude(action="create")
        assert told.count() == 1
        if (one, other)[won] == "PUT":
            assert (row.version, row.deleted_at) == (2, None)
            key = StateKey(row.subject, row.system, row.code)
            [found] = [one for one in app_states.find_items(row.tenant_id, None, key) if one.id == kept["id"]]
            assert found.members["extension"] == [{"url": "urn:x", "valueString": "ab"[won]}]
        else:
            assert row.deleted_at is not None


def test_the_limit_holds_however_many_come_at_once(
    keep: Callable[[], tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_states, "MOST", 2)
    token, _ = keep()

    def add(number: int) -> int:
        return StateCaller().ask("POST", "/Basic", token, state(code=f"code-{number}")).status_code

    results = at_once(*(lambda number=number: add(number) for number in range(4)))
    assert sorted(map(str, results)) == ["201", "422", "422", "422"]
    assert AppState.objects.count() == 2
