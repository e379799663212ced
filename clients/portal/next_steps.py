"""What the owner of an app can do next, from the state it is in: one sentence each, the most urgent first."""

from collections.abc import Sequence
from dataclasses import dataclass

from clients.app_kinds import kind_of
from clients.models import Activation, AppKind, Client

Status = Client.Status


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do. `anchor` is where on the app's page it is done."""

    text: str
    anchor: str = ""


def next_steps(client: Client, activations: Sequence[Activation]) -> tuple[NextStep, ...]:
    """Return what is to be done next."""
    match client.status:
        case Status.DRAFT:
            return (NextStep("Finish it and submit it.", "manage"),)
        case Status.SUBMITTED:
            return (NextStep("Wait for the hospital, or withdraw it to change something.", "manage"),)
        case Status.DECLINED:
            return (NextStep("Read why it was declined, change it, and submit it again.", "history"),)
        case Status.SUSPENDED:
            return (NextStep("Read why it was suspended, and write to the operator.", "history"),)
        case Status.APPROVED:
            return _approved(client, activations)
    return ()


def _approved(client: Client, activations: Sequence[Activation]) -> tuple[NextStep, ...]:
    active = [one for one in activations if one.is_active]
    waiting = [one for one in activations if not one.is_active and one.decided_at is None]
    found = []
    if active:
        verb = "Get a first token and read" if kind_of(client) == AppKind.SERVICE else "Connect it"
        where = active[0].tenant.name or active[0].tenant.slug
        found.append(NextStep(f"{verb} at {where}: the code is ready to paste.", "code"))
    if waiting:
        names = ", ".join(one.tenant.name or one.tenant.slug for one in waiting)
        found.append(NextStep(f"Wait until it is switched on at {names}.", "tenants"))
    if not active and not waiting:
        found.append(NextStep("Ask a hospital to switch it on: choose one under Change it.", "manage"))
    return tuple(found)
