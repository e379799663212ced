"""What a decision about a write returns: who may, what, and under which conditions it will be sent."""

from dataclasses import dataclass, field
from typing import Literal

from fhirproxy.policy.authority import Grant
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.jsonpatch import Change
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.results import Shape
from fhirproxy.policy.sent import Return
from fhirproxy.policy.switches import WriteSwitches

Verb = Literal["create", "update", "patch", "delete"]
LETTERS: dict[Verb, str] = {"create": "c", "update": "u", "patch": "u", "delete": "d"}


@dataclass(frozen=True, slots=True)
class WritePlan:
    """Change one resource within `via`, after a look at what is there and at what would be there.

    `criteria`: find the resource by this search first; then `id` is empty until it is found. `type_grants`: all grants
    of the token for the type, whatever their letters. `create_via`: who may create what an update does not find.
    """

    verb: Verb
    type: str
    id: str
    via: tuple[Grant, ...]
    type_grants: tuple[Grant, ...]
    is_full: bool
    switches: WriteSwitches
    resource: Resource | None = None
    changes: tuple[Change, ...] = ()
    version: str = ""  # the version the client has seen, or empty
    criteria: SearchPlan | None = None
    create_via: tuple[Grant, ...] = ()
    returns: Return = "representation"
    shape: Shape = field(default_factory=Shape)
    rule: str = "allow"

    @property
    def letter(self) -> str:
        """Return the letter this write needs."""
        return LETTERS[self.verb]

    @property
    def readers(self) -> tuple[Grant, ...]:
        """Return the grants with which the result may be shown. Writing never implies reading (SMART 2.2 scopes)."""
        return tuple(grant for grant in self.type_grants if "r" in grant.letters)
