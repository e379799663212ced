"""What the proxy would do without one of its rules: the replacements that `rules.py` puts in place."""

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pycurl

from fhirproxy import cursors, exchange, reading, rights, searching, upstream
from fhirproxy.policy import (
    authority,
    compartments,
    constraints,
    decisions,
    headers,
    narrowing,
    parameters,
    plans,
    references,
    results,
    shaping,
)
from fhirproxy.policy.authority import EVERYONE, Grant
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.references import OPAQUE, Local, Opaque, Other
from smartauth.errors import Refusal


def always(value: Any) -> Callable[..., Any]:
    """Return a function that answers the same to everything."""
    return lambda *_, **__: value


# --- Reading a request -----------------------------------------------------------------------------------------------

_criterion = parameters._parse_criterion
_screen = headers.screen_headers
_take = parameters._takes_modifier


def unknown_ignored(*given: Any, **named: Any) -> Any:
    try:
        return _criterion(*given, **named)
    except FhirRefusal:
        return None


def _override_ignored(method: str, raw: Any, *, has_body: bool) -> Any:
    return _screen(method, tuple(one for one in raw if "Override" not in one[0]), has_body=has_body)


def _last_header_counts(method: str, raw: Any, *, has_body: bool) -> Any:
    return _screen(method, tuple({name.lower(): (name, value) for name, value in raw}.values()), has_body=has_body)


def include_anything(resource_type: str, name: str, text: str) -> Any:
    try:
        return _parse_include(resource_type, name, text)
    except FhirRefusal:
        return results.Include(resource_type, "subject", "", reverse="rev" in name, types=frozenset())


_parse_include = results.parse_include

# --- Whose data ------------------------------------------------------------------------------------------------------

_patients = authority._patients
_reach = authority._user_reach
_limit = authority._client_limit
_make_grants = authority.make_grants
_about = compartments._is_about
_member = compartments.is_member
_classify = references.classify
_relative = references.Base.relative
_matches_token = constraints._matches_token
_admits = compartments.admits
_derives = compartments._derives


def nobody_is_everybody(*given: Any, **named: Any) -> Any:
    return _patients(*given, **named) or EVERYONE


def stranger_in_context(scope: Any, access: Any, reach: Any) -> Any:
    return _patients(scope, access, EVERYONE)


def unknown_user_reaches_all(access: Any, *rest: Any, **named: Any) -> Any:
    return _reach(access, *rest, **named) or (EVERYONE if access.fhir_user else frozenset())


def any_base_is_ours(access: Any, bases: Any) -> Any:
    tail = "/".join((access.fhir_user or "").split("/")[-2:])
    return references.find_local(tail, bases)


def own_type(access: Any, bases: Any, limit: Any) -> Any:
    found = _own_record(access, bases, limit)
    return dataclasses.replace(found, instance="") if found else None


_own_record = authority._own_record


def by_any_letter(self: Grant, letter: str, resource_type: str) -> bool:
    return self.resource in ("*", resource_type)


def of_any_type(self: Grant, letter: str, resource_type: str) -> bool:
    return letter in self.letters


def inactive_members(group: Any, talk: Any) -> Any:
    copied = {**(group or {}), "member": [{**one, "inactive": False} for one in (group or {}).get("member", [])]}
    return _members(copied, talk)


_members = rights._members
_related = rights._related


def inactive_relatives(person: Any, *rest: Any) -> Any:
    return _related({**person, "active": True} if person else None, *rest)


# --- Membership ------------------------------------------------------------------------------------------------------


def only_opaque_strangers(about: Any, patients: Any) -> bool:
    return any(isinstance(who, Opaque) for who in about)


def only_named_strangers(about: Any, patients: Any) -> bool:
    return any(isinstance(who, Local) and who.id not in patients for who in about)


def any_of_several(about: Any, patients: Any) -> bool:
    named = [who for who in about if isinstance(who, Local)]
    return any(isinstance(who, Opaque) for who in about) or (bool(named) and not any(w.id in patients for w in named))


def about_a_group_is_about_nobody(unchecked: Any, facts: Any, patients: Any, bases: Any, **rest: Any) -> bool:
    about = compartments._at(unchecked, facts.primary, bases)
    if about and not any(isinstance(who, Local | Opaque) for who in about):
        others = compartments._at(unchecked, facts.secondary, bases)
        return any(isinstance(who, Local) and who.id in patients for who in others)
    return _about(unchecked, facts, patients, bases, **rest)


