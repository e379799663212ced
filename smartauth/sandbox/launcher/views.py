"""The launcher's pages: the form, a launch with its frame and its recorder, and a service that is run."""

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
from smartauth.browser import PageRefused, error_page
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal
from smartauth.sandbox.launcher import cast, choosers, clinic, ehr, form, framing, outgoing, runs, services
from smartauth.sandbox.launcher.browsers import browser_of, remember
from smartauth.sandbox.launcher.choices import NAMES, Choices, Known, forget, missing, read
from smartauth.sandbox.launcher.choosers import Found
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS
from smartauth.sandbox.launcher.outgoing import NotReached
from smartauth.sandbox.launcher.pages import shown
from smartauth.sandbox.launcher.recorder import keep, told
from smartauth.sandbox.models import Run
from smartauth.sandbox.seed import TENANT

FIND, CHOOSERS = "find-", ("user", "patient", "encounter", "context")
FIRST = Choices(client="growth-chart", user="dr-grey", patient="ana")  # what an untouched form proposes

NOT_YOURS = PageRefused(
    Refusal("launcher.run", "no launch of this browser has this id", fix="Open it in the browser that began it."),
    title="This launch is not kept here",
    advice=(
        "Only the browser that began a launch sees it, and only for twelve hours.",
        "To give somebody the same choices, make a link in the launcher.",
    ),
    status=404,
)


@require_http_methods(["GET", "HEAD", "POST"])
def launcher(request: HttpRequest) -> HttpResponse:
    """Show the form as a link fills it, or take what was chosen: begin a launch, or make the link."""
    now = timezone.now()
    known = cast.known(now)
    if request.method != "POST":
        return _form_from_link(request, known, now)
    given = {name: request.POST[name] for name in NAMES if name in request.POST}
    found, wrong = read(given, known)
    wish = request.POST.get("do", "")
    if "pick" in request.POST or wish.startswith(FIND):
        return _choose(request, found, known, now)
    if wish == "register":
        return HttpResponseRedirect(f"{reverse('launcher_register')}?{forget(found, wrong).as_query()}")
    if wish == "link" and not wrong:
        return HttpResponseRedirect(f"{reverse('launcher')}?{found.as_query()}")
    wrong = wrong or missing(found)
    return form.show(request, found, known, now, wrong=wrong) if wrong else _begin(request, found, known, now)


@require_GET
def run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a launch to whoever began it: the app in the frame of the EHR, what was seen, and the report."""
    found = runs.find(pk, browser_of(request))
    client = find_client(found.client_id) if found else None
    if found is None or client is None:
        return error_page(request, NOT_YOURS)
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
        return form.show(request, forget(*read(asdict(FIRST), known)), known, now)
    given = {name: values[-1] for name, values in request.GET.lists()}
    found, wrong = read(given, known)
    ignored = {name: f"{given[name][:80]}: {problem}" if name else problem for name, problem in wrong.items()}
    return form.show(request, forget(found, wrong), known, now, ignored=ignored)


def _choose(request: HttpRequest, found: Choices, known: Known, now: datetime) -> HttpResponse:
    """Show the form as it is with what a chooser finds, or with what was picked from it. Nothing is judged yet."""
    if "pick" in request.POST:
        try:
            return form.show(request, choosers.pick(found, request.POST["pick"]), known, now)
        except ValueError:
            problem = "What stands in fhirContext is no JSON array, so nothing was added. Mend it first."
            return form.show(request, found, known, now, list_of=Found("context", problem=problem))
    chooser = request.POST["do"].removeprefix(FIND)
    if chooser not in CHOOSERS:
        return form.show(request, found, known, now)
    asked = request.POST.get(f"find_{chooser}", "")
    return form.show(
        request, found, known, now, list_of=choosers.find(chooser, asked, found, known, context_of(request), now)
    )


def _begin(request: HttpRequest, found: Choices, known: Known, now: datetime) -> HttpResponse:
    begun = None
    try:
        if KINDS[found.kind].from_ehr:
            begun = ehr.begin(ehr.settle(found, known, now), now)
    except ehr.NotBegun as refused:
        return form.show(request, found, known, now, wrong={refused.field: str(refused)})
    except NotReached as error:
        return form.show(request, found, known, now, wrong={"": str(error)})
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
