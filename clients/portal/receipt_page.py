"""A refusal explained to the owner of the client: what was checked, what was expected, what came, what mends it.

The partner's view only: a function of request, client, token and policy, never of upstream data.
"""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from clients.portal.access import find_own_client, not_yours, portal_page
from smartauth.receipts.views import describe, find_receipt


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
        "explanation": _explanation(told),
        "is_about_assertion": receipt.rule.startswith(("assertion.", "jwks.")),
    }
    return render(request, "developers/receipt.html", page)


def _explanation(told: dict[str, str]) -> str:
    """Return the receipt as text for a colleague or the operator, e.g. to paste into a mail."""
    lines = (
        ("Trace", told["trace_id"]),
        ("When", told["at"]),
        ("Request", " at ".join(filter(None, (told["endpoint"], told["tenant"])))),
        ("Client", told["client_id"]),
        ("Answer", f"{told['status']} {told['error']}".strip()),
        ("Rule", told["rule"]),
        ("Why", told["reason"]),
        ("Expected", told["expected"]),
        ("Seen", told["seen"]),
        ("What mends it", told["fix"]),
    )
    return "\n".join(f"{label}: {text}" for label, text in lines if text)
