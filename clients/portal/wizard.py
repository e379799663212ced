"""The registration wizard: a draft filled in step by step, saved at each, and submitted when nothing is wrong."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from msgspec import json

from clients import drafts
from clients.acting import NotPossible
from clients.app_kinds import KINDS
from clients.drafts import PRIVATE_KEY_SENT, Unfinished
from clients.findings import TENANTS, Finding, as_metadata
from clients.metadata import InvalidClientMetadata
from clients.models import AuthMethod, Client, Draft, Tenant
from clients.portal import answers as reading
from clients.portal import data_table
from clients.portal.access import find_own_draft, not_yours, portal_page
from clients.portal.client_page import show_client
from clients.portal.fields import LAUNCH_WORDS, METHOD, STEP_TITLES
from clients.portal.summaries import summary_of
from smartauth.browser import PageRefused
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal

STEPS = tuple(STEP_TITLES)
AFTER = dict(zip(STEPS, (*STEPS[1:], "review"), strict=True))
BEFORE = dict(zip((*STEPS[1:], "review"), STEPS, strict=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry of the list of steps above the page. `problems`: how many findings it has."""

    name: str
    title: str
    url: str
    is_current: bool
    problems: int


@portal_page("GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """Ask the first question, which decides the rest: what kind of app it is."""
    if request.method == "POST":
        draft = _begin(request)
        return HttpResponseRedirect(_step_url(draft, "identity"))
    return render(request, "developers/new.html", {"kinds": KINDS.values(), "steps": _marks(None, "kind", ())})


@portal_page("GET", "POST")
def step(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show one step of a draft, or keep what was typed there."""
    if name not in STEPS:
        raise not_yours("page of a draft")
    draft = _draft(request, pk)
    if request.method == "GET":
        return _page(request, draft, name, drafts.problems_of(draft), is_checked=bool(request.GET.get("mend")))
    try:
        draft, found = _save(request, pk, name)
    except NotPossible as error:
        return _not_kept(request, draft, name, error)
    go = request.POST.get("go", "next")
    if go in ("us-core", "no-data"):
        return HttpResponseRedirect(f"{_step_url(draft, name)}#data")
    if go == "test-keys":
        return HttpResponseRedirect(f"{reverse('test_keys')}?draft={draft.pk}")
    if go == "next" and any(one.step == name for one in found):
        return _page(request, draft, name, found, is_checked=True)
    return HttpResponseRedirect(_step_url(draft, AFTER[name]))


@portal_page("POST")
def check(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Keep what is typed so far and return what is wrong with the step, for the page to show at its fields."""
    if name not in STEPS:
        raise not_yours("page of a draft")
    try:
        _, found = _save(request, pk, name)
    except NotPossible as error:
        refused = {"error": error.code, "reason": error.refusal.reason, "fix": error.refusal.fix}
        return JsonResponse(refused, status=error.status)
    return JsonResponse({"findings": [one.as_json() for one in found if one.step == name]})


@portal_page("GET")
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the whole draft with everything that keeps it from being submitted."""
    draft = _draft(request, pk)
    found = drafts.problems_of(draft)
    return _review(request, draft, found)


@portal_page("POST")
def submit(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the draft a client, or a change of one, and show it; what is secret is on that very page, once."""
    draft = find_own_draft(request.user, pk)
    if draft is None:  # Pressed twice, or come back to: the first time did it.
        refusal = Refusal("draft.gone", "the draft was submitted or deleted")
        raise PageRefused(
            refusal,
            title="This draft is gone",
            advice="It was submitted or discarded already. Your apps are on the front page of the portal.",
            status=404,
        )
    try:
        done = drafts.submit(draft, user=_user(request), context=context_of(request))
    except Unfinished as unfinished:
        return _review(request, draft, unfinished.findings)
    except (NotPossible, InvalidClientMetadata) as error:
        member = getattr(error, "member", "")
        found = Finding(member, error.refusal.rule, error.refusal.reason, error.refusal.fix, error.refusal.seen)
        return _review(request, draft, (found,))
    if done.secret:
        return show_client(request, done.client, secret=done.secret)
    said = "The change waits for the hospital." if done.change else "Your app is registered."
    messages.success(request, said, extra_tags="portal")
    return HttpResponseRedirect(reverse("client_page", args=[done.client.client_id]))


@portal_page("POST")
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Throw a draft away. Of a registered client only the draft goes."""
    _draft(request, pk).delete()
    messages.success(request, "The draft is discarded.", extra_tags="portal")
    return HttpResponseRedirect(reverse("developers"))


@portal_page("GET")
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """Give the draft as client metadata (RFC 7591 §2), to keep or to send to another server."""
    draft = _draft(request, pk)
    body = json.format(json.encode(as_metadata(draft.kind, draft.answers)), indent=2)
    response = HttpResponse(body, content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="client-metadata.json"'
    return response


@portal_page("POST")
def revise(request: HttpRequest, client_id: str) -> HttpResponse:
    """Begin to change a registered client, or go on with the change that was begun."""
    client = Client.objects.filter(user=_user(request), client_id=client_id).first()
    if client is None:
        raise not_yours("app")
    try:
        draft = drafts.revise(client, _user(request))
    except NotPossible as error:
        raise PageRefused(
            error.refusal, title="This cannot be changed now", advice=error.refusal.fix, status=error.status
        ) from None
    return HttpResponseRedirect(_step_url(draft, "identity"))


def _begin(request: HttpRequest) -> Draft:
    user = _user(request)
    try:
        draft = drafts.begin(user, request.POST.get("kind", ""))
    except NotPossible as error:
        raise PageRefused(
            error.refusal, title="No draft was begun", advice=error.refusal.fix or "Choose a kind.", status=error.status
        ) from None
    last = Client.objects.filter(user=user).order_by("-created").first()
    known = {"publisher": last.publisher, "contacts": list(last.contacts)} if last is not None else {}
    tenants = Tenant.objects.filter(is_active=True).values_list("slug", flat=True)[:2]
    if len(tenants) == 1:  # Nothing to choose among.
        known[TENANTS] = list(tenants)
    drafts.save_answers(draft, known)
    return draft


def _save(request: HttpRequest, pk: int, name: str) -> tuple[Draft, tuple[Finding, ...]]:
    """Keep the form of one step. The draft is locked, so that two open pages do not undo each other's steps."""
    with transaction.atomic():
        locked = Draft.objects.select_for_update().filter(owner=_user(request), pk=pk).first()
        if locked is None:
            raise not_yours("draft")
        read = reading.read_step(name, locked.kind, request.POST)
        scope = str(read.answers.get("scope", ""))
        match request.POST.get("go"):
            case "us-core":
                read.answers["scope"] = data_table.with_us_core(KINDS[locked.kind], scope)
            case "no-data":
                read.answers["scope"] = " ".join(data_table.take_apart(KINDS[locked.kind], scope).named)
        found = drafts.save_answers(locked, read.answers)
    if read.had_private_key:
        found = (PRIVATE_KEY_SENT, *(one for one in found if one.member not in ("jwks", "jwks_uri")))
    return locked, found


def _not_kept(request: HttpRequest, draft: Draft, name: str, error: NotPossible) -> HttpResponse:
    """Show the form with what was typed, which could not be kept, so that it can be shortened."""
    read = reading.read_step(name, draft.kind, request.POST)
    draft.answers = {**draft.answers, **read.answers}
    found = Finding("", error.refusal.rule, error.refusal.reason, error.refusal.fix)
    return _page(request, draft, name, (found,), is_checked=True, status=error.status)


def _page(
    request: HttpRequest,
    draft: Draft,
    name: str,
    found: tuple[Finding, ...],
    *,
    is_checked: bool,
    status: int = 200,
) -> HttpResponse:
    """Render a step. A page that is opened for the first time does not begin with complaints about empty fields."""
    kind, answers = KINDS[draft.kind], draft.answers
    own = [one for one in found if one.step == name]
    shown = [one for one in own if is_checked or answers.get(one.member)]
    page: dict[str, Any] = {
        "draft": draft,
        "kind": kind,
        "step": name,
        "title": STEP_TITLES[name],
        "steps": _marks(draft, name, found),
        "sections": reading.shown_sections(name, draft.kind, answers, shown),
        "elsewhere": [one for one in found if not one.member],
        "findings": shown,
        "is_blocked": is_checked and bool(own),
        "back": _step_url(draft, BEFORE[name]) if name in BEFORE else reverse("developers"),
    }
    page |= _keys(answers, shown) if name == "connection" else {}
    page |= _data(draft, shown) if name == "data" else {}
    return render(request, "developers/step.html", page, status=status)


def _keys(answers: dict[str, Any], found: list[Finding]) -> dict[str, Any]:
    return {
        "has_keys": answers.get("token_endpoint_auth_method") == AuthMethod.PRIVATE_KEY_JWT,
        "method_member": METHOD.member,
        "keys_from": reading.key_source(answers, is_sandbox=config().is_sandbox),
        "jwks_text": reading.keys_text(answers),
        "jwks_uri": answers.get("jwks_uri") or "",
        "jwks_findings": [one for one in found if one.member == "jwks"],
        "jwks_uri_findings": [one for one in found if one.member == "jwks_uri"],
    }


def _data(draft: Draft, found: list[Finding]) -> dict[str, Any]:
    kind, answers = KINDS[draft.kind], draft.answers
    scope = answers.get("scope")
    wanted = data_table.take_apart(kind, scope if isinstance(scope, str) else "")
    chosen = answers.get(TENANTS) or ()
    return {
        "groups": data_table.rows(wanted),
        "letters": data_table.LETTERS,
        "wanted": wanted,
        "launch_scopes": [(one, *LAUNCH_WORDS[one], one in wanted.named) for one in kind.launch_scopes],
        "more_scopes": "\n".join(wanted.rest),
        "tenants": [(one, one.slug in chosen) for one in Tenant.objects.filter(is_active=True).order_by("name")],
        "scope_findings": [one for one in found if one.member in ("scope", "grant_types")],
        "tenant_findings": [one for one in found if one.member == TENANTS],
    }


def _review(request: HttpRequest, draft: Draft, found: tuple[Finding, ...]) -> HttpResponse:
    page = {
        "draft": draft,
        "kind": KINDS[draft.kind],
        "steps": _marks(draft, "review", found),
        "findings": [(one, f"{_step_url(draft, one.step)}?mend=1#f-{one.member}") for one in found],
        "parts": summary_of(draft),
        "is_sandbox_mode": config().is_sandbox,
    }
    return render(request, "developers/review.html", page, status=200)


def _marks(draft: Draft | None, current: str, found: tuple[Finding, ...]) -> list[Mark]:
    """Return the steps for the top of the page; those of a draft can be gone to in any order."""
    kind = Mark("kind", "Kind of app", reverse("new_app"), current == "kind", 0)
    later = (*STEP_TITLES.items(), ("review", "Review"))
    return [
        kind,
        *(
            Mark(
                name,
                title,
                _step_url(draft, name) if draft else "",
                current == name,
                sum(one.step == name for one in found),
            )
            for name, title in later
        ),
    ]


def _draft(request: HttpRequest, pk: int) -> Draft:
    draft = find_own_draft(request.user, pk)
    if draft is None:
        raise not_yours("draft")
    return draft


def _step_url(draft: Draft, name: str) -> str:
    return reverse("review", args=[draft.pk]) if name == "review" else reverse("step", args=[draft.pk, name])


def _user(request: HttpRequest) -> int:
    return int(request.user.pk)
