"""Two officers decide in the same moment, each on a connection of their own: one of them does, the other is told."""

import pytest

from clients import reviews
from clients.acting import NotPossible, operator, owner
from clients.changes import request_change
from clients.models import ChangeRequest, Client, ClientEvent, Review
from clients.registration import describe_metadata, register_client
from clients.reviews import Outcome, Verdict
from smartauth.context import new_context
from smartauth.people.models import User
from tests.clients.at_once import at_once
from tests.conftest import Configure
from tests.factories import make_client, phone_app, web_app

pytestmark = pytest.mark.django_db(transaction=True)


def only_one(results: list[object], rule: str) -> bool:
    """Return True when one succeeded, and the other was refused by `rule`."""
    refused = [one for one in results if isinstance(one, NotPossible)]
    return len(results) == 2 and [one.refusal.rule for one in refused] == [rule]


def test_one_review_counts() -> None:
    metadata = phone_app(scope="patient/Observation.rs")
    client = register_client(metadata, operator=False, approved=False).client
    matter = reviews.find_matter(client)
    assert matter is not None

    def decide(outcome: Outcome) -> Review:
        verdict = Verdict(outcome, frozenset(matter.checks), matter.scopes, reason="Because.")
        return reviews.decide(client.client_id, verdict, seen=matter.version, by=operator(None), context=new_context())

    results = at_once(lambda: decide(Outcome.APPROVED), lambda: decide(Outcome.DECLINED))
    assert only_one(results, "review.changed")
    client.refresh_from_db()
    review = Review.objects.get()
    assert client.status == review.outcome
    assert ClientEvent.objects.count() == 1


def test_a_change_is_decided_while_its_owner_replaces_it_and_nobody_waits_for_ever(configure: Configure) -> None:
    configure(mode="production")
    kim = User.objects.create_user("kim", password="not used here")
    client = make_client(web_app(client_name="Chart"), owner=kim.pk).client

    def ask(name: str) -> object:
        metadata = {**describe_metadata(client), "client_name": name}
        return request_change(client.client_id, metadata, by=owner(kim.pk), context=new_context())

    for number in range(5):
        ask(f"Bank {number}")
        matter = reviews.find_matter(Client.objects.get())
        assert matter is not None
        verdict = Verdict(Outcome.APPROVED, frozenset(matter.checks), matter.scopes)

        def decide(matter: reviews.Matter = matter, verdict: Verdict = verdict) -> object:
            by, context = operator(None), new_context()
            return reviews.decide(client.client_id, verdict, seen=matter.version, by=by, context=context)

        results = at_once(decide, lambda number=number: ask(f"Mint {number}"))
        assert [one for one in results if isinstance(one, Exception) and not isinstance(one, NotPossible)] == []
        decided = isinstance(results[0], Review)
        name = Client.objects.get().name
        assert name == (f"Bank {number}" if decided else name)
        assert ChangeRequest.objects.filter(state="open").count() == 1
