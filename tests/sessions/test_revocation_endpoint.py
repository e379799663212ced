"""What the revocation endpoint answers where it can end nothing.  RFC 7009 §2.2.1."""

import pytest
from django.db import OperationalError

from smartauth.models import Authorization
from smartauth.receipts.models import Receipt
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_refresh_token import Refresh, Start, reads
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")


@pytest.mark.requirement("REVOKE-06")
def test_an_id_token_cannot_be_revoked_and_that_is_said(
    start: Start, refresh: Refresh, post: Post, call: Caller
) -> None:
    tokens = start()
    answer = post(REVOKE, {"token": tokens["id_token"], "client_id": "growth-chart"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")
    assert Receipt.objects.get(trace_id=answer.json()["trace_id"]).rule == "revoke.id_token"
    assert Authorization.objects.get().revoked_at is None
    assert reads(call, tokens)


@pytest.mark.requirement("REVOKE-06")
def test_without_a_database_the_client_is_told_to_come_again(
    post: Post, bulk_loader: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError

    monkeypatch.setattr("smartauth.views.revoke.authenticate_client", away)
    answer = post(REVOKE, {"token": "x", **bulk_loader.credentials()})
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.requirement("REVOKE-01", "REVOKE-05")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "something", ""])
def test_the_hint_is_only_a_hint(start: Start, refresh: Refresh, post: Post, call: Caller, hint: str) -> None:
    first, second = start(), start()
    params = {"client_id": "growth-chart", "token_type_hint": hint}
    assert post(REVOKE, {"token": first["access_token"], **params}).status_code == 200
    assert (reads(call, first), reads(call, second)) == (False, True)
    assert refresh(first["refresh_token"]).status_code == 200
    assert post(REVOKE, {"token": second["refresh_token"], **params}).status_code == 200
    assert not reads(call, second)
    # What is dead already is fine, too.
    assert post(REVOKE, {"token": second["refresh_token"], **params}).status_code == 200
    assert post(REVOKE, {"token": second["access_token"], **params}).status_code == 200
