"""The way of a client: every step from every state by everybody, and what each leaves behind.

SMART 2.2 app-launch, "Register App with EHR"; RFC 7592 §2.3; RFC 9700 §4.14.
"""

from itertools import product

import pytest
from django.utils import timezone

from clients.acting import BY_ITSELF, BY_PROTOCOL, Actor, NotPossible, operator, owner
from clients.lifecycle import STEPS, possible_steps, take_step
from clients.metadata import InvalidClientMetadata
from clients.models import Activation, ChangeRequest, Client, ClientEvent
from clients.registration import describe_metadata, register_client
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.clients.at_once import at_once
from tests.factories import make_client, make_tenant, phone_app, web_app

pytestmark = pytest.mark.django_db

OWNER, OPERATOR, SERVER, CLIENT = "owner", "operator", "server", "client"
# step: (from which states, to which, by whom, whether it must be explained)
ALLOWED = {
    "submitted": (("draft", "declined"), "submitted", (OWNER,), False),
    "withdrawn": (("submitted",), "draft", (OWNER,), False),
    "returned": (("submitted",), "draft", (OPERATOR,), True),
    "approved": (("submitted", "declined"), "approved", (OPERATOR, SERVER), False),
    "declined": (("submitted",), "declined", (OPERATOR,), True),
    "reviewed_again": (("approved",), "submitted", (CLIENT,), False),
    "suspended": (("approved",), "suspended", (OPERATOR,), True),
    "resumed": (("suspended",), "approved", (OPERATOR,), False),
    "retired": (
        ("draft", "submitted", "approved", "declined", "suspended"),
        "retired",
        (OWNER, OPERATOR, CLIENT),
        False,
    ),
}
STATES = tuple(Client.Status.values)
ROLES = {OWNER: owner, OPERATOR: operator, SERVER: lambda _: BY_ITSELF, CLIENT: lambda _: BY_PROTOCOL}


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", password="not used here")


def in_state(status: str) -> Client:
    make_client(web_app(), status=status)
    return Client.objects.get()


def step(name: str, by: Actor, reason: str = "Because.", seen: str | None = None) -> Client:
    return take_step("cardio", name, by=by, context=new_context(), reason=reason, seen=seen)


def refused(name: str, by: Actor, reason: str = "Because.") -> str:
    """Try a step that cannot be taken; return the rule of the refusal."""
    before = Client.objects.values().get()
    with pytest.raises(NotPossible) as error:
        step(name, by, reason)
    told = error.value.refusal
    assert told.fix
    assert error.value.status == 409
    assert Client.objects.values().get() == before
    assert not ClientEvent.objects.exists()
    assert not AuditRecord.objects.exists()
    return told.rule


def test_the_table_below_is_about_every_step() -> None:
    assert set(ALLOWED) == set(STEPS)


@pytest.mark.parametrize(("name", "status", "role"), [*product(ALLOWED, STATES, ROLES)])
def test_every_step_from_every_state_by_everybody(kim: User, name: str, status: str, role: str) -> None:
    client = in_state(status)
    sources, target, roles, _ = ALLOWED[name]
    by = ROLES[role](kim.pk)
    possible = status in sources and role in roles
    assert (name in possible_steps(client, by.role)) == possible
    if not possible:
        assert refused(name, by) == ("lifecycle.role" if role not in roles else f"lifecycle.{name}")
        return
    assert step(name, by).status == target
    assert Client.objects.get().status == target
    event = ClientEvent.objects.get()
    assert (event.act, event.actor, event.user_id) == (name, role, by.user)
    assert (event.reason, event.status, event.tenant) == ("Because.", target, "")
    recorded = AuditRecord.objects.get()
    assert (recorded.rule, recorded.client_id, recorded.user_id) == (f"client.{name}", "cardio", by.user)
    assert recorded.action == ("administer" if role == OPERATOR else "register")
    assert recorded.details == {"status": target, "reason": "Because."}


@pytest.mark.parametrize("name", [name for name, (_, _, _, needs) in ALLOWED.items() if needs])
@pytest.mark.parametrize("reason", ["", " \r\n\t"])
def test_what_hurts_must_be_explained(name: str, reason: str) -> None:
    in_state(ALLOWED[name][0][0])
    assert refused(name, operator(None), reason) == "lifecycle.reason"


