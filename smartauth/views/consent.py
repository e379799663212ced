"""The consent page: who asks, for whose record, for what, until when; and the answer."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_noop as _

from smartauth import launches, pending, tokens
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.browser import (
    PageRefused,
    RedirectToClient,
    browser_page,
    redirect_code,
    redirect_error,
)
from smartauth.context import context_of
from smartauth.errors import AccessDenied, ConsentRequired, OAuthError, Refusal
from smartauth.people.rights import is_clinician
from smartauth.policy import granting
from smartauth.policy.consent import declined
from smartauth.policy.launch import types_in
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.policy.unasked import as_text
from smartauth.receipts.recording import record
from smartauth.records import EncounterRecord, PatientRecord, PatientSearch, Person, records
from smartauth.views import launched, pressed_twice, unasked
from smartauth.views.consent_answers import Answer, read_answer
from smartauth.views.consent_page import PAGE, facts_for, page_name
from smartauth.views.continuing import AlreadyAnswered, Open, continuing
from smartauth.views.held import CHANGED, ChangedMeanwhile, hold
from smartauth.views.leading_on import NOTHING_SHARED, START_AGAIN
from smartauth.views.refused import refuse

OFFER_CHANGED = Refusal(
    "consent.offer_changed", "what the app may ask for, or what of it is sensitive, changed since the page was shown"
)


@browser_page("GET", "POST", endpoint="consent")
@continuing
def consent(request: HttpRequest, opened: Open) -> HttpResponse:
    """Ask the user, or take the answer.  Source: RFC 6749 §3.1; SMART 2.2 best-practices; OIDC Core §3.1.2.4."""
    try:
        if launched.is_for_somebody_else(opened) and request.POST.get("decision") != "deny":
            if opened.is_silent:
                raise AccessDenied(launched.OTHER_USER, "The launch is not for who is signed in")
            response = launched.other_user_page(request, opened)
        else:
            response = _take_answer(request, opened) if request.method == "POST" else _ask(request, opened)
        if opened.is_silent and not isinstance(response, RedirectToClient):
            raise ConsentRequired(Refusal("prompt.none", "the user would have to be asked"))
        return response
    except OAuthError as error:
        return _refuse(request, opened, error)
    except ChangedMeanwhile:
        return _look_again(request, opened)


def _ask(request: HttpRequest, opened: Open, *, changed: Refusal | None = None) -> HttpResponse:
    """Return the page, or whatever has to come first. changed: why the answer to an earlier one does not count."""
    launch, patient, visit = opened.pending.launch, None, None
    if launch is not None and launch.used_at is not None:
        raise launched.used_up()
    if launch is not None and launch.patient:
        patient, visit = launched.subject_of(request, opened, launch)
        pending.choose_patient(opened.pending, patient.id)
    elif granting.needs_patient(opened.asked):
        patient = _find_patient(request, opened)
        if patient is None and _has_records(opened.person):
            return redirect("picker", pk=opened.pending.pk)
    if patient is not None and opened.picks_visit:
        visit = _find_visit(request, opened)
        if visit is None and opened.pending.encounter is None:
            return redirect("visit_picker", pk=opened.pending.pk)
    asked = _possible(opened, has_patient=patient is not None)
    if granting.reads_records(opened.asked) and not granting.reads_records(asked):
        return opened.show(request, "consent/no_record.html")
    answer = unasked.find_answer(opened, asked) if changed is None else None
    if answer is not None:
        return _grant(request, opened, opened.pending.page, answer)
    facts = facts_for(request, opened, asked=asked, patient=patient, visit=visit) | {"has_changed": changed}
    if changed is not None:
        record(context_of(request), status=409, error="page", refusal=changed)
    return opened.show(request, "consent/consent.html", status=200 if changed is None else 409, **facts)


def _find_patient(request: HttpRequest, opened: Open) -> PatientRecord | None:
    """Return the chosen patient if the user may still act for them, or the only one there is; None: ask."""
    ask: dict[str, Any] = {"context": context_of(request), "now": opened.now}
    if opened.pending.patient:
        return records().find_patient(opened.person, opened.pending.patient, **ask)
    if is_clinician(opened.person):
        return None
    found = records().find_patients(opened.person, PatientSearch(), limit=2, **ask)
    if len(found.patients) != 1 or found.has_more:
        return None
    pending.choose_patient(opened.pending, found.patients[0].id)
    return found.patients[0]


def _find_visit(request: HttpRequest, opened: Open) -> EncounterRecord | None:
    """Return the chosen visit. One that is not the patient's any more is to be chosen again."""
    stored = opened.pending
    if not stored.encounter:
        return None
    ask: dict[str, Any] = {"context": context_of(request), "now": opened.now}
    visit = records().find_encounter(opened.person, stored.patient, stored.encounter, **ask)
    if visit is None:
        pending.choose_encounter(stored, None)
    return visit


