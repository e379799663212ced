"""Secrets, probes, recent requests, key sets and assertions, tried by a program of the owner."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.key_pairs import KeyPair
from clients.models import AssertionId, Client
from clients.portal import fetch_room
from smartauth.people.models import User
from tests.api.conftest import Program, make_own_client
from tests.api.test_drafts_and_clients import rules, web_answers
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.conftest import Configure
from tests.factories import claims_at, make_tenant, signed


@pytest.fixture
def jwks_host() -> Iterator[JwksHost]:
    with run_jwks_host() as host:
        yield host


@pytest.fixture(autouse=True)
def nothing_fetched() -> None:
    fetch_room.forget()


@pytest.fixture
def web(kims: Program) -> dict[str, Any]:
    """Have an app with a secret, and return what its submission told."""
    draft = kims.ask("POST", "drafts", {"kind": "patient", "answers": web_answers()}).json()
    told: dict[str, Any] = kims.ask("POST", f"drafts/{draft['id']}/submit").json()
    return told


class TestSecrets:
    """Of a client that shares one with us."""

    @pytest.mark.requirement("REG-10")
    def test_a_new_one_is_told_once_and_the_one_before_stays_good_for_a_while(
        self, kims: Program, web: dict[str, Any]
    ) -> None:
        where = f"clients/{web['client']['client_id']}"
        made = kims.ask("POST", f"{where}/secrets", {"days": 30, "overlap_days": 2})
        assert made.status_code == 201
        told = made.json()
        assert told["client_secret"] != web["client_secret"]
        days = [
            (datetime.fromisoformat(told[name]) - timezone.now()).days for name in ("expires_at", "previous_expires_at")
        ]
        assert days == [29, 1]
        shown = kims.ask("GET", where)
        assert shown.json()["secrets"]["has_previous"] is True
        assert told["client_secret"] not in shown.content.decode()
        assert kims.ask("DELETE", f"{where}/secrets/previous").status_code == 204
        again = kims.ask("DELETE", f"{where}/secrets/previous")
        assert (again.status_code, rules(again)) == (409, [("", "secret.no_previous")])

    @pytest.mark.parametrize("body", [{"days": 0}, {"days": 366}, {"overlap_days": 31}, {"overlap_days": -1}, {"x": 1}])
    def test_times_out_of_bounds_are_refused_by_name(
        self, kims: Program, web: dict[str, Any], body: dict[str, int]
    ) -> None:
        before = Client.objects.values_list("client_secret").get()
        refused = kims.ask("POST", f"clients/{web['client']['client_id']}/secrets", body)
        assert refused.status_code == 400
        assert refused.json()["findings"][0]["member"] in body
        assert Client.objects.values_list("client_secret").get() == before


def test_a_probe_says_what_stands_in_the_way(kims: Program, kim: User, ec: KeyPair, serving: None) -> None:
    client_id = make_own_client(kim, ec).client_id
    make_tenant("elsewhere")
    here = kims.ask("GET", f"clients/{client_id}/activations/sandbox/probe").json()
    # It has just been registered, so not every worker may know it yet.
    assert [one["name"] for one in here["checks"] if not one["passed"]] == ["known"]
    there = kims.ask("GET", f"clients/{client_id}/activations/elsewhere/probe").json()
    assert there["works"] is False
    assert all(one["fix"] for one in there["checks"] if not one["passed"])


def test_what_was_refused_lately_is_listed_and_its_receipt_is_shown(kims: Program, kim: User, ec: KeyPair) -> None:
    client_id = make_own_client(kim, ec).client_id
    form = urlencode({"grant_type": "client_credentials", "client_id": client_id, "client_secret": "x"})
    refused = Browser(HTTP_HOST="127.0.0.1:8000").post("/auth/sandbox/token", form, "application/x-www-form-urlencoded")
    (listed,) = kims.ask("GET", f"clients/{client_id}/requests").json()["requests"]
    assert (listed["trace_id"], listed["is_ok"]) == (refused.json()["trace_id"], False)
    receipt = kims.ask("GET", f"clients/{client_id}/receipts/{listed['trace_id']}").json()
    assert receipt["rule"] == listed["rule"]
    assert kims.ask("GET", f"clients/{client_id}/requests?limit=201").status_code == 400


def test_the_keys_of_a_client_are_on_a_card(kims: Program, kim: User, ec: KeyPair) -> None:
    card = kims.ask("GET", f"clients/{make_own_client(kim, ec).client_id}/keys").json()
    assert (card["source"], [key["kid"] for key in card["keys"]], card["findings"]) == ("value", ["ec-1"], [])


def test_code_to_paste_is_given_for_each_tenant(kims: Program, kim: User, ec: KeyPair) -> None:
    client_id = make_own_client(kim, ec).client_id
    found = kims.ask("GET", f"clients/{client_id}/snippets").json()["snippets"]
    assert {(one["tenant"], one["language"]) for one in found} >= {("sandbox", "curl"), ("sandbox", "python")}
    assert all(client_id in one["code"] for one in found)


class TestKeySets:
    """Tried before they are registered."""

    @pytest.mark.requirement("REG-09")
    def test_a_url_is_fetched_once_and_reported_on(self, kims: Program, jwks_host: JwksHost, ec: KeyPair) -> None:
        jwks_host.page = Page({"keys": [ec.public_jwk]}, headers=(("Content-Type", "application/json"),))
        report = kims.ask("POST", "test-jwks", {"jwks_uri": jwks_host.url}).json()
        assert (report["healthy"], [key["kid"] for key in report["keys"]], jwks_host.visits) == (True, ["ec-1"], 1)

    def test_keys_by_value_are_reported_on(self, kims: Program, ec: KeyPair) -> None:
        private = {**ec.public_jwk, "d": "c2VjcmV0LXBhcnQ"}
        answer = kims.ask("POST", "test-jwks", {"jwks": {"keys": [ec.public_jwk, private]}})
        report = answer.json()
        assert report["healthy"] is False
        assert "jwks.private_key" in {one["rule"] for key in report["keys"] for one in key["problems"]}
        assert "c2VjcmV0LXBhcnQ" not in answer.content.decode()

    @pytest.mark.parametrize(
        ("url", "rule"),
        [
            ("https://169.254.169.254/jwks.json", "jwks.url"),
            ("https://[::1]/jwks.json", "jwks.url"),
            ("http://127.0.0.1/jwks.json", "jwks.url"),
            ("https://localhost/jwks.json", "jwks.address"),
            ("file:///etc/passwd", "jwks.url"),
            ("https://kim:pass@example.org/jwks.json", "jwks.url"),
        ],
    )
    def test_only_public_hosts_are_asked(
        self, kims: Program, kim: User, configure: Configure, url: str, rule: str
    ) -> None:
        configure(mode="production")
        kim.is_superuser = True
        kim.save()
        report = kims.ask("POST", "test-jwks", {"jwks_uri": url}).json()
        assert (report["healthy"], [one["rule"] for one in report["findings"]]) == (False, [rule])

    @pytest.mark.parametrize("body", [{}, {"jwks_uri": "https://a.example.org/", "jwks": {"keys": []}}])
    def test_exactly_one_of_the_two_is_sent(self, kims: Program, body: dict[str, Any]) -> None:
        refused = kims.ask("POST", "test-jwks", body)
        assert (refused.status_code, rules(refused)) == (400, [("jwks_uri", "input.one_of")])

    def test_one_person_has_few_fetched_a_minute(
        self, kims: Program, mallorys: Program, jwks_host: JwksHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetch_room, "PER_MINUTE", 2)
        statuses = [kims.ask("POST", "test-jwks", {"jwks_uri": jwks_host.url}).status_code for _ in range(3)]
        assert (statuses, jwks_host.visits) == ([200, 200, 429], 2)
        assert mallorys.ask("POST", "test-jwks", {"jwks_uri": jwks_host.url}).status_code == 200

    def test_one_person_has_few_fetched_at_a_time(self, kims: Program, kim: User, jwks_host: JwksHost) -> None:
        with fetch_room.room(kim.pk), fetch_room.room(kim.pk):
            refused = kims.ask("POST", "test-jwks", {"jwks_uri": jwks_host.url})
        assert (refused.status_code, rules(refused), jwks_host.visits) == (429, [("", "portal.key_fetches")], 0)
        assert kims.ask("POST", "test-jwks", {"jwks_uri": jwks_host.url}).status_code == 200


class TestAssertions:
    """Brought to the clinic."""

    def ask(self, kims: Program, client_id: str, assertion: str, **members: str) -> HttpResponse:
        return kims.ask("POST", "diagnose", {"client_id": client_id, "assertion": assertion, **members})

    def test_a_good_one_is_not_spent(self, kims: Program, kim: User, ec: KeyPair) -> None:
        client_id = make_own_client(kim, ec).client_id
        assertion = signed(ec, claims_at(timezone.now(), iss=client_id, sub=client_id))
        for _ in range(2):
            told = self.ask(kims, client_id, assertion).json()
            assert (told["accepted"], told["refused_by"]) == (True, None)
        assert AssertionId.objects.count() == 0

    def test_one_for_another_tenant_is_refused_where_it_would_be(self, kims: Program, kim: User, ec: KeyPair) -> None:
        client_id = make_own_client(kim, ec).client_id
        make_tenant("elsewhere")
        assertion = signed(ec, claims_at(timezone.now(), iss=client_id, sub=client_id))
        told = self.ask(kims, client_id, assertion, tenant="elsewhere").json()
        assert (told["accepted"], told["refused_by"]["rule"]) == (False, "assertion.aud")
        assert self.ask(kims, client_id, assertion, tenant="nowhere").status_code == 404

    def test_one_of_another_client_is_not_looked_at(self, kims: Program, kim: User, ec: KeyPair) -> None:
        client_id = make_own_client(kim, ec).client_id
        refused = self.ask(kims, client_id, signed(ec, claims_at(timezone.now())))
        assert (refused.status_code, rules(refused)) == (400, [("", "clinic.not_yours")])

    def test_somebody_elses_client_looks_as_if_there_were_none(self, mallorys: Program, kim: User, ec: KeyPair) -> None:
        client_id = make_own_client(kim, ec).client_id
        assertion = signed(ec, claims_at(timezone.now(), iss=client_id, sub=client_id))
        told = [self.ask(mallorys, one, assertion).json() | {"trace_id": ""} for one in (client_id, "c-nobody")]
        assert told[0] == told[1]

    @pytest.mark.parametrize("is_own", [True, False])
    def test_it_is_kept_nowhere(self, kims: Program, kim: User, ec: KeyPair, is_own: bool) -> None:
        client_id = make_own_client(kim, ec).client_id
        names = {"iss": client_id, "sub": client_id} if is_own else {}
        assertion = signed(ec, claims_at(timezone.now(), **names))
        self.ask(kims, client_id, assertion)
        self.ask(kims, "c-nobody", assertion)
        signature = assertion.rpartition(".")[2]
        rows = [list(model._base_manager.values()) for model in apps.get_models()]
        assert signature not in json.dumps(rows, cls=DjangoJSONEncoder)
