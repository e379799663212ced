"""What the pages of the authorization server ask about patients, answered by the enforcement that stands before an app.

A question is an Access made for the signed-in person within the app's restrictions, a request we write and the decision
about it; what is shown of a record is read out of checked resources only.
Source: FHIR R4 patient, datatypes (HumanName, Identifier) and search.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from clients.tenants import TenantPolicy, find_tenant
from fhirproxy.audit_events import event_by
from fhirproxy.encounters import GOING_ON, NEWEST_FIRST, encounter_of, is_visit, on_day, visits_in
from fhirproxy.exchange import Exchange
from fhirproxy.leafing import Asked, Leaf, Leafer, Start, list_of, open_place, seal_place
from fhirproxy.panels import read_panel
from fhirproxy.patients import BY_NAME, criteria, in_order, name_in, patient_of
from fhirproxy.policy.authority import Authority, Loaded, is_panel_bound, user_of
from fhirproxy.policy.compartments import Checked, check
from fhirproxy.policy.decisions import decide, read_for_ourselves
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import Deny, Limits, ReadPlan, SearchPlan
from fhirproxy.policy.references import Local
from fhirproxy.policy.requests import parse_request
from fhirproxy.policy.targets import Pairs, parse_target, render
from fhirproxy.rights import load_facts
from fhirproxy.searching import Position
from fhirproxy.shown_texts import is_date
from fhirproxy.tenancy import find_upstream
from fhirproxy.tenant_rules import authority_under
from fhirproxy.upstream import UpstreamError, UpstreamGone
from smartauth.audit.recording import AuditUnavailable, record_read
from smartauth.context import RequestContext
from smartauth.policy.access import UNRESTRICTED, Access
from smartauth.policy.scopes import ResourceScope
from smartauth.records import (
    START,
    EncounterPage,
    EncounterRecord,
    PatientPage,
    PatientRecord,
    PatientSearch,
    Person,
    Place,
    PlaceLost,
    RecordsUnavailable,
)
from smartauth.sealing import Unsealable

RULE = "picker"  # in the audit trail: read for a page of ours, not for a token
# Seconds for one question. Somebody sits before an empty page meanwhile, and a page can say so and ask again.
PATIENCE = 5.0


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except (UpstreamError, Unsealable, FhirRefusal, AuditUnavailable) as error:
        raise RecordsUnavailable(f"{type(error).__name__}: {error}") from error


class ProxyRecords:
    """Implements smartauth.records.Records for the FHIR server behind the person's tenant."""

    @_faults_told()
    def find_patients(
        self,
        person: Person,
        search: PatientSearch,
        *,
        limit: int,
        context: RequestContext,
        now: datetime,
        place: Place = START,
    ) -> PatientPage:
        """Return at most `limit` patients the person may act for that match, by name.

        Raises PlaceLost and RecordsUnavailable.
        """
        if not all(map(is_date, search.birth_dates)):
            return PatientPage(())
        asked = Asked("Patient", criteria(search), BY_NAME, place)
        leaf = _ask_for_patients(person, context, now=now).turn(asked, limit)
        found = tuple(map(patient_of, in_order(leaf.found)))
        return PatientPage(found, leaf.has_more, leaf.first, seal_place(leaf, leaf.found, place.flow))

    @_faults_told()
    def find_patient(
        self, person: Person, patient_id: str, *, context: RequestContext, now: datetime
    ) -> PatientRecord | None:
        """Return one patient the person may act for, or None. Raises RecordsUnavailable."""
        found = _ask_for_patients(person, context, now=now).read("Patient", patient_id)
        return patient_of(found) if found else None

    @_faults_told()
    def find_encounters(
        self,
        person: Person,
        patient_id: str,
        day: str,
        *,
        limit: int,
        context: RequestContext,
        now: datetime,
        place: Place = START,
    ) -> EncounterPage:
        """Return the newest encounters that a token about this patient would find.

        Raises PlaceLost and RecordsUnavailable.
        """
        if day and not is_date(day):
            return EncounterPage(())
        inquiry = _ask_for_encounters(person, patient_id, context, now=now)
        asked = Asked("Encounter", on_day(day) if day else (), NEWEST_FIRST, place, is_visit)
        leaf = inquiry.turn(asked, limit)
        found = leaf.found
        if leaf.has_more and not day and not place.following:  # A stay that began long ago may still go on.
            with suppress(FhirRefusal):  # A server that cannot search for them can still list the newest.
                found += inquiry.turn(replace(asked, criteria=GOING_ON), limit).found
        return EncounterPage(tuple(visits_in(found)), leaf.has_more, leaf.first, seal_place(leaf, found, place.flow))

    @_faults_told()
    def find_encounter(
        self, person: Person, patient_id: str, encounter_id: str, *, context: RequestContext, now: datetime
    ) -> EncounterRecord | None:
        """Return an encounter that a token about this patient would read, or None. Raises RecordsUnavailable."""
        found = _ask_for_encounters(person, patient_id, context, now=now).read("Encounter", encounter_id)
        return encounter_of(found) if found else None

    @_faults_told()
    def find_user_name(self, person: Person, *, context: RequestContext, now: datetime) -> str:
        """Return the name on the person's own record, "" when there is none. Raises RecordsUnavailable.

        It is shown to that person alone, so what the app may reach does not count.
        """
        person = replace(person, restrictions=UNRESTRICTED)
        inquiry = _ask(person, context, now=now, named_scopes=frozenset({"openid", "fhirUser"}))
        user = user_of(inquiry.access, inquiry.exchange.info.bases)
        found = inquiry.read(user.type, user.id) if user else None
        return name_in(found) if found else ""


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """One question of one person: what it may reach, and the calls made for it."""

    access: Access
    authority: Authority
    exchange: Exchange
    max_count: int
    context: RequestContext

    def read(self, resource_type: str, resource_id: str) -> Checked | None:
        """Return one resource, or None for absent, deleted, outside and no id alike.

        Nothing is fetched to decide about it: patients, their encounters, and the people who sign in, hang on no other
        resource.
        """
        plan = self._plan((resource_type, resource_id), (), 1)
        if not isinstance(plan, ReadPlan) or plan.request is None:
            return None
        unchecked = self.exchange.read(plan.request, Local(plan.type, plan.id)).unchecked
        if unchecked is None:
            return None
        self.exchange.checked += 1
        checked = check(unchecked, plan.via, "r", self.exchange.info.bases)
        if checked is not None:
            self._record(plan)
        return checked

    def turn(self, asked: Asked, limit: int) -> Leaf:
        """Return the page at the place that is asked for: at most `limit` matches. Raises PlaceLost."""
        plan = self._search_plan(asked, (*asked.criteria, asked.sort), limit)
        if plan is None or plan.request is None:
            return Leaf()
        belongs = list_of(self.access, plan, asked, base_url=self.exchange.info.base_url)
        if asked.place.following:
            start = open_place(asked.place.following, belongs=belongs)
            try:
                return self._leaf(replace(plan, request=start.position.request), start, asked, limit)
            except (UpstreamGone, FhirRefusal) as error:
                raise PlaceLost(str(error)) from error
        start = Start(Position(plan.request), belongs)
        try:
            return self._leaf(plan, start, asked, limit)
        except FhirRefusal:  # A server that cannot sort can still search.
            plan = self._search_plan(asked, asked.criteria, limit)
            if plan is None or plan.request is None:
                return Leaf()
            return self._leaf(plan, replace(start, position=Position(plan.request)), asked, limit)

    def _leaf(self, plan: SearchPlan, start: Start, asked: Asked, limit: int) -> Leaf:
        leaf = Leafer(plan, self.authority, self.exchange, start=start, is_shown=asked.is_shown).leaf(limit)
        is_patients = asked.type == "Patient"
        self._record(plan, frozenset(one.id for one in leaf.found) if is_patients else frozenset())
        return leaf

    def _search_plan(self, asked: Asked, pairs: Pairs, limit: int) -> SearchPlan | None:
        """Ask for one more than are shown: it alone proves that there are more."""
        plan = self._plan((asked.type,), pairs, limit + 1)
        return plan if isinstance(plan, SearchPlan) else None

    def _plan(self, segments: tuple[str, ...], pairs: Pairs, count: int) -> ReadPlan | SearchPlan | None:
        """Decide about a request as if an app had sent it. None: it cannot be read, or is not for this person."""
        try:
            target = parse_target("/" + render(segments, pairs), prefix="")
            wanted = parse_request("GET", target, Headers(), b"", self.exchange.info.bases)
        except (FhirRefusal, UnicodeEncodeError):  # What a person typed decides about itself only.
            return None
        plan = decide(wanted, self.authority, Limits(count, self.max_count))
        return None if isinstance(plan, Deny) else plan

    def _record(self, plan: ReadPlan | SearchPlan, patients: frozenset[str] = frozenset()) -> None:
        """Put what was read into the audit trail, before it is given. Raises AuditUnavailable."""
        is_read = isinstance(plan, ReadPlan)
        event = event_by(
            self.access,
            "read" if is_read else "search",
            rule=RULE,
            resource_type=plan.type,
            resource_id=plan.id if isinstance(plan, ReadPlan) else "",
            query=plan.request.target if plan.request else "",
            details={"interaction": "read" if is_read else "search-type", **self.exchange.counts},
            patients=patients,
        )
        record_read(self.context, event)


