"""The two pages of Cardio Clinic: where it is launched or begins by itself, and where it is answered."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from smartauth import endpoints
from smartauth.sandbox.launcher import clinic, framing, runs
from smartauth.sandbox.launcher.browsers import browser_of, remember
from smartauth.sandbox.launcher.outgoing import NotReached
from smartauth.sandbox.seed import TENANT


@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Begin the request of the clinic's app: its launch URL, and where it begins by itself."""
    now = timezone.now()
    launch = request.GET.get("launch", "")
    if request.GET.get("iss", "").removesuffix("/") != endpoints.fhir_base(TENANT):
        # An app that follows any `iss` sends its user wherever a link says.
        says = "iss is not the hospital this app is registered with, so it goes nowhere."
        return _page(request, "This app does not know that hospital", [{"title": "iss", "status": 400, "says": says}])
    response = HttpResponseRedirect("")
    browser = remember(request, response)
    begun = runs.known_by([launch]) if launch else runs.watched(clinic.CLIENT_ID, browser=browser, now=now)
    scope = runs.choices_of(begun).scope if begun else ""
    pk = begun.pk if begun else None
    response["Location"] = clinic.authorize_url(launch=launch, scope=scope, run=pk, browser=browser, now=now)
    return response


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Take the answer to a request of the clinic's app.  Source: RFC 6749 §4.1.2."""
    now = timezone.now()
    kept = clinic.remembered(request.GET.get("state", ""), browser=browser_of(request), now=now)
    if kept is None:
        says = "The answer belongs to no request of this browser, or one of long ago. Nothing was done with it."
        return _page(request, "Nobody asked for this", [{"title": "state", "status": 400, "says": says}])
    if "code" not in request.GET:
        error = f"{request.GET.get('error', 'no code')}: {request.GET.get('error_description', '')}"
        return _page(request, "The app was not connected", [{"title": "Answer", "status": 400, "says": error}])
    try:
        lines = clinic.finish(request.GET["code"], kept, now)
    except NotReached as error:
        return _page(request, "The hospital did not answer", [{"title": "HTTP", "status": 503, "says": str(error)}])
    is_good = all(line["status"] == 200 for line in lines[-1:])
    return _page(request, "Connected" if is_good else "Connected, but not served", lines, run=kept.run)


def _page(request: HttpRequest, title: str, lines: list[dict[str, object]], run: str = "") -> HttpResponse:
    is_framed = request.headers.get("Sec-Fetch-Dest") == "iframe"
    facts = {"title": title, "lines": lines, "run": run, "is_framed": is_framed}
    response = render(request, "launcher/clinic.html", facts)
    return framing.framed_by_us(response) if facts["is_framed"] else response
