"""Where a client works: asked for, switched on for at most some scopes, switched off, and who may do that."""

from collections.abc import Callable
from typing import Any

import pytest

from clients.acting import BY_ITSELF, BY_PROTOCOL, Actor, NotPossible, operator, owner
from clients.activations import activate, deactivate, request_activation
from clients.lifecycle import take_step
from clients.models import Activation, Client, ClientEvent
from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.people.models import User
from tests.clients.at_once import at_once
from tests.factories import make_client, make_tenant, phone_app

pytestmark = pytest.mark.django_db

OPERATOR = operator(None)


@pytest.fixture
def tenant() -> TenantInfo:
    return make_tenant()


@pytest.fixture
def client(tenant: TenantInfo) -> Client:
    return make_client(phone_app(scope="patient/*.rs")).client


@pytest.fixture
def on(client: Client, tenant: TenantInfo) -> Callable[..., Activation]:
    def switch(scope: str = "", by: Actor = OPERATOR, **options: Any) -> Activation:
        return activate(client, tenant, allowed_scope=scope, by=by, context=new_context(), **options)

    return switch


@pytest.fixture
def off(client: Client, tenant: TenantInfo) -> Callable[..., Activation]:
    def switch(note: str = "The contract ended.", by: Actor = OPERATOR, **options: Any) -> Activation:
        return deactivate(client, tenant, by=by, context=new_context(), note=note, **options)

    return switch


@pytest.fixture
def ask(client: Client, tenant: TenantInfo) -> Callable[..., Activation]:
    return lambda by=OPERATOR: request_activation(client, tenant, by=by, context=new_context())


def rule_of(call: Callable[[], object]) -> str:
    """Return the rule by which a call is refused that leaves everything as it was."""
    before, events = list(Activation.objects.values()), ClientEvent.objects.count()
    with pytest.raises(NotPossible) as refused:
        call()
    assert (list(Activation.objects.values()), ClientEvent.objects.count()) == (before, events)
    assert refused.value.refusal.fix
    return refused.value.refusal.rule


def acts() -> list[str]:
    return list(ClientEvent.objects.order_by("pk").values_list("act", flat=True))


def test_asking_twice_is_asking_once(ask: Callable[..., Activation]) -> None:
    ask()
    assert (ask().is_active, ask().decided_at) == (False, None)
    assert acts() == ["requested"]


@pytest.mark.requirement("REG-11")
def test_it_is_switched_on_for_at_most_what_the_tenant_says(on: Callable[..., Activation]) -> None:
    assert on("patient/Observation.rs   openid", note="For the pilot.").allowed_scope == "patient/Observation.rs openid"
    found = find_client("growth-chart")
    assert found is not None
    assert dict(found.activations) == {"sandbox": "patient/Observation.rs openid"}
    event, record = ClientEvent.objects.get(), AuditRecord.objects.get()
    assert (event.act, event.tenant, event.reason) == ("activated", "sandbox", "For the pilot.")
    assert (record.rule, record.tenant, record.action) == ("activation.activated", "sandbox", "administer")


def test_who_was_switched_off_may_ask_again(on: Any, off: Any, ask: Any) -> None:
    on()
    assert off().note == "The contract ended."
    assert ask().decided_at is None
    assert acts() == ["activated", "deactivated", "requested"]
    assert on().is_active


def test_asking_where_it_is_active_changes_nothing(on: Any, ask: Any) -> None:
    decided_at = on().decided_at
    assert (ask().is_active, ask().decided_at) == (True, decided_at)


def test_narrowing_keeps_nothing_of_the_wider_scope(on: Any) -> None:
    on()
    assert on("patient/Observation.rs").allowed_scope == "patient/Observation.rs"
    assert on().allowed_scope == ""


@pytest.mark.parametrize("scope", ["patient/Observation.sr", "patient/Nothing.rs", "patient/Observation.rs fax"])
def test_a_scope_nobody_can_read_is_refused(on: Any, scope: str) -> None:
    assert rule_of(lambda: on(scope)) == "activation.scope"


def test_switching_off_takes_a_reason(on: Any, off: Any) -> None:
    on()
    assert rule_of(lambda: off(" \n")) == "activation.reason"
    assert rule_of(lambda: off("x" * 2_001)) == "activation.reason"
    assert rule_of(lambda: on("openid", note="\x00")) == "activation.reason"


def test_the_same_decision_twice_is_refused(on: Any, off: Any) -> None:
    on()
    assert rule_of(on) == "activation.decided"
    off()
    assert rule_of(off) == "activation.decided"


ROLES = [
    # who              may activate  may deactivate
    (OPERATOR, True, True),
    (BY_ITSELF, True, True),
    (owner, False, True),
    (BY_PROTOCOL, False, False),
]


@pytest.mark.parametrize(("who", "may_activate", "may_deactivate"), ROLES)
def test_who_may_decide(on: Any, off: Any, who: Any, may_activate: bool, may_deactivate: bool) -> None:
    by = who if isinstance(who, Actor) else owner(User.objects.create_user("kim", password="not used here").pk)
    for may, decide in ((may_activate, on), (may_deactivate, off)):
        if may:
            decide(by=by)
        else:
            assert rule_of(lambda decide=decide: decide(by=by)) == "activation.role"
            on() if decide is on else None


def test_a_retired_client_works_nowhere_again(client: Client, on: Any, ask: Any) -> None:
    on()
    take_step("growth-chart", "retired", by=OPERATOR, context=new_context())
    assert rule_of(on) == "activation.retired"
    assert rule_of(ask) == "activation.retired"  # Though `client` does not know of it yet.
    assert client.status == "approved"


def test_who_decides_about_what_has_changed_is_told(on: Any, off: Any, ask: Any) -> None:
    seen = ask().decided_at
    decided_at = off("Not for us.", seen=seen).decided_at
    assert rule_of(lambda: on(seen=seen)) == "activation.decided"
    assert on(seen=decided_at).is_active


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_counts_and_the_other_is_told(client: Client, on: Any, off: Any, ask: Any) -> None:
    seen = ask().decided_at
    found = at_once(lambda: on(seen=seen), lambda: off(seen=seen))
    [won] = [one for one in found if isinstance(one, Activation)]
    [lost] = [one for one in found if isinstance(one, NotPossible)]
    assert lost.refusal.rule == "activation.decided"
    assert Activation.objects.get().is_active == won.is_active
    assert len(acts()) == 2


@pytest.mark.django_db(transaction=True)
def test_asking_and_deciding_at_once_do_not_wait_for_each_other_for_ever(on: Any, off: Any, ask: Any) -> None:
    off()
    for _ in range(3):
        found = at_once(ask, on, ask, off)
        assert all(isinstance(one, Activation | NotPossible) for one in found), found