def _has_records(person: Person) -> bool:
    return bool(person.fhir_user or person.related_patients)


def _possible(opened: Open, *, has_patient: bool) -> tuple[Scope, ...]:
    person, launch = opened.person, opened.pending.launch
    return granting.within_rights(
        opened.asked,
        has_patient=has_patient,
        has_rights=_has_records(person),
        is_known=person.fhir_user is not None,
        in_context=types_in(launch.context if launch else {"encounter": opened.pending.encounter}),
    )


def _take_answer(request: HttpRequest, opened: Open) -> HttpResponse:
    page = _require_page(request, opened)
    match request.POST.get("decision"):
        case "deny":
            declined = Refusal("consent.denied", "the user declined")
            refusal = launched.OTHER_USER if launched.is_for_somebody_else(opened) else declined
            return _deny(request, opened, page, refusal, "The user declined")
        case "allow":
            return _allow(request, opened, page)
    refusal = Refusal("consent.decision", "the form carries no decision")
    raise PageRefused(refusal, title=_("Neither allowed nor denied"), advice=START_AGAIN)


def _allow(request: HttpRequest, opened: Open, page: UUID) -> HttpResponse:
    context, stored, launch = context_of(request), opened.pending, opened.pending.launch
    if launch is not None and launch.patient:
        if launched.subject_of(request, opened, launch)[0].id != stored.patient:
            raise _outdated()
    elif (
        stored.patient
        and records().find_patient(opened.person, stored.patient, context=context, now=opened.now) is None
    ):
        raise _outdated()
    if opened.picks_visit and stored.patient and _find_visit(request, opened) is None and stored.encounter != "":
        raise _outdated()
    asked = _possible(opened, has_patient=bool(stored.patient))
    if asked and request.POST["page"] != page_name(opened, asked):
        return _ask(request, opened, changed=OFFER_CHANGED)
    answer = read_answer(request, opened, asked)
    if not answer.granted:
        nothing = Refusal("consent.nothing", "the user allowed nothing of what was asked for")
        return _deny(request, opened, page, nothing, "The user allowed nothing")
    return _grant(request, opened, page, answer)


def _grant(request: HttpRequest, opened: Open, page: UUID, answer: Answer) -> HttpResponse:
    """Close the request and send the app a code for what is granted."""
    context, stored, launch, granted = context_of(request), opened.pending, opened.pending.launch, answer.granted
    stays_online = any(isinstance(one, NamedScope) and one.name == "online_access" for one in granted)
    with transaction.atomic():
        hold(request, opened, answer)
        _close(opened, page)
        if launch is not None and not launches.take(launch.pk, opened.now):
            raise launched.used_up()
        if not answer.terms.unasked:
            tokens.forget(stored)
        code, authorization = tokens.issue_code(
            stored,
            scope=as_text(granted),
            context=launched.told_context(opened) if granting.tells_context(granted) else {},
            auth_time=opened.auth_time,
            session_key=request.session.session_key if stays_online else None,
            terms=answer.terms,
            now=opened.now,
        )
        details = _details(answer.terms)
        if answer.declined:
            details["declined"] = as_text(answer.declined)
        if answer.follows:
            details["follows"] = str(answer.follows)
        if answer.replaces:
            details["replaced"] = tokens.revoke_earlier(stored, but=authorization, now=opened.now, context=context)
        granted_event = _event(opened, answer.rule, granted=as_text(granted), authorization=authorization, **details)
        record_now(context, granted_event)
        return pressed_twice.keep(request, redirect_code(opened.return_to, code), code)


