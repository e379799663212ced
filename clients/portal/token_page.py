"""Tokens of the developer API on one page: making one, which shows it once, and withdrawing one."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from clients import api_tokens
from clients.acting import NotPossible
from clients.models import ApiToken
from clients.portal.access import not_yours, portal_page
from clients.serializers import UNPRINTABLE
from smartauth.context import context_of

LONGEST_LABEL = 100
DAYS = (7, 30, 90, 365)


@portal_page("GET", "POST")
def tokens_page(request: HttpRequest) -> HttpResponse:
    """List the tokens; make one of a label and a number of days, and show it, this once."""
    if request.method == "GET":
        return _page(request)
    label, days = request.POST.get("label", "").strip(), request.POST.get("days", "")
    if not label or len(label) > LONGEST_LABEL or UNPRINTABLE.search(label):
        problem = f"Say in 1 to {LONGEST_LABEL} characters what uses it: the name of a pipeline, for instance."
        return _page(request, label=label, days=days, problem=problem, status=400)
    if days not in map(str, DAYS):
        return _page(request, label=label, problem="Choose how long it is good.", status=400)
    try:
        issued = api_tokens.issue_token(
            int(request.user.pk),
            label,
            lifetime=timedelta(days=int(days)),
            context=context_of(request),
            now=timezone.now(),
        )
    except NotPossible as error:
        problem = f"{error.refusal.reason}. {error.refusal.fix}"
        return _page(request, label=label, days=days, problem=problem, status=error.status)
    return _page(request, issued=issued)


@portal_page("POST")
def withdraw_token(request: HttpRequest, pk: int) -> HttpResponse:
    """End a token now."""
    if not api_tokens.withdraw_token(int(request.user.pk), pk, context=context_of(request)):
        raise not_yours("token")
    messages.success(request, "The token opens nothing any more.", extra_tags="portal")
    return HttpResponseRedirect(reverse("api_tokens"))


def _page(
    request: HttpRequest,
    *,
    issued: api_tokens.Issued | None = None,
    label: str = "",
    days: str = "",
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    page = {
        "tokens": [
            (row, row.expires_at <= now) for row in ApiToken.objects.filter(user=request.user.pk).order_by("-pk")
        ],
        "issued": issued,
        "label": label,
        "lifetimes": [(one, str(one) == (days or str(api_tokens.USUAL_LIFETIME.days))) for one in DAYS],
        "problem": problem,
        "longest": LONGEST_LABEL,
    }
    return render(request, "developers/tokens.html", page, status=status)
