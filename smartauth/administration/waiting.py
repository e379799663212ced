"""What waits for somebody at the hospital today. Each part of the server says so for itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something to see to: how many of it, where, and since when or why. `is_urgent`: people notice it already."""

    title: str
    count: int
    url: str
    detail: str = ""
    is_urgent: bool = False


Source = Callable[[HttpRequest], Iterable[Waiting]]
_sources: list[Source] = []


def tells_what_waits(source: Source) -> Source:
    """Ask `source` too from now on. It yields nothing about what the person of the request may not see."""
    _sources.append(source)
    return source


def what_waits(request: HttpRequest) -> list[Waiting]:
    """Return everything that waits and the person may see, urgent things first."""
    found = [one for source in _sources for one in source(request) if one.count]
    return sorted(found, key=lambda one: not one.is_urgent)
