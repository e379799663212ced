"""A refusal explained to the owner of the client: what was checked, what was expected, what came, what mends it.

The partner's view only: a function of request, client, token and policy, never of upstream data.
"""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from clients.portal.access import find_own_client, not_yours, portal_page
from smartauth.receipts.views import as_text, describe, find_receipt


@portal_page("GET")
def receipt_page(request: HttpRequest, trace_id: UUID) -> HttpResponse:
    """Show a receipt of an own client; one of somebody else's is as absent as one that never was."""
    receipt = find_receipt(trace_id)
    client = find_own_client(request.user, receipt.client_id) if receipt is not None and receipt.client_id else None
    if receipt is None or client is None:
        raise not_yours("receipt")
    told = describe(receipt, "partner")
    page = {
        "receipt": told,
        "at": receipt.at,
        "client": client,
        "explanation": as_text(told),
        "is_about_assertion": receipt.rule.startswith(("assertion.", "jwks.")),
    }
    return render(request, "developers/receipt.html", page)
