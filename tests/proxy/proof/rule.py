"""What a rule is that the proof takes away."""

from dataclasses import dataclass
from typing import Any

Patch = tuple[Any, str, Any]
LEAKS = ("T1 leaky", "T1 hostile", "T1 faithful")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, and what is put in its place. `suspects`: the properties to ask first."""

    section: str
    name: str
    patch: Patch
    suspects: tuple[str, ...] = LEAKS
    also: Patch | None = None

    @property
    def patches(self) -> tuple[Patch, ...]:
        return (self.patch, self.also) if self.also else (self.patch,)
