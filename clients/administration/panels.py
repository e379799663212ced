"""Parts of a client's page that other parts of the server know: what was granted to it, say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from clients.models import Client


@dataclass(frozen=True, slots=True)
class Panel:
    """One section of the page. `facts` are for `template`; `anchor` is its id on the page."""

    anchor: str
    title: str
    template: str
    facts: dict[str, Any]


Source = Callable[[HttpRequest, Client], Panel | None]
_sources: list[Source] = []


def on_the_client_page(source: Source) -> Source:
    """Ask `source` for a section from now on; it returns None where the person of the request may not see it."""
    _sources.append(source)
    return source


def panels_for(request: HttpRequest, client: Client) -> list[Panel]:
    """Return the sections of a client's page that the person may see."""
    return [panel for source in _sources if (panel := source(request, client)) is not None]
