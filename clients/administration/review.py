"""The page on which a registrar decides about one client, or about a change of it."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.acting import NotPossible, operator
from clients.administration.facts import Scope, facts_of, history_of, scopes_in_words
from clients.administration.queue import business_days
from clients.administration.review_form import OUTCOMES, ReviewForm
from clients.app_kinds import KINDS, kind_of
from clients.changes import differences_of
from clients.key_card import key_card
from clients.metadata import InvalidClientMetadata
from clients.models import Client, Review, Tenant
from clients.reviews import APPROVING, Matter, Verdict, decide, find_matter
from clients.risk_hints import Hint, Neighbours, hints_of
from smartauth.administration.pages import Trail, confirmation, goes_back, is_confirmed, page, staff_page
from smartauth.context import context_of

DECIDED = 409


@staff_page("clients.view_client", "GET", "POST")
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what waits about a client, and decide about it, after asking once more."""
    client = get_object_or_404(Client.objects.select_related("user"), pk=pk)
    matter = find_matter(client)
    if matter is None:
        return _nothing_waits(request, client)
    tenants = _waiting_at(client) if request.user.has_perm("clients.change_activation") else []
    form = ReviewForm(matter, tenants, request.POST if request.method == "POST" else None)
    hints = _hints(matter)
    if form.is_bound and not request.user.has_perm("clients.change_client"):
        raise PermissionDenied
    if form.is_bound and request.POST.get("seen") != matter.version:
        return _show(request, matter, form, hints, status=DECIDED, problem=_changed(client))
    if goes_back(request) or not form.is_valid():
        return _show(request, matter, form, hints, status=200)
    if not is_confirmed(request):
        return _ask_once_more(request, matter, form.verdict())
    return _decide(request, matter, form, hints)


def _decide(request: HttpRequest, matter: Matter, form: ReviewForm, hints: tuple[Hint, ...]) -> HttpResponse:
    client, verdict = matter.client, form.verdict()
    try:
        decide(
            client.client_id,
            verdict,
            seen=matter.version,
            by=operator(request.user.pk),
            context=context_of(request),
            hints=tuple(one.rule for one in hints),
        )
    except NotPossible as error:
        client.refresh_from_db()
        now = find_matter(client)
        if now is None:
            return _nothing_waits(request, client, problem=_said(error))
        form = ReviewForm(now, form.tenants, request.POST)
        return _show(request, now, form, hints, status=error.status, problem=_said(error))
    except InvalidClientMetadata as error:
        problem = f"The rules do not allow it any more: {error.member}: {error.why}."
        return _show(request, matter, form, hints, status=DECIDED, problem=problem)
    messages.success(request, f"{client.name or client.client_id}: {Review.Outcome(verdict.outcome).label}.")
    return HttpResponseRedirect(reverse("admin:clients_review_queue"))


def _ask_once_more(request: HttpRequest, matter: Matter, verdict: Verdict) -> HttpResponse:
    name = matter.client.name or matter.client.client_id
    approves = verdict.outcome in APPROVING
    button = OUTCOMES[verdict.outcome]
    says = list(_consequences(matter, verdict))
    return confirmation(
        request, f"{button}: {name}?", says=says, button=button, trail=_trail(matter.client), is_grave=not approves
    )


def _consequences(matter: Matter, verdict: Verdict) -> Iterator[str]:
    name = matter.client.name or matter.client.client_id
    what = f"the change of {name}" if matter.change else name
    match verdict.outcome:
        case Review.Outcome.APPROVED:
            yield f"{what} is approved with everything it asks for."
        case Review.Outcome.NARROWED:
            left_out = [one for one in matter.scopes if one not in verdict.keep]
            yield f"{what} is approved without {', '.join(left_out)}."
        case Review.Outcome.RETURNED:
            yield f"{what} goes back to its owner, who mends it and submits it again."
        case Review.Outcome.DECLINED:
            yield f"{what} is declined."
    for slug, allowed in verdict.activate.items():
        most = ", ".join(allowed.split()) or "everything it is registered for"
        yield f"It is active at {slug} from now on, for at most {most}."
    if verdict.reason.strip():
        yield f"Its owner reads: {verdict.reason.strip()}"
    unticked = [text for check, text in matter.checks.items() if check not in verdict.checked]
    if unticked and verdict.outcome in APPROVING:
        yield f"Not checked: {'; '.join(unticked)}."


def _show(
    request: HttpRequest, matter: Matter, form: ReviewForm, hints: tuple[Hint, ...], *, status: int, problem: str = ""
) -> HttpResponse:
    client = matter.client
    asked: list[Scope] = scopes_in_words(matter.scopes)
    ticked = set(form["keep"].value() or ())
    facts: dict[str, Any] = {
        "matter": matter,
        "client": client,
        "kind": KINDS[kind_of(client)].title,
        "facts": facts_of(matter.asked),
        "differences": differences_of(matter.change) if matter.change else (),
        "hints": hints,
        "card": key_card(client, timezone.now()) if request.user.has_perm("clients.view_keyset") else None,
        "form": form,
        "scopes": [(one, one.text in ticked) for one in asked],
        "business_days": business_days(matter.since, timezone.now()),
        "earlier": Review.objects.filter(client=client).select_related("user")[:10],
        "may_decide": request.user.has_perm("clients.change_client"),
        "problem": problem,
    }
    title = f"Review {'a change of ' if matter.change else ''}{client.name or client.client_id}"
    return page(request, "admin/clients/review.html", title, trail=_trail(client)[:1], status=status, **facts)


def _nothing_waits(request: HttpRequest, client: Client, problem: str = "") -> HttpResponse:
    """Say that there is nothing to decide, and give back what somebody typed who came too late."""
    typed = [request.POST.get(name, "") for name in ("reason", "note")] if request.method == "POST" else []
    facts = {
        "client": client,
        "problem": problem or (_changed(client) if typed else ""),
        "typed": [one for one in typed if one],
        "events": history_of(client, 5),
    }
    title = f"Nothing waits about {client.name or client.client_id}"
    status = DECIDED if request.method == "POST" else 200
    return page(request, "admin/clients/nothing_waits.html", title, trail=_trail(client), status=status, **facts)


def _hints(matter: Matter) -> tuple[Hint, ...]:
    findings = matter.client.key_findings.filter(resolved_at__isnull=True)
    return hints_of(matter.client, matter.asked, Neighbours.load(), findings)


def _waiting_at(client: Client) -> list[Tenant]:
    waiting = client.activations.filter(is_active=False, decided_at__isnull=True, tenant__is_active=True)
    return [one.tenant for one in waiting.select_related("tenant").order_by("tenant__slug")]


def _changed(client: Client) -> str:
    last = client.events.select_related("user").first()
    who = f" Last: {last.user or last.get_actor_display()}, {last.act.replace('_', ' ')}." if last else ""
    return f"It is no longer what you looked at, so nothing was decided.{who} What you typed is still here."


def _said(error: NotPossible) -> str:
    refusal = error.refusal
    seen = f" ({refusal.seen})" if refusal.seen else ""
    return f"Nothing was decided: {refusal.reason}{seen}. {refusal.fix}"


def _trail(client: Client) -> Trail:
    return (
        ("Review queue", reverse("admin:clients_review_queue")),
        (client.name or client.client_id, reverse("admin:clients_client_page", args=[client.pk])),
    )
