"""Looking at a key set as the server would, before anything depends on it: pasted keys, or what a URL answers."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from msgspec import json

from clients.findings import PRIVATE_KEY_SENT
from clients.jwks_fetch import FetchedJwks
from clients.jwks_report import JwksReport, Problem, make_report
from clients.key_sets import FORCED_EVERY
from clients.portal.access import find_own_draft, portal_page
from clients.portal.answers import keys_text
from clients.portal.fetch_room import room
from clients.portal.pasted_keys import read_pasted_keys
from clients.trial_fetch import trial
from smartauth.conf import config
from smartauth.errors import TooManyRequests

LONGEST = 200_000  # characters pasted


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
    shown = "" if read_pasted_keys(pasted).is_private else pasted
    page = {"url": url, "pasted": shown, "report": report, "busy": busy, "is_url": bool(url)}
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
    with room(int(request.user.pk)):
        return trial(url[:2_000], timezone.now())


def _report_pasted(text: str) -> JwksReport:
    pasted = read_pasted_keys(text[:LONGEST])
    if pasted.is_private:
        return JwksReport((Problem(PRIVATE_KEY_SENT.rule, PRIVATE_KEY_SENT.message, fix=PRIVATE_KEY_SENT.fix),))
    body = json.encode(pasted.jwks) if isinstance(pasted.jwks, dict) else str(pasted.jwks or "").encode()
    outcome = FetchedJwks(body, timedelta(0), (("content-type", "application/json"),))
    algorithms = config().assertion_algorithms
    found = make_report(outcome, algorithms=algorithms, forced_every=FORCED_EVERY, now=timezone.now())
    return JwksReport(found.findings, found.keys)  # Nothing was fetched, so there is nothing to say of caching.


def _as_json(report: JwksReport | None, busy: str) -> JsonResponse:
    if report is None:
        reason = busy or "there is nothing to look at"
        return JsonResponse({"error": "busy" if busy else "empty", "reason": reason}, status=429 if busy else 400)
    told: dict[str, Any] = {"is_healthy": report.is_healthy, **asdict(report)}
    return JsonResponse(told)
