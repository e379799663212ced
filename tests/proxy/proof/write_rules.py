"""The rules about writing, each with a way to take it away. Asked of T3 and T9 first."""

from dataclasses import replace
from typing import Any

from fhirproxy import resolving, transacting, validating, writing
from fhirproxy.policy import bundles, compartments, decisions, judging, writes
from fhirproxy.policy.authority import EVERYONE, Grant
from fhirproxy.policy.judging import Before
from fhirproxy.searching import Sifter
from smartauth.policy import r4
from tests.proxy.proof import without
from tests.proxy.proof.rule import Rule

WRITING = ("T3", "T9")
_permitted = writes.permitted
_check = judging.check
_matches = resolving._matches
_known_with = transacting.known_with


def _waved_through(unchecked: Any, letter: str, bases: Any) -> Any:
    grant = Grant("system", "*", "cruds", EVERYONE, operator_types=frozenset({unchecked.type}))
    return compartments.check(unchecked, (grant,), letter, bases)


def unjudged_before(plan: Any, unchecked: Any, version: str, bases: Any, known: Any, *, is_deleted: bool) -> Any:
    if unchecked is None:
        return judging.judge_before(plan, unchecked, version, bases, known, is_deleted=is_deleted)
    return Before(_waved_through(unchecked, plan.letter, bases), version)


def unjudged_after(plan: Any, before: Any, drafted: Any, bases: Any, known: Any) -> Any:
    return _waved_through(drafted.unchecked, plan.letter, bases)


def judged_by_any_letter(unchecked: Any, grants: Any, letters: str, *rest: Any) -> Any:
    return _check(unchecked, grants, "r" if letters == "r" else "cruds", *rest)


def directories_written(verb: str, resource_type: str, authority: Any, limits: Any) -> Any:
    if r4.memberships()[resource_type].cls == "shared":
        return authority.having(writes.LETTERS[verb], resource_type) or _permitted(
            verb, resource_type, authority, limits
        )
    return _permitted(verb, resource_type, authority, limits)


def patients_made(verb: str, resource_type: str, authority: Any, limits: Any) -> Any:
    if resource_type == "Patient":
        return authority.having(writes.LETTERS[verb], resource_type) or _permitted(
            verb, resource_type, authority, limits
        )
    return _permitted(verb, resource_type, authority, limits)


class _Credulous(Sifter):
    def check(self, unchecked: Any, grants: Any, letters: str, neighbours: Any) -> Any:
        return _waved_through(unchecked, "s", self._bases)


def from_any_version(plan: Any, *rest: Any, **named: Any) -> Any:
    return judging.judge_before(replace(plan, version=""), *rest, **named)


def shared_devices_written(unchecked: Any, plan: Any, bases: Any, known: Any) -> Any:
    return judging.check(unchecked, plan.via, plan.letter, bases, known)


def first_of_several(*given: Any) -> Any:
    return _matches(*given)[:1]


def nothing_gone(known: Any, drafts: Any, names: Any, gone: Any) -> Any:
    return _known_with(known, drafts, names, frozenset())


def any_name(value: Any, *_: Any) -> Any:
    return value if isinstance(value, str) else ""


def written_at_once(plan: Any, checked: Any) -> Any:
    verb = {"update": "update", "delete": "delete"}.get(plan.mode, "create")
    return decisions.write_request(verb, checked, "")


WRITE_RULES: tuple[Rule, ...] = (
    Rule("4.2", "what is changed was inside before", (writing, "judge_before", unjudged_before), WRITING),
    Rule("4.1", "what is written is inside afterwards", (writing, "judge_after", unjudged_after), WRITING),
    Rule("4.6", "each entry of a transaction is judged", (transacting, "judge_after", unjudged_after), WRITING),
    Rule("2.5", "a write needs its own letter, asked for and judged by", (writes, "LETTERS",
    dict.fromkeys(writes.LETTERS, "cruds")), WRITING, (judging, "check", judged_by_any_letter)),
    Rule("4.1", "directories are not for the confined to write", (writes, "permitted", directories_written), WRITING),
    Rule("4.1", "the confined do not make patients", (writes, "permitted", patients_made), WRITING),
    Rule("4.3", "what is written points at nothing outside", (judging, "_require_members",
    without.always(None)), WRITING),
    Rule("4.3", "a subject is a plain reference", (judging, "_require_plain_subject", without.always(None)), WRITING),
    Rule("4.3", "links between patients stay", (judging, "_require_same_links", without.always(None)), WRITING),
    Rule("4.4", "criteria find what is inside", (resolving, "Sifter", _Credulous), WRITING),
    Rule("2.4", "what is for everybody to read is not for the confined", (judging, "check_written",
    shared_devices_written), WRITING),
    Rule("4.2", "a write is of the version that was seen", (writing, "judge_before", from_any_version), WRITING),
    Rule("4.4", "of several matches none is written", (resolving, "_matches", first_of_several), WRITING),
    Rule("4.6", "a create does not go by another's address", (bundles, "_full_url", any_name), WRITING),
    Rule("4.6", "nothing hangs on what the same transaction deletes", (transacting, "known_with", nothing_gone),
         WRITING),
    Rule("2.6", "a validation writes nothing", (validating, "validation_request", written_at_once), WRITING),
    Rule("4.5", "labels cannot be changed", (judging, "_keep_labels", without.always(None)), WRITING,
         (judging, "_require_no_labels", without.always(None))),
)  # fmt: skip
