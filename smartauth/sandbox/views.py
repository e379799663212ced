"""The page of the sandbox's sample app. Everything else about the app happens in the browser."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from smartauth import endpoints
from smartauth.conf import config
from smartauth.sandbox.launcher.framing import framed_by_us
from smartauth.sandbox.seed import TENANT

APP_CLIENT_ID = "growth-chart"


def to_app(request: HttpRequest) -> HttpResponse:
    """Send the visitor to the sample app."""
    return HttpResponseRedirect(_redirect_uri())


def app(request: HttpRequest) -> HttpResponse:
    """Show the sample app: where a launch ends, and where a visitor connects without an EHR."""
    return _page(request, is_launch_url=False)


def launch(request: HttpRequest) -> HttpResponse:
    """Show the sample app at its launch URL, where it reads `iss` and `launch`.

    Source: SMART 2.2 app-launch, "Launch App: EHR Launch".
    """
    return _page(request, is_launch_url=True)


def _page(request: HttpRequest, *, is_launch_url: bool) -> HttpResponse:
    facts = {
        "base_url": config().base_url,
        "iss": endpoints.fhir_base(TENANT),
        "client_id": APP_CLIENT_ID,
        "redirect_uri": _redirect_uri(),
        "is_launch_url": is_launch_url,
    }
    is_framed = request.headers.get("Sec-Fetch-Dest") == "iframe"
    response = render(request, "launcher/app.html", facts | {"is_framed": is_framed})
    return framed_by_us(response) if is_framed else response


def _redirect_uri() -> str:
    return f"{config().base_url}/launcher/app/"
