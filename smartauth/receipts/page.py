"""The page of one receipt, found by its trace id. Reading it is audited.

Officers see everything. Who looks after apps sees what the owner of the client may see, to help them.
"""

import json
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from smartauth.administration.pages import page
from smartauth.audit.reading import as_fhir, refused_of
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.receipts.ladder import ladder
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import View, as_text, describe, find_receipt

RULES = {"officer": "admin", "partner": "admin.partner_view"}


@require_GET
def trace(request: HttpRequest) -> HttpResponse:
    """Look a trace id up."""
    view = view_of(request)
    wanted = request.GET.get("trace", "").strip()[:100]
    problem, status = "", 200
    if wanted:
        try:
            trace_id = UUID(wanted)
        except ValueError:
            problem, status = "A trace id looks like 123e4567-e89b-12d3-a456-426614174000.", 400
        else:
            receipt = find_receipt(trace_id)
            if receipt is not None:
                return show(request, receipt, view)
            problem, status = (
                "There is no receipt of it: the request was allowed, or too long ago, or one of a flood.",
                404,
            )
    audited = request.user.has_perm("audit.view_auditrecord") and status == 404
    allowed = f"{reverse('admin:audit_auditrecord_changelist')}?{urlencode({'q': wanted})}" if audited else ""
    facts = {"wanted": wanted, "problem": problem, "allowed": allowed}
    return page(request, "admin/receipts/trace.html", "Why was a request refused?", status=status, **facts)


def view_of(request: HttpRequest) -> View:
    """Return which view the person may have. Raises PermissionDenied for neither."""
    if request.user.has_perm("receipts.view_receipt"):
        return "officer"
    if request.user.has_perm("clients.view_client"):
        return "partner"
    raise PermissionDenied


def show(request: HttpRequest, receipt: Receipt, view: View) -> HttpResponse:
    """Show a receipt, and record who looked at it."""
    event = AuditEvent(
        "receipt.read", rule=RULES[view], user=request.user.pk, details={"receipt": str(receipt.trace_id)}
    )
    record_now(context_of(request), event)
    is_officer = view == "officer"
    facts = {
        "receipt": receipt,
        "is_officer": is_officer,
        "rungs": ladder(receipt, officer=is_officer),
        "text": as_text(describe(receipt, "partner")),
        "client_url": _client_url(request, receipt),
        "as_fhir": _as_fhir(receipt) if is_officer else "",
    }
    trail = (("Why was a request refused?", reverse("admin:receipts_trace")),)
    return page(request, "admin/receipts/receipt.html", f"Receipt {receipt.trace_id}", trail=trail, **facts)


def _as_fhir(receipt: Receipt) -> str:
    """Return a refusal at the FHIR API as the AuditEvents it is, one for each patient; "" for any other."""
    if receipt.endpoint != "fhir":
        return ""
    (recorded,) = refused_of([receipt])
    return json.dumps(as_fhir(recorded), indent=2, ensure_ascii=False)


def _client_url(request: HttpRequest, receipt: Receipt) -> str:
    if not receipt.client_id or not request.user.has_perm("clients.view_client"):
        return ""
    return f"{reverse('admin:clients_client_changelist')}?{urlencode({'q': receipt.client_id})}"
