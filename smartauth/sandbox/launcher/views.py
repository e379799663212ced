"""The launcher's pages: the form, a launch with its frame and its recorder, and a service that is run."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clients.registered import find_client
from smartauth import endpoints
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.sandbox.launcher import cast, clinic, ehr, framing, outgoing, runs, services
from smartauth.sandbox.launcher.browsers import browser_of, remember
from smartauth.sandbox.launcher.choices import NAMES, Choices, Known, forget, missing, read
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS
from smartauth.sandbox.launcher.outgoing import NotReached
from smartauth.sandbox.launcher.pages import LABELS, Field, shown
from smartauth.sandbox.launcher.recorder import keep, told
from smartauth.sandbox.models import Run
from smartauth.sandbox.seed import TENANT
from smartauth.tenant_style import style_url_at

FIRST = Choices(client="growth-chart", user="dr-grey", patient="ana")  # what an untouched form proposes


@require_http_methods(["GET", "HEAD", "POST"])
def launcher(request: HttpRequest) -> HttpResponse:
    """Show the form as a link fills it, or take what was chosen: begin a launch, or make the link."""
    now = timezone.now()
    known = cast.known(now)
    if request.method != "POST":
        return _form_from_link(request, known, now)
    given = {name: request.POST[name] for name in NAMES if name in request.POST}
    found, wrong = read(given, known)
    if request.POST.get("do") == "link":
        if wrong:
            return _form(request, found, wrong, known, now)
        return HttpResponseRedirect(f"{reverse('launcher')}?{found.as_query()}")
    wrong = wrong or missing(found)
    return _form(request, found, wrong, known, now) if wrong else _begin(request, found, known, now)


@require_GET
def run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a launch to whoever began it: the app in the frame of the EHR, what was seen, and the report."""
    found = _require_own(request, pk)
    client = find_client(found.client_id)
    if client is None:
        raise Http404
    opened = runs.opened_url(found)
    facts = shown(found, opened, context_of(request), timezone.now())
    if framing.is_framed(found):
        answer = framing.answer_url(found, request.GET.get(framing.RETURN, ""))
        is_untouched = not found.steps.exclude(part="ehr").exists()
        facts |= {"framed": answer or (opened if is_untouched else ""), "is_untouched": is_untouched}
    response = render(request, "launcher/run.html", facts | {"client": client, "told": told(found)})
    response["Content-Security-Policy"] = framing.frame_policy(client, opened)
    return response


@require_GET
def steps(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Tell as JSON what was seen of a launch, to whoever began it."""
    response = JsonResponse(told(_require_own(request, pk)))
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def run_service(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Act as the service of a launch, where the sandbox has its key."""
    found = _require_own(request, pk)
    if found.kind == BACKEND and outgoing.has_key(found.client_id):
        scope = runs.choices_of(found).scope or services.DEFAULT_SCOPE
        try:
            result = services.run(found.client_id, scope, timezone.now())
        except NotReached as error:
            messages.error(request, str(error), extra_tags="launcher")
        else:
            Run.objects.filter(pk=found.pk).update(result=result)
    return redirect("launcher_run", pk=pk)


def _form_from_link(request: HttpRequest, known: Known, now: datetime) -> HttpResponse:
    if not request.GET:
        return _form(request, forget(*read(asdict(FIRST), known)), {}, known, now)
    given = {name: values[-1] for name, values in request.GET.lists()}
    found, wrong = read(given, known)
    ignored = {name: f"{given[name][:80]}: {problem}" if name else problem for name, problem in wrong.items()}
    return _form(request, forget(found, wrong), {}, known, now, ignored=ignored)


def _form(
    request: HttpRequest,
    found: Choices,
    wrong: Mapping[str, str],
    known: Known,
    now: datetime,
    *,
    ignored: Mapping[str, str] | None = None,
) -> HttpResponse:
    facts = {
        "found": found,
        "wrong": [Field(name, LABELS.get(name, ""), problem) for name, problem in wrong.items()],
        "problems": dict(wrong),
        "ignored": [Field(name, LABELS.get(name, ""), problem) for name, problem in (ignored or {}).items()],
        "known": known,
        "patients": cast.patients(known, context_of(request), now),
        "kinds": KINDS.values(),
        "faults": FAULTS.values(),
        "habits": HABITS.values(),
        "own_style": style_url_at(TENANT),
        "begun": [(run, KINDS[run.kind], FAULTS.get(run.fault)) for run in runs.of_browser(browser_of(request))],
        "base_url": config().base_url,
        "link": f"{config().base_url}{reverse('launcher')}?{found.as_query()}" if request.GET else "",
        "fhir_base": endpoints.fhir_base(TENANT),
    }
    return render(request, "launcher/form.html", facts, status=400 if wrong else 200)


def _begin(request: HttpRequest, found: Choices, known: Known, now: datetime) -> HttpResponse:
    begun = None
    try:
        if KINDS[found.kind].from_ehr:
            begun = ehr.begin(ehr.settle(found, known, now), now)
    except ehr.NotBegun as refused:
        return _form(request, found, {refused.field: str(refused)}, known, now)
    except NotReached as error:
        return _form(request, found, {"": str(error)}, known, now)
    response = HttpResponseRedirect("")
    browser = remember(request, response)
    if begun is None:
        opened = _own_start(found)
        stored = runs.begin(replace(found, place="window"), browser=browser, opened=opened, launch="", now=now)
    else:
        chosen = replace(begun.choices, place=found.place or _place_for(begun.url))
        stored = runs.begin(chosen, browser=browser, opened=begun.url, launch=begun.handle, now=now)
        for entry in begun.entries:
            keep(stored, entry)
    response["Location"] = reverse("launcher_run", args=[stored.pk])
    return response


def _place_for(url: str) -> str:
    return "frame" if framing.suits_frame(url) else "window"


def _own_start(found: Choices) -> str:
    """Return where an app of the sandbox begins by itself, "" for an app that we do not know to open."""
    base = config().base_url
    pages = {
        "growth-chart": f"{base}/launcher/app/",
        clinic.CLIENT_ID: f"{base}/launcher/start?iss={endpoints.fhir_base(TENANT)}",
    }
    return pages.get(found.client, "") if found.kind != BACKEND else ""


def _require_own(request: HttpRequest, pk: UUID) -> Run:
    found = runs.find(pk, browser_of(request))
    if found is None:
        raise Http404
    return found