def formal(unchecked: Any, facts: Any, patients: Any, bases: Any, **_: Any) -> bool:
    everywhere = compartments._at(unchecked, [*facts.primary, *facts.secondary], bases)
    return any(isinstance(who, Local) and who.id in patients for who in everywhere)


def secondary_never(unchecked: Any, facts: Any, patients: Any, bases: Any, **rest: Any) -> bool:
    primary = compartments._at(unchecked, facts.primary, bases)
    return bool(primary) and _about(unchecked, facts, patients, bases, **rest)


def anybody_secondary(unchecked: Any, facts: Any, patients: Any, bases: Any, **rest: Any) -> bool:
    if compartments._at(unchecked, facts.primary, bases):
        return _about(unchecked, facts, patients, bases, **rest)
    return True


def class_is(cls: str, answer: bool) -> Callable[..., bool]:
    def member(unchecked: Any, *rest: Any, **named: Any) -> bool:
        if compartments.r4.memberships()[unchecked.type].cls == cls:
            return answer
        return _member(unchecked, *rest, **named)

    return member


def case_folded(unchecked: Any, patients: Any, *rest: Any, **named: Any) -> bool:
    if unchecked.type == "Patient":
        return unchecked.id.lower() in {one.lower() for one in patients}
    return _member(unchecked, patients, *rest, **named)


def some_target(about: Any, *rest: Any) -> bool:
    return any(_derives((one,), *rest) for one in about)


def contradiction_overlooked(value: Any, bases: Any) -> Any:
    if isinstance(value, dict):
        value = {name: one for name, one in value.items() if name != "type"}
    return _classify(value, bases)


def identifier_is_nobody(value: Any, bases: Any) -> Any:
    found = _classify(value, bases)
    is_vague = isinstance(value, dict) and "reference" not in value
    return Other("Device") if found is OPAQUE and is_vague else found


def any_host(self: Any, url: str) -> str | None:
    return "/".join(url.split("/")[-2:]) if "://" in url else _relative(self, url)


def by_prefix(self: Any, url: str) -> str | None:
    start = f"{self.scheme}://{self.host}:{self.port}/{'/'.join(self.segments)}"
    return url[len(start) :].partition("/")[2] if url.startswith(start) else None


def system_overlooked(value: Any, text: str) -> bool:
    return _matches_token(value, text.rpartition("|")[2])


def codes_folded(value: Any, text: str) -> bool:
    codes = [(system, code.lower()) for system, code in constraints._tokens(value)]
    system, bar, code = text.rpartition("|")
    return any(code.lower() in ("", one[1]) and (not bar or one[0] == system) for one in codes)


def filters_overlooked(grant: Any, *rest: Any) -> bool:
    return _admits(dataclasses.replace(grant, filters=()), *rest)


def _instance_overlooked(grant: Any, *rest: Any) -> bool:
    return _admits(dataclasses.replace(grant, instance=""), *rest)


def first_filter_only(resource: Any, filters: Any, bases: Any) -> bool:
    return _matches(resource, filters[:1], bases)


_matches = constraints.matches

# --- Searching -------------------------------------------------------------------------------------------------------

_confine = narrowing.confine
_narrow = narrowing._narrow
_entry = searching.entry_of
_total = searching.Sifter.total
_gather = searching.Sifter.gather
_sift = searching.Sifter.check
_decide_read = decisions.read_instance
_not_found = reading.not_found


def said_twice(resource_type: str, name: str, query: Any, reach: Any) -> Any:
    found = _confine(resource_type, name, query, reach)
    return found if found is None else (*found, *(one for one in query.criteria if one.name == name))


def upstream_total(self: Any, gathered: Any) -> Any:
    return gathered.upstream_total


def no_more_than_wanted(self: Any, start: Any, wanted: int) -> Any:
    """Ask one page and no more, and pass its next link on."""
    gathered = searching.Gathered()
    page = self._exchange.page(start.request, kind=self.bundle_type)
    gathered.upstream_total = page.total
    gathered.following = self._take(page, start, gathered, wanted) or (
        searching.Position(page.next) if page.next else None
    )
    return gathered


