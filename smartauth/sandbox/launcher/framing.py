"""An app in the frame of the simulated EHR, and out of it for everything that is ours.

No page on which somebody signs in or decides can be framed. So when an app in the frame comes to authorize, the whole
window goes on there, and comes back to the frame with the answer. The app finds what it kept: it is the same window.
"""

from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from clients.registered import RegisteredClient
from smartauth.browser import page_policy_text
from smartauth.conf import config
from smartauth.policy.redirects import form_action_source
from smartauth.sandbox.launcher import noting, runs
from smartauth.sandbox.launcher.arriving import Arrived
from smartauth.sandbox.launcher.browsers import browser_of
from smartauth.sandbox.models import Run
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "launcher return"
RETURN = "back"  # the parameter with the sealed URL of the app
GOOD_FOR = 120  # seconds; a code lives for one minute
DECIDES = "You decide in the whole window, so that you can see where you are. Then you come back here."
OUT_OF_FRAME = {
    "other": {"title": "This page needs the whole window", "says": "It is none that can be shown in a frame."},
    "refused": {
        "title": "The request was refused",
        "says": "The reason stands on a page of its own, and beside this frame.",
    },
    "authorize": {"title": "Sign in", "says": f"You sign in there. {DECIDES}"},
    "logout": {"title": "Sign out", "says": DECIDES},
}


def suits_frame(url: str) -> bool:
    """Return True for an app on this machine: elsewhere browsers keep what an app stores in a frame apart."""
    return urlsplit(url).hostname == urlsplit(config().base_url).hostname


def is_framed(run: Run) -> bool:
    """Return True for a launch whose app opens in the frame."""
    return bool(run.choices.get("place") == "frame" and run.opened)


def lead(request: HttpRequest, response: HttpResponseBase, arrived: Arrived, run: Run) -> HttpResponseBase:
    """Return the answer to a browser: out of the frame for our own pages, back into it with the app's answer."""
    if not (is_framed(run) and arrived.is_by_browser):
        return response
    is_in_frame = request.headers.get("Sec-Fetch-Dest") == "iframe"
    if arrived.part == "authorize" and not is_in_frame:
        return _leave(response, run)
    location = response.get("Location", "")
    is_answer = bool(location) and noting.leads_to_app(location, run.client_id)
    if is_in_frame:
        return response if is_answer else _break_out(request, location, arrived.part if location else "refused")
    if not is_answer:
        return response
    response["Location"] = f"{reverse('launcher_run', args=[run.pk])}?{urlencode({RETURN: _seal(location)})}"
    return response


def answer_url(run: Run, sealed: str) -> str:
    """Return the URL at which the app gets its answer in the frame, "" for what we did not seal just now."""
    try:
        at, _, url = decrypt(sealed, purpose=PURPOSE).decode().partition(" ")
    except Unsealable:
        return ""
    is_new = 0 <= timezone.now().timestamp() - float(at) <= GOOD_FOR
    return url if is_new and noting.leads_to_app(url, run.client_id) else ""


def frame_policy(client: RegisteredClient, opened: str) -> str:
    """Return the policy of the EHR's page: it frames this one app, at its registered addresses, and us."""
    sources = {
        form_action_source(url)
        for url in (opened, *client.redirect_uris, *client.post_logout_redirect_uris)
        if url.startswith("http")
    }
    return f"{page_policy_text()}; frame-src 'self' {' '.join(sorted(sources))}".rstrip()


def framed_by_us(response: HttpResponse) -> HttpResponse:
    """Let pages of this server frame a page that is an app's, or a way out of the frame, and decides nothing."""
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Content-Security-Policy"] = page_policy_text().replace("frame-ancestors 'none'", "frame-ancestors 'self'")
    return response


def rescue(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return a way out of the frame instead of a page of ours that browsers would not show there: it would be blank."""
    is_shown = response.get("X-Frame-Options") != "DENY" or "Location" in response  # A redirect shows nothing itself.
    if request.headers.get("Sec-Fetch-Dest") != "iframe" or is_shown:
        return response
    if runs.framed_of(browser_of(request), timezone.now()) is None:
        return response
    return _break_out(request, "", "other")


def _leave(response: HttpResponseBase, run: Run) -> HttpResponseBase:
    """Take note that the app was opened in a window of its own after all: what it keeps is there, not in the frame."""
    run.choices["place"] = "window"
    run.save(update_fields=["choices"])
    return response


def _break_out(request: HttpRequest, location: str, why: str) -> HttpResponse:
    """Return a page that leads the whole window to `location`, or with "" to what was asked for in the frame."""
    words = OUT_OF_FRAME.get(why, OUT_OF_FRAME["authorize"])
    facts = {"target": location or request.get_full_path(), "goes": bool(location), **words}
    response = HttpResponse(render_to_string("launcher/out_of_frame.html", facts))
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return framed_by_us(response)


def _seal(url: str) -> str:
    return encrypt(f"{timezone.now().timestamp()} {url}".encode(), purpose=PURPOSE)
