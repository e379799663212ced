"""The assertion clinic: paste an assertion, and read what the token endpoint would say to it and how to mend it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from clients.clinic import NotYourAssertion, diagnose
from clients.portal.access import find_own_client, not_yours, portal_page
from clients.portal.fetch_room import room
from clients.registered import find_client
from smartauth import endpoints

LONGEST = 20_000  # characters; the token endpoint reads no longer ones


@portal_page("GET", "POST")
def clinic_page(request: HttpRequest, client_id: str) -> HttpResponse:
    """Show the form, and under it the diagnosis. The assertion is stored nowhere and stays unspent."""
    own = find_own_client(request.user, client_id)
    client = find_client(client_id) if own is not None else None
    if own is None or client is None:
        raise not_yours("app")
    assertion = "".join(request.POST.get("assertion", "").split())
    where = next(iter(client.activations), None)
    page = {"client": own, "assertion": assertion, "token_url": endpoints.oauth(where, "token")}
    if request.method == "POST":
        page |= {"problem": "Paste an assertion first."} if not assertion else {}
        page |= {"problem": "This is too long to be an assertion."} if len(assertion) > LONGEST else {}
    if assertion and "problem" not in page:
        audiences = frozenset().union(
            endpoints.assertion_audiences(None), *map(endpoints.assertion_audiences, client.activations)
        )
        try:
            with room(int(request.user.pk)):
                page["diagnosis"] = diagnose(assertion, client, audiences=audiences, now=timezone.now())
        except NotYourAssertion as error:
            refusal = error.refusal
            page["problem"] = f"{refusal.reason}. It names {refusal.seen}. {refusal.fix}"
    return render(request, "developers/clinic.html", page)
