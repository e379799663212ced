"""What a tenant adds of its own to what FHIR R4 has: search parameters, and operations with a declared result."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smartauth.policy import r4


@dataclass(frozen=True, slots=True)
class Extras:
    """parameters: (type, name).  operations: (type, whether on an instance, name) to the type of the result."""

    parameters: Mapping[tuple[str, str], r4.Parameter] = field(default_factory=dict)
    operations: Mapping[tuple[str, bool, str], str] = field(default_factory=dict)


NO_EXTRAS = Extras()
