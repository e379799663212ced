"""The registration wizard: a draft filled in step by step, saved at each, and submitted when nothing is wrong."""

from dataclasses import replace

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from msgspec import json

from clients import drafts
from clients.acting import NotPossible
from clients.app_kinds import KINDS
from clients.draft_trials import try_keys_of
from clients.draft_windows import Clash, Saved, save_from_form, state_of
from clients.drafts import Unfinished
from clients.findings import PRIVATE_KEY_SENT, TENANTS, Finding, as_metadata
from clients.metadata import InvalidClientMetadata
from clients.models import Client, Draft, Tenant
from clients.portal import answers as reading
from clients.portal import data_table, once
from clients.portal.access import find_own_draft, not_yours, portal_page
from clients.portal.client_page import own_client, show_client
from clients.portal.step_pages import AFTER, STEPS, marks, review_page, step_page, step_url
from clients.portal.summaries import lines_of, named
from smartauth.browser import PageRefused
from smartauth.context import context_of
from smartauth.errors import Refusal


@portal_page("GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """Ask the first question, which decides the rest: what kind of app it is."""
    if request.method == "POST":
        draft = _begin(request)
        return HttpResponseRedirect(step_url(draft, "identity"))
    return render(request, "developers/new.html", {"kinds": KINDS.values(), "steps": marks(None, "kind", ())})


@portal_page("GET", "POST")
def change_kind(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the first question otherwise. What was typed stays; what the kind decides is decided anew."""
    draft = _draft(request, pk)
    if draft.client is not None:
        raise not_yours("page of a draft")
    if request.method == "GET":
        page = {"kinds": KINDS.values(), "steps": marks(draft, "kind", ()), "draft": draft}
        return render(request, "developers/new.html", page)
    kind = KINDS.get(request.POST.get("kind", ""))
    if kind is not None and kind.name != draft.kind:
        scope = draft.answers.get("scope")
        moved = data_table.moved_to(kind, KINDS[draft.kind], scope if isinstance(scope, str) else "")
        draft.kind = kind.name
        draft.save(update_fields=["kind"])
        drafts.save_answers(draft, {**kind.preset, "scope": moved})
    return HttpResponseRedirect(step_url(draft, "identity"))


@portal_page("GET", "POST")
def step(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show one step of a draft, or keep what was typed there."""
    if name not in STEPS:
        raise not_yours("page of a draft")
    draft = _draft(request, pk)
    if request.method == "GET":
        return step_page(request, draft, name, drafts.problems_of(draft), is_checked=bool(request.GET.get("mend")))
    try:
        done = _save(request, draft, name)
    except Clash as clash:
        return _two_windows(request, draft, name, clash)
    except NotPossible as error:
        return _not_kept(request, draft, name, error)
    found = done.findings
    if done.theirs:
        said = f"Another window had changed {named(done.theirs)} meanwhile; that is kept, too."
        messages.info(request, said, extra_tags="portal")
    go = request.POST.get("go", "next")
    if go in ("us-core", "no-data"):
        return HttpResponseRedirect(f"{step_url(draft, name)}#data")
    if go == "test-keys":
        return HttpResponseRedirect(f"{reverse('test_keys')}?draft={draft.pk}")
    if go == "next" and any(one.step == name for one in found):
        return step_page(request, draft, name, found, is_checked=True)
    return HttpResponseRedirect(step_url(draft, AFTER[name]))


@portal_page("POST")
def check(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Keep what is typed so far and return what is wrong with the step, for the page to show at its fields."""
    if name not in STEPS:
        raise not_yours("page of a draft")
    draft = _draft(request, pk)
    try:
        done = _save(request, draft, name)
    except NotPossible as error:
        refused = {"error": error.code, "reason": error.refusal.reason, "fix": error.refusal.fix}
        return JsonResponse(refused, status=error.status)
    told = [one.as_json() for one in done.findings if one.step == name]
    return JsonResponse({"findings": told, "state": done.state})


@portal_page("GET")
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the whole draft with everything that keeps it from being submitted."""
    draft = _draft(request, pk)
    found = drafts.problems_of(draft)
    return review_page(request, draft, found)


@portal_page("POST")
def submit(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the draft a client, or a change of one, and show it; what is secret is on that very page, once."""
    draft = find_own_draft(request.user, pk)
    if draft is None:
        return _submitted_before(request)
    try:
        told = try_keys_of(draft, _user(request), now=timezone.now())
        with transaction.atomic():
            done = _submitted(drafts.submit(draft, user=_user(request), context=context_of(request)))
            once.keep(request, done)
    except Unfinished as unfinished:
        return review_page(request, draft, unfinished.findings)
    except (NotPossible, InvalidClientMetadata) as error:
        if error.refusal.rule == drafts.GONE:
            return _submitted_before(request)
        member = getattr(error, "member", "")
        found = Finding(member, error.refusal.rule, error.refusal.reason, error.refusal.fix, error.refusal.seen)
        return review_page(request, draft, (found,))
    if told:
        said = f"Its key set has something to mend: {told[0]['reason']}. {told[0].get('fix', '')}"
        messages.warning(request, said, extra_tags="portal")
    return _show_submitted(request, done)


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
    client = own_client(request, client_id)
    try:
        draft = drafts.revise(client, _user(request))
    except NotPossible as error:
        raise PageRefused(
            error.refusal, title="This cannot be changed now", advice=error.refusal.fix, status=error.status
        ) from None
    return HttpResponseRedirect(step_url(draft, "identity"))


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


def _submitted(done: drafts.Submitted) -> once.Done:
    said = "The change waits for the hospital." if done.change else "Your app is registered."
    return once.Done(done.client.client_id, done.secret or "", said)


def _submitted_before(request: HttpRequest) -> HttpResponse:
    """Answer a form that was sent before: with what it did, if that was this very form a moment ago."""
    done = once.find(request)
    if done is not None:
        return _show_submitted(request, done)
    raise PageRefused(
        Refusal(drafts.GONE, "the draft was submitted or deleted"),
        title="This draft is gone",
        advice="It was submitted or discarded already. Your apps are on the front page of the portal.",
        status=404,
    )


def _show_submitted(request: HttpRequest, done: once.Done) -> HttpResponse:
    client = own_client(request, done.client_id)
    if done.secret:
        return show_client(request, client, secret=done.secret)
    messages.success(request, done.said, extra_tags="portal")
    return HttpResponseRedirect(reverse("client_page", args=[client.client_id]))


def _save(request: HttpRequest, draft: Draft, name: str) -> Saved:
    """Keep the form of one step. Raises Clash where another window changed the same, and NotPossible."""
    read = reading.read_step(name, draft.kind, request.POST)
    scope = str(read.answers.get("scope", ""))
    match name, request.POST.get("go"):
        case "data", "us-core":
            read.answers["scope"] = data_table.with_us_core(KINDS[draft.kind], scope)
        case "data", "no-data":
            read.answers["scope"] = " ".join(data_table.take_apart(KINDS[draft.kind], scope).named)
    done = save_from_form(draft, read.answers, request.POST.get("state", ""))
    if read.had_private_key:
        others = (one for one in done.findings if one.member not in ("jwks", "jwks_uri"))
        done = replace(done, findings=(PRIVATE_KEY_SENT, *others))
    return done


def _two_windows(request: HttpRequest, draft: Draft, name: str, clash: Clash) -> HttpResponse:
    """Show the form as it was sent, beside what another window saved; sent again, it counts."""
    typed = reading.read_step(name, draft.kind, request.POST).answers
    others = lines_of(clash.members, clash.stored)
    state = state_of(draft.kind, clash.stored, name)
    draft.answers = {**clash.stored, **typed}
    found = drafts.problems_of(draft)
    return step_page(request, draft, name, found, is_checked=False, status=clash.status, state=state, others=others)


def _not_kept(request: HttpRequest, draft: Draft, name: str, error: NotPossible) -> HttpResponse:
    """Show the form with what was typed, which could not be kept, so that it can be shortened."""
    read = reading.read_step(name, draft.kind, request.POST)
    draft.answers = {**draft.answers, **read.answers}
    found = Finding("", error.refusal.rule, error.refusal.reason, error.refusal.fix)
    state = request.POST.get("state", "")
    return step_page(request, draft, name, (found,), is_checked=True, status=error.status, state=state)


def _draft(request: HttpRequest, pk: int) -> Draft:
    draft = find_own_draft(request.user, pk)
    if draft is None:
        raise not_yours("draft")
    return draft


def _user(request: HttpRequest) -> int:
    return int(request.user.pk)
