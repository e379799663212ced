"""What the launcher's form shows: every choice with what it means, and where a kind of launch has none, why."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from smartauth import endpoints
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.sandbox.launcher import choosers, faults, habits, related, runs
from smartauth.sandbox.launcher.browsers import browser_of
from smartauth.sandbox.launcher.choices import PORTAL_IS_FOR_PATIENTS, Choices, Known
from smartauth.sandbox.launcher.choosers import MOST_LISTED, Found
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS, PORTAL
from smartauth.sandbox.launcher.pages import LABELS, Field
from smartauth.sandbox.seed import TENANT
from smartauth.tenant_style import style_url_at

LONGEST_LABEL = 60  # characters
FOLDED = ("intent", "need_patient_banner", "smart_style_url", "fhir_context")  # what few launches say


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a list. `misfits`: why it does not go with a kind of launch, by kind, as JSON; "" for all go."""

    value: str
    label: str
    says: str = ""
    misfits: str = ""
    why_no_service: str = ""


def show(
    request: HttpRequest,
    found: Choices,
    known: Known,
    now: datetime,
    *,
    wrong: Mapping[str, str] | None = None,
    ignored: Mapping[str, str] | None = None,
    list_of: Found | None = None,
) -> HttpResponse:
    """Show the form with these choices.

    wrong: what was refused, by field.    ignored: what of a link was left out.    list_of: what a chooser found.
    """
    context, wrong = context_of(request), wrong or {}
    facts: dict[str, Any] = {
        "found": found,
        "wrong": _told(wrong),
        "problems": wrong,
        "ignored": _told(ignored or {}),
        "known": known,
        "kinds": KINDS.values(),
        "clients": _clients(known),
        "users": _users(known) if len(known.users) <= MOST_LISTED else None,
        "faults": _options(FAULTS.values(), faults.why_not),
        "habits": _options(HABITS.values(), habits.why_not),
        "list_of": list_of,
        "is_untouched": request.method != "POST" and not request.GET,
        "says_more": bool(list_of and list_of.chooser == "context") or _says_more(found, wrong),
        "related_types": related.TYPES,
        "chosen": choosers.chosen(found, known, context, now),
        "own_style": style_url_at(TENANT),
        "begun": [(run, KINDS[run.kind], FAULTS.get(run.fault)) for run in runs.of_browser(browser_of(request))],
        "base_url": config().base_url,
        "link": f"{config().base_url}{reverse('launcher')}?{found.as_query()}" if request.GET else "",
        "fhir_base": endpoints.fhir_base(TENANT),
    }
    return render(request, "launcher/form.html", facts, status=400 if wrong else 200)


def _says_more(found: Choices, wrong: Mapping[str, str]) -> bool:
    """Return True when a field that stands folded away says something, or something is said of it."""
    untouched = Choices()
    return any(name in wrong or getattr(found, name) != getattr(untouched, name) for name in FOLDED)


def _told(problems: Mapping[str, str]) -> list[Field]:
    return [Field(name, LABELS.get(name, ""), problem) for name, problem in problems.items()]


def _clients(known: Known) -> list[Option]:
    return [
        Option(one.client_id, f"{_short(one.name)} ({_short(one.client_id)})", misfits=_misfits(one.misfit))
        for one in known.clients.values()
    ]


def _users(known: Known) -> list[Option]:
    in_portal = json.dumps({PORTAL: PORTAL_IS_FOR_PATIENTS})
    return [
        Option(
            name,
            f"{_short(name)} ({who})" if who else _short(name),
            misfits=in_portal if known.is_clinician(name) else "",
        )
        for name, who in known.users.items()
    ]


def _options(all_of_them: Iterable[Any], why_not: Callable[[str, str], str]) -> list[Option]:
    return [
        Option(
            one.id,
            one.title,
            one.says,
            _misfits(functools.partial(why_not, one.id)),
            why_no_service=why_not(one.id, BACKEND),
        )
        for one in all_of_them
    ]


def _misfits(why_not: Callable[[str], str]) -> str:
    reasons = {kind: why for kind in KINDS if (why := why_not(kind))}
    return json.dumps(reasons) if reasons else ""


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