def includes_unchecked(self: Any, unchecked: Any, grants: Any, letters: str, neighbours: Any) -> Any:
    if letters == "s" and grants == self._plan.via:
        return _sift(self, unchecked, grants, letters, neighbours)
    grant = Grant("system", "*", "cruds", EVERYONE, operator_types=frozenset({unchecked.type}))
    return compartments.check(unchecked, (grant,), "r", self._bases)


def told_apart(officer: str = "") -> Any:
    refusal = _not_found(officer)
    refusal.public = officer
    return refusal


def told_the_partner(officer: str = "") -> Any:
    refusal = _not_found(officer)
    refusal.refusal = Refusal("read.absent_or_outside", officer)
    return refusal


def gone_for_all(*given: Any, **named: Any) -> Any:
    plan = _decide_read(*given, **named)
    return dataclasses.replace(plan, is_full=True) if isinstance(plan, plans.ReadPlan) else plan


def unescaped(segments: Any, pairs: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return "/".join(segments) + (f"?{query}" if query else "")


def lenient(body: bytes) -> Any:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise exchange.MalformedJson(str(error)) from None
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise exchange.MalformedJson("not a resource")
    return tree


def whatever_comes(self: Any, request: Any, wanted: Any) -> Any:
    answer = self._send(request)
    if answer.status in (404, 410):
        return exchange.Found(None, is_deleted=answer.status == 410)
    return exchange.Found(exchange.find_unchecked(self._parse(answer.body)))


def followed_redirects() -> Any:
    handle = _new_handle()
    handle.setopt(pycurl.FOLLOWLOCATION, 1)
    return handle


_new_handle = upstream.new_handle
_own_headers = upstream._headers


def without_end(self: Any, part: bytes) -> None:
    self.parts.append(part)


def any_entry(found: Any, bases: Any) -> Any:
    without = {name: one for name, one in found.items() if name != "fullUrl"}
    return _entry(without, bases)


def any_mode(found: Any, bases: Any) -> Any:
    unchecked, _ = _entry(found, bases)
    return unchecked, "match"


def links_kept(checked: Any, wanted: Any, bases: Any) -> Any:
    if checked.type == "Bundle":
        shaping.localise(checked.resource, bases)
        return shaping.written_by_us(checked.resource)
    return _shape(checked, wanted, bases)


_shape = shaping.shape
_open = cursors.open_cursor


def _continuing(sealed: Any, given: Any) -> Any:
    types = frozenset(sealed.types)
    return cursors.grants_for(sealed.interaction, given, resource_type=sealed.type, resource_id=sealed.id, types=types)


def other_holder(text: str, given: Any, *, access: Any, now: Any) -> Any:
    sealed = cursors._unseal(text)
    via = _continuing(sealed, given)
    if sealed.expires_at <= now.timestamp():
        raise cursors.no_page("page.expired", "expired")
    if isinstance(via, plans.Deny):
        return via
    if sealed.patients != cursors.patients_digest(via):
        raise cursors.no_page("page.authority", "other patients")
    return cursors._plan(sealed, decisions.resume_link(sealed.target), via)


def cursor_is_authority(text: str, given: Any, *, access: Any, now: Any) -> Any:
    """The letter is not asked for again: the cursor is taken for permission."""
    sealed = cursors._unseal(text)
    full = Grant("user", "*", "rs", EVERYONE)
    if (sealed.tenant, sealed.client_id, sealed.subject) != (access.tenant, access.client_id, access.subject):
        raise cursors.no_page("page.foreign", "foreign")
    if sealed.expires_at <= now.timestamp():
        raise cursors.no_page("page.expired", "expired")
    return cursors._plan(sealed, decisions.resume_link(sealed.target), (full,))


def any_reference(text: str, bases: Any) -> Local | None:
    parts = text.partition("?")[0].partition("/_history")[0].split("/")
    return Local(parts[-2], parts[-1]) if len(parts) > 1 else None


def not_narrowed(resource_type: str, query: Any, reach: Any, **_: Any) -> Any:
    return query.criteria, ()


def any_link(url: str, bases: Any) -> Any:
    return decisions.resume_link("/".join(url.split("/")[4:]))


def endless_cursor(text: str, given: Any, *, access: Any, now: Any) -> Any:
    return _open(text, given, access=access, now=now - timedelta(days=1))
