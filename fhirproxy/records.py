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
from fhirproxy.encounters import GOING_ON, NEWEST_FIRST, encounter_of, on_day, visits_in
from fhirproxy.exchange import Exchange
from fhirproxy.panels import read_panel
from fhirproxy.patients import in_order, name_in, patient_of
from fhirproxy.policy.authority import Authority, Loaded, is_panel_bound, user_of
from fhirproxy.policy.compartments import Checked, check
from fhirproxy.policy.decisions import decide, read_for_ourselves
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import Deny, Limits, ReadPlan, SearchPlan
from fhirproxy.policy.references import Local
from fhirproxy.policy.requests import parse_request
from fhirproxy.policy.targets import Pairs, parse_target, render
from fhirproxy.policy.values import escape
from fhirproxy.rights import load_facts
from fhirproxy.searching import Gathered, Position, Sifter
from fhirproxy.shown_texts import is_date
from fhirproxy.tenancy import find_upstream
from fhirproxy.tenant_rules import authority_under
from fhirproxy.upstream import UpstreamError
from smartauth.audit.recording import AuditUnavailable, record_read
from smartauth.context import RequestContext
from smartauth.policy.access import UNRESTRICTED, Access
from smartauth.policy.scopes import ResourceScope
from smartauth.records import (
    EncounterPage,
    EncounterRecord,
    PatientPage,
    PatientRecord,
    PatientSearch,
    Person,
    RecordsUnavailable,
)
from smartauth.sealing import Unsealable

RULE = "picker"  # in the audit trail: read for a page of ours, not for a token
BY_NAME = ("_sort", "family,given")
# Seconds for one question. Somebody sits before an empty page meanwhile, and a page can say so and ask again.
PATIENCE = 5.0
MOST_WORDS = 8  # in a name that is searched for: the runs of n words are n² / 2


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
        self, person: Person, search: PatientSearch, *, limit: int, context: RequestContext, now: datetime
    ) -> PatientPage:
        """Return at most `limit` patients the person may act for that match, by name. Raises RecordsUnavailable."""
        if search.birth_date and not is_date(search.birth_date):
            return PatientPage(())
        gathered = _ask_for_patients(person, context, now=now).search("Patient", _criteria(search), limit, sort=BY_NAME)
        found = in_order(gathered.matches.values())
        has_more = len(found) > limit or gathered.following is not None
        return PatientPage(tuple(map(patient_of, found[:limit])), has_more)

    @_faults_told()
    def find_patient(
        self, person: Person, patient_id: str, *, context: RequestContext, now: datetime
    ) -> PatientRecord | None:
        """Return one patient the person may act for, or None. Raises RecordsUnavailable."""
        found = _ask_for_patients(person, context, now=now).read("Patient", patient_id)
        return patient_of(found) if found else None

    @_faults_told()
    def find_encounters(
        self, person: Person, patient_id: str, day: str, *, limit: int, context: RequestContext, now: datetime
    ) -> EncounterPage:
        """Return the newest encounters that a token about this patient would find. Raises RecordsUnavailable."""
        if day and not is_date(day):
            return EncounterPage(())
        inquiry = _ask_for_encounters(person, patient_id, context, now=now)
        gathered = inquiry.search("Encounter", on_day(day) if day else (), limit, sort=NEWEST_FIRST)
        has_more = len(gathered.matches) > limit or gathered.following is not None
        found = list(gathered.matches.values())
        if has_more and not day:  # A stay that began long ago may still go on.
            with suppress(FhirRefusal):  # A server that cannot search for them can still list the newest.
                found += inquiry.search("Encounter", GOING_ON, limit, sort=NEWEST_FIRST).matches.values()
        return EncounterPage(tuple(visits_in(found)[:limit]), has_more)

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

    def search(self, resource_type: str, criteria: Pairs, limit: int, *, sort: tuple[str, str]) -> Gathered:
        """Return the first matches, one more than `limit` when there are more: it alone proves that there are."""
        try:
            return self._gather(resource_type, (*criteria, sort), limit + 1)
        except FhirRefusal:  # A server that cannot sort can still search.
            return self._gather(resource_type, criteria, limit + 1)

    def _gather(self, resource_type: str, pairs: Pairs, wanted: int) -> Gathered:
        plan = self._plan((resource_type,), pairs, wanted)
        if not isinstance(plan, SearchPlan) or plan.request is None:
            return Gathered()
        gathered = Sifter(plan, self.authority, self.exchange).gather(Position(plan.request), wanted)
        is_patients = resource_type == "Patient"
        self._record(plan, frozenset(one.id for one in gathered.matches.values()) if is_patients else frozenset())
        return gathered

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


def _criteria(search: PatientSearch) -> Pairs:
    pairs = list(_name_criteria(search.name)) if search.name else []
    if search.birth_date:
        pairs.append(("birthdate", search.birth_date))
    if search.identifier:
        pairs.append(("identifier", escape(search.identifier.strip())))
    return tuple(pairs)


def _name_criteria(text: str) -> Iterator[tuple[str, str]]:
    """Ask that each word typed be in a run of words with which some part of the name begins.

    Servers compare with the beginning of single parts: "Berg" alone does not find the family name "van der Berg".
    """
    words = text.replace(",", " ").split()
    if not 0 < len(words) <= MOST_WORDS:
        words = [""]  # An empty value is refused, and nobody found; no value at all would find everybody.
    for at in range(len(words)):
        runs = (words[start:end] for start in range(at + 1) for end in range(at + 1, len(words) + 1))
        yield "name", ",".join(escape(" ".join(run)) for run in runs)