def _details(terms: tokens.Terms) -> dict[str, Any]:
    moments = {"until": terms.ends_at, "remembered_until": terms.remembered_until}
    return {name: moment.isoformat(timespec="seconds") for name, moment in moments.items() if moment}


def _deny(request: HttpRequest, opened: Open, page: UUID, refusal: Refusal, description: str) -> HttpResponse:
    with transaction.atomic():
        _close(opened, page)
        tokens.forget(opened.pending)
        # Whoever came in place of somebody else was asked nothing.
        refused = {} if refusal is launched.OTHER_USER else {"declined": as_text(opened.asked)}
        record_now(context_of(request), _event(opened, refusal.rule, **refused))
        return pressed_twice.keep(
            request, redirect_error(request, opened.return_to, AccessDenied(refusal, description))
        )


def _refuse(request: HttpRequest, opened: Open, error: OAuthError) -> HttpResponse:
    """End a launch that cannot go on. What an attempt to answer it had changed is rolled back."""
    answer = refuse(request, opened.client, opened.return_to, error, silent=opened.is_silent)
    with transaction.atomic():
        pending.mark_answered(opened.pending, opened.now)
        record_now(context_of(request), _event(opened, error.refusal.rule))
        return pressed_twice.keep(request, answer)


def _look_again(request: HttpRequest, opened: Open) -> HttpResponse:
    """Let the browser come again, to what holds now."""
    if opened.is_silent:
        return _refuse(request, opened, ConsentRequired(CHANGED))
    record(context_of(request), status=302, error="page", refusal=CHANGED)
    return redirect("consent", pk=opened.pending.pk)


def _close(opened: Open, page: UUID) -> None:
    """Make this the one answer. Raises PageRefused when another came first, or the page was for somebody else."""
    if not pending.lock_unanswered(opened.pending, page=page):
        raise AlreadyAnswered() if pending.is_answered(opened.pending) else _outdated()
    pending.mark_answered(opened.pending, opened.now)


def _require_page(request: HttpRequest, opened: Open) -> UUID:
    """Return which page the form was on, if it was for whom and about whom it would be now. Raises PageRefused."""
    found = PAGE.fullmatch(request.POST.get("page", ""))
    if found is None or found["page"] != str(opened.pending.page):
        raise _outdated()
    return opened.pending.page


def _outdated() -> PageRefused:
    return PageRefused(
        Refusal("consent.outdated", "the form was shown for another user, patient or visit"),
        title=_("This page is out of date"),
        advice=(
            _("Somebody else signed in, or chose something else in another window."),
            NOTHING_SHARED,
            START_AGAIN,
        ),
        status=409,
    )


def _event(
    opened: Open, rule: str, *, granted: str = "", authorization: UUID | None = None, **details: Any
) -> AuditEvent:
    stored = opened.pending
    launch = {"launch": str(stored.launch_id)} if stored.launch_id else {}
    if lost := declined(granting.parse_registered(stored.scope), opened.asked):
        details["no_longer_allowed"] = as_text(lost)
    return AuditEvent(
        "consent",
        rule=rule,
        client_id=opened.client.client_id,
        tenant=opened.tenant.slug,
        user=opened.person.user,
        patient=stored.patient,
        authorization=authorization,
        details={"asked": stored.scope, "granted": granted, "dropped": stored.dropped} | launch | details,
    )
