"""Looks at every request of a launch that the launcher began, spoils it where that was chosen, and notes how it ended.

It stands at the edge in the sandbox and exists nowhere else. Requests of no launch pass untouched.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from django.db import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from smartauth.context import context_of
from smartauth.sandbox.launcher import arriving, discovering, framing, noting, runs, spoiling
from smartauth.sandbox.launcher.arriving import Arrived
from smartauth.sandbox.launcher.browsers import browser_of
from smartauth.sandbox.launcher.recorder import Entry, keep
from smartauth.sandbox.launcher.spoiling import Spoilt
from smartauth.sandbox.models import Run

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_log = logging.getLogger(__name__)


def watch(get_response: GetResponse) -> GetResponse:
    """Put the launcher in front of the server."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not runs.anything_watched():
            return get_response(request)
        arrived = arriving.read(request)
        run = _find(request, arrived) if arrived else None
        if arrived is None or run is None:
            return framing.rescue(request, get_response(request))
        return _attend(request, get_response, arrived, run)

    return middleware


def _find(request: HttpRequest, arrived: Arrived) -> Run | None:
    """Return the launch a request belongs to."""
    try:
        run = runs.known_by(arrived.shown)
        if run is None and arrived.part == "discovery":
            return discovering.find_run(request, timezone.now())
        is_of_another = bool(arrived.params.get("launch"))  # begun by another EHR
        if run is not None or is_of_another or not arrived.client_id:
            return run
        browser = browser_of(request) if arrived.is_by_browser else ""
        return runs.watched(arrived.client_id, browser=browser, now=timezone.now())
    except Error:
        _log.exception("the launcher could not look up a launch")
        return None


def _attend(request: HttpRequest, get_response: GetResponse, arrived: Arrived, run: Run) -> HttpResponseBase:
    if request.method == "OPTIONS":
        return get_response(request)  # It is the browser that asks, not the app.
    at, began = timezone.now(), time.monotonic()
    spoilt = spoiling.before(request, arrived, run)
    response = spoilt.answer or get_response(request)
    spoiling.after(request, response, arrived, run, spoilt)
    try:
        runs.know(run, noting.answers_of(response, arrived))
        _note(request, response, arrived, run, spoilt, at=at, took=int((time.monotonic() - began) * 1000))
    except Error:
        _log.exception("the launcher could not note a request")
    return framing.lead(request, response, arrived, run)


def _note(
    request: HttpRequest,
    response: HttpResponseBase,
    arrived: Arrived,
    run: Run,
    spoilt: Spoilt,
    *,
    at: datetime,
    took: int,
) -> None:
    outcome, is_refusal = noting.outcome(request, response, arrived)
    facts = noting.facts(request, response, arrived)
    if spoilt.scopes is not None:
        outcome = f"{outcome} (the habit left: {spoilt.scopes or 'no scope'})"
        left = spoilt.scopes.split()
        gone = [scope for scope in arrived.params["scope"].split() if scope not in left]
        facts["gone"] = " ".join(gone)[: noting.LONGEST_SCOPE]
    entry = Entry(
        part=arrived.part,
        what=noting.what(request, arrived),
        outcome=outcome,
        status=response.status_code,
        at=at,
        took=took,
        trace_id=context_of(request).trace_id,
        is_refusal=is_refusal,
        fault=spoilt.fault,
        facts=facts,
        why=spoiling.why(spoilt),
    )
    keep(run, entry)
