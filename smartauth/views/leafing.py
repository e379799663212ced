"""Lists too long for one page: going on where the form says, and numbering what is shown."""

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest
from django.utils.translation import gettext

from smartauth.records import Place, PlaceLost
from smartauth.views.continuing import Open

Page = TypeVar("Page")


def turn_page(request: HttpRequest, opened: Open, ask: Callable[[Place], Page]) -> tuple[Page, bool]:
    """Return the page that is wanted, and whether it is the first because the wanted one is lost.

    A place that is not of this list, or forgotten at the FHIR server, is no reason to show nothing.
    """
    flow, following = str(opened.pending.pk), request.POST.get("following", "")
    try:
        return ask(Place(flow, following)), False
    except PlaceLost:
        return ask(Place(flow)), True


def span(first: int, count: int) -> str:
    """Return the numbers of what a page shows in words, such as "51 to 100"; "" for a first page and for nothing."""
    if first == 1 or not count:
        return ""
    last = first + count - 1
    return str(last) if count == 1 else gettext("%(first)d to %(last)d") % {"first": first, "last": last}
