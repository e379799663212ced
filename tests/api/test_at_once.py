"""The same request twice at once, on two worker processes."""

from collections import Counter
from functools import partial

import requests

from clients.key_pairs import KeyPair
from clients.models import Client, ClientEvent, Draft
from smartauth.people.models import User
from tests.api.conftest import BASE, Program, make_draft, make_own_client, program_of
from tests.flows.test_concurrency import at_once
from tests.world import World, _world, world

__all__ = ["_world", "world"]

AT_ONCE = 6


def send(world: World, program: Program, path: str) -> int:
    headers = {"Authorization": f"Bearer {program.token}"}
    return requests.post(f"{world.base_url}{BASE}/{path}", headers=headers, timeout=30).status_code


def test_a_draft_becomes_one_client(world: World, ec: KeyPair) -> None:
    kim = User.objects.create_user("kim-at-once", password="not used here")
    program = program_of(kim)
    for _ in range(3):
        draft = make_draft(kim, ec)
        before = Client.objects.filter(user=kim).count()
        statuses = Counter(at_once(*[partial(send, world, program, f"drafts/{draft.pk}/submit")] * AT_ONCE))
        assert statuses[201] == 1
        assert statuses[404] + statuses[409] == AT_ONCE - 1
        assert Client.objects.filter(user=kim).count() == before + 1
        assert not Draft.objects.filter(owner=kim).exists()


def test_a_client_is_retired_once(world: World, ec: KeyPair) -> None:
    kim = User.objects.create_user("kim-retires", password="not used here")
    client, program = make_own_client(kim, ec), program_of(kim)
    statuses = Counter(at_once(*[partial(send, world, program, f"clients/{client.client_id}/retire")] * AT_ONCE))
    assert statuses == {200: 1, 409: AT_ONCE - 1}
    assert ClientEvent.objects.filter(client=client, act="retired").count() == 1


def test_a_client_gets_one_draft(world: World, ec: KeyPair) -> None:
    kim = User.objects.create_user("kim-revises", password="not used here")
    client, program = make_own_client(kim, ec), program_of(kim)
    at_once(*[partial(send, world, program, f"clients/{client.client_id}/draft")] * AT_ONCE)
    assert Draft.objects.filter(client=client).count() == 1
