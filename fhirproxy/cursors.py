"""Page cursors: where a search stands at the upstream, sealed so that only the same token holder can go on from there.

A cursor carries no authority. It is opened against the authority of the request that shows it, and everything it leads
to is checked again.
"""

import zlib
from datetime import datetime, timedelta

import msgspec

from fhirproxy.policy.authority import Authority, Grant, patients_digest
from fhirproxy.policy.decisions import resume_link
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.plans import CanonicalRequest, Deny, SearchPlan
from fhirproxy.policy.reach import grants_for
from fhirproxy.policy.results import Shape, Summary, parse_include
from smartauth.errors import Refusal
from smartauth.policy.access import Access
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "page cursor"
LIFETIME = timedelta(minutes=15)
LONGEST = 7_000  # characters; a request target has 8 KiB
LARGEST_PAYLOAD = 64 * 1024


class _Sealed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    tenant: str
    client_id: str
    subject: str
    patients: str  # digest of the patient set
    type: str
    includes: list[tuple[str, str]]  # parameter and value
    target: str  # of the upstream page, relative to its base
    skip: int  # matches of that page already given
    count: int
    elements: list[str]
    summary: Summary
    pretty: bool
    interaction: str
    id: str
    types: list[str]
    expires_at: int  # seconds since 1970


def seal_cursor(plan: SearchPlan, request: CanonicalRequest, skip: int, *, access: Access, now: datetime) -> str:
    """Return the cursor of what follows. Raises FhirRefusal when the search is too long to be paged."""
    sealed = _Sealed(
        access.tenant,
        access.client_id,
        access.subject,
        patients_digest(plan.via),
        plan.type,
        [include.as_pair() for include in plan.includes],
        request.target,
        skip,
        plan.count,
        sorted(plan.shape.elements),
        plan.shape.summary,
        plan.shape.pretty,
        plan.interaction,
        plan.id,
        sorted(plan.types),
        int((now + LIFETIME).timestamp()),
    )
    text = encrypt(zlib.compress(msgspec.json.encode(sealed)), purpose=PURPOSE)
    if len(text) > LONGEST:
        raise bad_request("page.too_long", "the search is too long to be paged; ask for fewer values at a time")
    return text


def open_cursor(text: str, authority: Authority, *, access: Access, now: datetime) -> SearchPlan | Deny:
    """Return the plan of the next page, within the authority of this request.

    Raises FhirRefusal: 404 for a cursor that is not ours, not this token holder's, or too old.
    """
    sealed = _unseal(text)
    if sealed.expires_at <= now.timestamp():
        raise no_page("page.expired", "the page cursor has expired; repeat the search")
    holder = (sealed.tenant, sealed.client_id, sealed.subject)
    if holder != (access.tenant, access.client_id, access.subject):
        raise no_page("page.foreign", "the page cursor was given to somebody else")
    via = grants_for(
        sealed.interaction, authority, resource_type=sealed.type, resource_id=sealed.id, types=frozenset(sealed.types)
    )
    if isinstance(via, Deny):
        return via
    request = resume_link(sealed.target)
    if sealed.patients != patients_digest(via) or request is None:
        raise no_page("page.authority", "the page cursor belongs to a different set of patients")
    return _plan(sealed, request, via)


def _plan(sealed: _Sealed, request: CanonicalRequest, via: tuple[Grant, ...]) -> SearchPlan:
    includes = tuple(parse_include(sealed.type, name, text) for name, text in sealed.includes)
    return SearchPlan(
        request=request,
        type=sealed.type,
        via=via,
        count=sealed.count,
        pairs=(),
        includes=includes,
        shape=Shape(frozenset(sealed.elements), sealed.summary, sealed.pretty),
        # A grant that is full for one type says nothing of the others that come with it.
        is_full=sealed.interaction != "$everything" and any(grant.is_full for grant in via),
        total="none",
        skip=sealed.skip,
        types=frozenset(sealed.types),
        id=sealed.id,
        interaction=sealed.interaction,
    )


def _unseal(text: str) -> _Sealed:
    try:
        packed = decrypt(text, purpose=PURPOSE)
        inflater = zlib.decompressobj()
        return msgspec.json.decode(inflater.decompress(packed, LARGEST_PAYLOAD), type=_Sealed)
    except (Unsealable, zlib.error, msgspec.DecodeError):
        raise no_page("page.unreadable", "the page cursor is not one of ours") from None


def no_page(rule: str, reason: str, officer: str = "") -> FhirRefusal:
    """Return the one 404 for every page that this token cannot have."""
    fix = "Follow the next link of a search made with the same token, within 15 minutes."
    refusal = Refusal(rule, reason, fix=fix, officer=officer)
    return FhirRefusal(404, "not-found", refusal, public="There is no such page for this token; repeat the search.")
