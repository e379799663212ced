"""The pages of the registration wizard as they are shown: a step with what is in it, and the review of all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from clients import drafts
from clients.app_kinds import KINDS
from clients.draft_windows import state_of
from clients.findings import TENANTS, Finding
from clients.models import AuthMethod, Draft, Tenant
from clients.portal import answers as reading
from clients.portal import data_table, once
from clients.portal.fields import LAUNCH_WORDS, METHOD, STEP_TITLES
from clients.portal.summaries import Line, summary_of
from smartauth.conf import config

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


def step_page(
    request: HttpRequest,
    draft: Draft,
    name: str,
    found: tuple[Finding, ...],
    *,
    is_checked: bool,
    status: int = 200,
    state: str = "",
    others: Iterable[Line] = (),
) -> HttpResponse:
    """Render a step. A page that is opened for the first time does not begin with complaints about empty fields.

    state: how the fields were that the form is filled in from, where they are not the draft's.    others: what another
    window saved of them meanwhile.
    """
    kind, answers = KINDS[draft.kind], draft.answers
    own = [one for one in found if one.step == name]
    shown = [one for one in own if is_checked or answers.get(one.member)]
    page: dict[str, Any] = {
        "draft": draft,
        "kind": kind,
        "step": name,
        "title": STEP_TITLES[name],
        "steps": marks(draft, name, found),
        "sections": reading.shown_sections(name, draft.kind, answers, shown),
        "elsewhere": [one for one in found if not one.member],
        "findings": shown,
        "is_blocked": is_checked and bool(own),
        "state": state or state_of(draft.kind, answers, name),
        "others": others,
        "back": step_url(draft, BEFORE[name]) if name in BEFORE else reverse("developers"),
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
    chosen = answers.get(TENANTS)
    chosen = chosen if isinstance(chosen, list) else []
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


def review_page(request: HttpRequest, draft: Draft, found: tuple[Finding, ...]) -> HttpResponse:
    page = {
        "draft": draft,
        "kind": KINDS[draft.kind],
        "steps": marks(draft, "review", found),
        "findings": [(one, f"{step_url(draft, one.step)}?mend=1#f-{one.member}") for one in found],
        "parts": summary_of(draft),
        "is_sandbox_mode": config().is_sandbox,
        "form": once.new_form(),
        "left_out": Tenant.objects.filter(slug__in=drafts.left_out(draft)).order_by("name"),
    }
    return render(request, "developers/review.html", page, status=200)


def marks(draft: Draft | None, current: str, found: tuple[Finding, ...]) -> list[Mark]:
    """Return the steps for the top of the page; those of a draft can be gone to in any order."""
    question = "" if draft is None or draft.client is not None else reverse("change_kind", args=[draft.pk])
    kind = Mark("kind", "Kind of app", question, current == "kind", 0)
    later = (*STEP_TITLES.items(), ("review", "Review"))
    return [
        kind,
        *(
            Mark(
                name,
                title,
                step_url(draft, name) if draft else "",
                current == name,
                sum(one.step == name for one in found),
            )
            for name, title in later
        ),
    ]


def step_url(draft: Draft, name: str) -> str:
    """Return where a step of a draft is."""
    return reverse("review", args=[draft.pk]) if name == "review" else reverse("step", args=[draft.pk, name])
