"""Decide the operations that answer with resources: what of an authority they use, and what is asked upstream.

Source: FHIR R4 patient-operation-everything, observation-operation-lastn, resource-operation-meta; US Core docref.
"""

from dataclasses import replace

from fhirproxy.policy.authority import Authority, Everyone, reaches_all, union
from fhirproxy.policy.history import may_be_inside
from fhirproxy.policy.narrowing import decide_search
from fhirproxy.policy.operations import DocRef, Everything, LastN, Meta, ReadingOperation
from fhirproxy.policy.parameters import SearchQuery
from fhirproxy.policy.plans import Deny, Limits, ReadPlan, SearchPlan, canonical_request, deny_letter
from fhirproxy.policy.reach import grants_for, grants_on_instance
from fhirproxy.policy.results import Shape
from fhirproxy.policy.terminology import Terminology, TerminologyPlan, decide_question
from smartauth.policy import r4

Plan = ReadPlan | SearchPlan | TerminologyPlan


def decide_operation(wanted: ReadingOperation, authority: Authority, limits: Limits) -> Plan | Deny:
    """Say how to carry out an operation that reads, or why not."""
    match wanted:
        case Everything():
            return _decide_everything(wanted, authority, limits)
        case LastN():
            return _decide_lastn(wanted, authority, limits)
        case DocRef():
            return _decide_docref(wanted, authority, limits)
        case Terminology():
            return decide_question(wanted, authority, limits)
        case Meta():
            plan = read_instance(wanted.type, wanted.id, wanted.shape, authority)
            return replace(plan, only_meta=True) if isinstance(plan, ReadPlan) else plan


def read_instance(resource_type: str, resource_id: str, shape: Shape, authority: Authority) -> ReadPlan | Deny:
    """Say how to read the current version of one resource."""
    via = grants_on_instance(authority, resource_type, resource_id, "r")
    if isinstance(via, Deny):
        return via
    inside = may_be_inside(via, resource_type, resource_id)
    request = canonical_request((resource_type, resource_id)) if inside else None
    return ReadPlan(request, resource_type, resource_id, via, shape, reaches_all(via, resource_type))


def _decide_everything(wanted: Everything, authority: Authority, limits: Limits) -> SearchPlan | Deny:
    patient = read_instance("Patient", wanted.id, wanted.shape, authority)
    if isinstance(patient, Deny):
        return patient
    for one in wanted.types:
        if one != "Patient" and not authority.having("s", one):
            return deny_letter(authority, "s", one, "searching")
    granted = frozenset(one for one in r4.memberships() if authority.having("s", one)) | {"Patient"}
    types = granted & set(wanted.types) if wanted.types else granted
    named = bool(wanted.types) or not sees_all_of(authority, wanted.id)
    via = grants_for("$everything", authority, resource_type="Patient", resource_id=wanted.id, types=types)
    if isinstance(via, Deny):
        return via
    count = _count(wanted.count, limits)
    pairs = ((("_type", ",".join(sorted(types))),) if named else ()) + wanted.dates + (("_count", str(count)),)
    path = ("Patient", wanted.id, "$everything")
    return SearchPlan(
        request=canonical_request(path, pairs) if patient.request else None,
        type="Patient",
        via=via,
        count=count,
        pairs=pairs,
        includes=(),
        shape=wanted.shape,
        is_full=False,  # An upstream's own number counts what is of a type that was not asked for.
        types=types,
        id=wanted.id,
        path=path,
        interaction="$everything",
        within=patient,
    )


def sees_all_of(authority: Authority, patient: str) -> bool:
    """Return True when some grant leaves out nothing about a patient: what comes along tells of nothing hidden."""
    return any(
        grant.permits("s", "*")
        and not (grant.filters or grant.instance)
        and (isinstance(grant.patients, Everyone) or patient in grant.patients)
        for grant in authority.grants
    )


def _decide_lastn(wanted: LastN, authority: Authority, limits: Limits) -> SearchPlan | Deny:
    """The latest among what may be seen, so we look for them ourselves: hidden ones must not stand in their place."""
    query = replace(wanted.query, sort=("-date",), count=limits.max_count, total="none")
    plan = decide_search("Observation", query, authority, limits)
    if isinstance(plan, Deny):
        return plan
    if isinstance(union([grant.patients for grant in plan.via]), Everyone) and not _names_a_subject(query):
        return Deny("lastn.subject", "the operation needs a patient or a subject", status=400, issue="invalid")
    shown = tuple(pair for pair in plan.pairs if pair[0] not in ("_sort", "_count"))
    pairs = (*shown, ("max", str(wanted.most)))
    return replace(
        plan, pairs=pairs, path=("Observation", "$lastn"), interaction="$lastn", most=wanted.most, total="none"
    )


def _names_a_subject(query: SearchQuery) -> bool:
    return any(one.name in ("patient", "subject") and not one.modifier for one in query.criteria)


def _decide_docref(wanted: DocRef, authority: Authority, limits: Limits) -> SearchPlan | Deny:
    via = authority.having("s", "DocumentReference")
    if not via:
        return deny_letter(authority, "s", "DocumentReference", "searching")
    reach = union([grant.patients for grant in via])
    if not isinstance(reach, Everyone) and wanted.patient not in reach:
        return Deny("compartment", "the operation names a patient outside the authority")
    count = _count(wanted.count, limits)
    pairs = (("patient", wanted.patient), *wanted.filters, ("_count", str(count)))
    path = ("DocumentReference", "$docref")
    return SearchPlan(
        request=canonical_request(path, pairs),
        type="DocumentReference",
        via=via,
        count=count,
        pairs=pairs,
        includes=(),
        shape=wanted.shape,
        is_full=reaches_all(via, "DocumentReference"),
        path=path,
        interaction="$docref",
    )


def _count(asked: int | None, limits: Limits) -> int:
    return max(1, min(asked if asked is not None else limits.default_count, limits.max_count))