def _ask_for_patients(person: Person, context: RequestContext, *, now: datetime) -> _Inquiry:
    return _ask(person, context, now=now, scopes=(ResourceScope("user", "Patient", "rs"),))


def _ask_for_encounters(person: Person, patient_id: str, context: RequestContext, *, now: datetime) -> _Inquiry:
    scopes = (ResourceScope("patient", "Encounter", "rs"),)
    return _ask(person, context, now=now, scopes=scopes, patient=patient_id)


def _ask(
    person: Person,
    context: RequestContext,
    *,
    now: datetime,
    scopes: tuple[ResourceScope, ...] = (),
    named_scopes: frozenset[str] = frozenset(),
    patient: str | None = None,
) -> _Inquiry:
    """Return an inquiry with the rights of a token that had these scopes at this moment. Raises RecordsUnavailable.

    patient: logical id of the patient in context, None for scopes that need none.
    """
    tenant, info = find_tenant(person.tenant), find_upstream(person.tenant)
    if tenant is None or info is None:
        raise RecordsUnavailable("the tenant is not active, or no upstream is configured for it")
    access = Access(
        tenant=person.tenant,
        client_id=person.client_id,
        subject=person.subject,
        scopes=scopes,
        named_scopes=named_scopes,
        grant_types=frozenset({"authorization_code"}),
        expires_at=now,
        user=person.user,
        patient=patient,
        fhir_user=person.fhir_user,
        related_patients=person.related_patients,
        restrictions=person.restrictions,
    )
    exchange = Exchange(info, str(context.trace_id), patience=PATIENCE)
    loaded = _facts(access, exchange, tenant.policy, now=now)
    authority = authority_under(tenant.policy, access, info.bases, loaded)
    return _Inquiry(access, authority, exchange, tenant.policy.max_count, context)


def _facts(access: Access, exchange: Exchange, policy: TenantPolicy, *, now: datetime) -> Loaded:
    """Return the facts that rights hang on.

    Raises UpstreamError or FhirRefusal where they give nobody because they are unreadable.
    """
    loaded = load_facts(access, exchange, now=now, policy=policy)
    user = user_of(access, exchange.info.bases)
    for group in () if loaded.group_members else access.restrictions.groups or ():
        exchange.read(read_for_ourselves("Group", group), Local("Group", group))
    if access.scopes and user is not None and is_panel_bound(access, user, policy.practitioner_access):
        for source in () if loaded.panel else policy.panel_by:
            read_panel(user, exchange, source, now=now)
    if access.scopes and user is not None and user.type == "RelatedPerson" and not loaded.related_patients:
        exchange.read(read_for_ourselves(user.type, user.id), user)
    return loaded