@pytest.mark.parametrize("reason", ["x" * 2_001, "a\x00b", "\ud800"])
def test_a_reason_nobody_could_read_is_refused(reason: str) -> None:
    in_state("submitted")
    assert refused("declined", operator(None), reason) == "lifecycle.reason"


def test_a_reason_may_have_lines() -> None:
    in_state("submitted")
    step("declined", operator(None), "  One.\r\nTwo. ")
    assert ClientEvent.objects.get().reason == "One.\nTwo."


@pytest.mark.parametrize(
    ("name", "status", "fields"),
    [
        ("reviewed_again", "approved", {"is_operator_verified": False}),
        ("suspended", "approved", {"is_operator_verified": True}),
        ("retired", "approved", {"registration_access_token": ""}),
    ],
)
def test_what_else_a_step_changes(kim: User, name: str, status: str, fields: dict[str, object]) -> None:
    in_state(status)
    Client.objects.update(registration_access_token="digest")
    by = BY_PROTOCOL if name == "reviewed_again" else operator(kim.pk)
    step(name, by)
    assert Client.objects.values(*fields).get() == fields


class TestRetired:
    """For good."""

    @pytest.fixture
    def client(self) -> Client:
        tenant = make_tenant()
        return make_client(phone_app(client_id="cardio"), activate_at=[tenant]).client

    def test_it_works_nowhere_and_waits_nowhere(self, client: Client) -> None:
        north = make_tenant("north")
        Activation.objects.create(client=client, tenant_id=north.pk, is_active=False)
        metadata = describe_metadata(client)
        ChangeRequest.objects.create(client=client, before=metadata, wanted=metadata)
        step("retired", owner(None))  # type: ignore[arg-type]
        assert not Activation.objects.filter(is_active=True).exists()
        assert not Activation.objects.filter(decided_at=None).exists()
        assert ChangeRequest.objects.get().state == "withdrawn"

    @pytest.mark.requirement("REG-01")
    def test_its_id_is_never_used_again(self, client: Client) -> None:
        step("retired", operator(None))
        with pytest.raises(InvalidClientMetadata, match="exists already"):
            register_client(web_app(client_id="cardio"), operator=True)
        assert {refused_now(name, by) for name in STEPS for by in (operator(None), BY_PROTOCOL)} <= {
            *(f"lifecycle.{name}" for name in STEPS),
            "lifecycle.role",
        }


def refused_now(name: str, by: Actor) -> str:
    with pytest.raises(NotPossible) as error:
        step(name, by)
    return error.value.refusal.rule


@pytest.mark.requirement("REG-14")
@pytest.mark.parametrize(("name", "back"), [("suspended", "resumed"), ("retired", None)])
def test_stopping_a_client_ends_what_was_granted_to_it(kim: User, name: str, back: str | None) -> None:
    tenant = make_tenant()
    client = make_client(web_app(), activate_at=[tenant]).client
    other = make_client(phone_app(), activate_at=[tenant]).client
    for one in (client, other):
        Authorization.objects.create(
            kind="user", client=one, tenant_id=tenant.pk, user=kim, scope="patient/*.rs", auth_time=timezone.now()
        )
    step(name, operator(kim.pk))
    ended = Authorization.objects.get(client=client)
    assert (ended.revoked_at is not None, ended.revoked_by) == (True, "operator")
    assert Authorization.objects.get(client=other).revoked_at is None
    assert AuditRecord.objects.filter(action="revoke", client_id="cardio").count() == 1
    if back:
        step(back, operator(kim.pk))
        assert Authorization.objects.get(client=client).revoked_at is not None


@pytest.mark.parametrize(
    ("one", "other", "status"),
    [
        ("approved", "declined", "submitted"),
        ("approved", "returned", "submitted"),
        ("suspended", "suspended", "approved"),
        ("retired", "retired", "suspended"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_of_two_operators_at_once_one_wins_and_the_other_is_told(one: str, other: str, status: str) -> None:
    in_state(status)
    by, why = operator(None), "Because."
    found = at_once(lambda: step(one, by, why, seen=status), lambda: step(other, by, why, seen=status))
    [won] = [result for result in found if isinstance(result, Client)]
    [lost] = [result for result in found if isinstance(result, NotPossible)]
    assert Client.objects.get().status == won.status
    assert lost.refusal.rule in (f"lifecycle.{one}", f"lifecycle.{other}")
    assert ClientEvent.objects.count() == AuditRecord.objects.exclude(action="revoke").count() == 1
