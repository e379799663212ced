"""Looking at a key set as the server would, before anything depends on it: pasted keys, or what a URL answers.

Fetching is slow and its target is chosen by whoever asks, so each person may have few fetches at a time and a minute.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from msgspec import json

from clients.drafts import PRIVATE_KEY_SENT
from clients.jwks_fetch import FetchedJwks, fetch_jwks
from clients.jwks_report import JwksReport, Problem, make_report
from clients.jwks_rules import UnusableJwks
from clients.key_sets import FORCED_EVERY
from clients.portal.access import find_own_draft, portal_page
from clients.portal.answers import keys_text
from clients.portal.pasted_keys import read_pasted_keys
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal, TooManyRequests
from smartauth.rates import Buckets

PER_MINUTE = 10  # fetches of one person
AT_ONCE = 2  # of one person
ALTOGETHER = 4  # in this process, so that hosts that hang leave threads for everybody else
LONGEST = 200_000  # characters pasted
_buckets = Buckets()
_lock = threading.Lock()
_running: dict[int, int] = {}


@portal_page("GET", "POST")
def test_keys(request: HttpRequest) -> HttpResponse:
    """Report on a key set: as a page, or as JSON for a page that is open already."""
    wants_json = "application/json" in request.headers.get("Accept", "")
    url, pasted = _asked(request)
    report, busy = None, ""
    if url or pasted:
        try:
            report = _look(request, url, pasted)
        except TooManyRequests as error:
            busy = error.refusal.reason
    if wants_json:
        return _as_json(report, busy)
    page = {"url": url, "pasted": pasted, "report": report, "busy": busy, "is_url": bool(url)}
    return render(request, "developers/key_test.html", page, status=429 if busy else 200)


def _asked(request: HttpRequest) -> tuple[str, str]:
    """Return the URL and the pasted text to look at: of the form, or of the draft somebody comes from."""
    if request.method == "POST":
        if request.POST.get("keys_from", "url" if request.POST.get("jwks_uri") else "paste") == "url":
            return request.POST.get("jwks_uri", "").strip(), ""
        return "", request.POST.get("jwks", "").strip()
    number = request.GET.get("draft", "")
    draft = (
        find_own_draft(request.user, int(number))
        if number.isascii() and number.isdigit() and len(number) < 10
        else None
    )
    return (str(draft.answers.get("jwks_uri") or ""), keys_text(draft.answers)) if draft is not None else ("", "")


def _look(request: HttpRequest, url: str, pasted: str) -> JwksReport:
    if not url:
        return _report_pasted(pasted)
    with _room(int(request.user.pk)):
        context_of(request).endpoint = "developers/keys"
        try:
            outcome: FetchedJwks | UnusableJwks = fetch_jwks(url[:2_000])
        except UnusableJwks as problem:
            outcome = problem
    return _report(outcome)


def _report_pasted(text: str) -> JwksReport:
    pasted = read_pasted_keys(text[:LONGEST])
    if pasted.is_private:
        return JwksReport((Problem(PRIVATE_KEY_SENT.rule, PRIVATE_KEY_SENT.message, fix=PRIVATE_KEY_SENT.fix),))
    body = json.encode(pasted.jwks) if isinstance(pasted.jwks, dict) else str(pasted.jwks or "").encode()
    found = _report(FetchedJwks(body, timedelta(0), (("content-type", "application/json"),)))
    return JwksReport(found.findings, found.keys)


def _report(outcome: FetchedJwks | UnusableJwks) -> JwksReport:
    return make_report(outcome, algorithms=config().assertion_algorithms, forced_every=FORCED_EVERY, now=timezone.now())


@contextmanager
def _room(user: int) -> Iterator[None]:
    """Hold one of the few places for fetches. Raises TooManyRequests."""
    with _lock:
        if _running.get(user, 0) >= AT_ONCE or sum(_running.values()) >= ALTOGETHER:
            raise _too_many("other key sets are being fetched at this moment; try again in a few seconds")
        wait = _buckets.seconds_to_wait(user, PER_MINUTE, time.monotonic())
        if wait:
            raise _too_many(f"one person may fetch {PER_MINUTE} key sets a minute; wait {round(wait) + 1} s")
        _running[user] = _running.get(user, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _running[user] -= 1
            if not _running[user]:
                del _running[user]


def _too_many(reason: str) -> TooManyRequests:
    return TooManyRequests(Refusal("portal.key_fetches", reason), retry_after=10)


def _as_json(report: JwksReport | None, busy: str) -> JsonResponse:
    if report is None:
        reason = busy or "there is nothing to look at"
        return JsonResponse({"error": "busy" if busy else "empty", "reason": reason}, status=429 if busy else 400)
    told: dict[str, Any] = {"is_healthy": report.is_healthy, **asdict(report)}
    return JsonResponse(told)
