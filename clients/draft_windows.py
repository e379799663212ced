"""One step of a draft open in two windows: what each changed is kept, and where both changed the same somebody chooses.

A form says how the fields were that it was filled in from; so what its window changed is told apart from what another
window saved meanwhile.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction

from clients import drafts
from clients.acting import NotPossible
from clients.app_kinds import KINDS
from clients.findings import STEPS, Finding
from clients.models import Draft

LONGEST = 10_000  # characters of what a form says about its fields
EMPTY = ("", [], {}, None, False)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a form: `findings` in the draft now; `theirs`, the fields that another window changed; and the
    `state` of the form's fields from now on, theirs as before, because that is what the form still shows."""

    findings: tuple[Finding, ...]
    theirs: tuple[str, ...]
    state: str


class Clash(NotPossible):
    """Two windows gave a field two values. `members` are those fields, `stored` all that is kept now."""

    def __init__(self, members: tuple[str, ...], stored: Mapping[str, Any]) -> None:
        super().__init__(
            "draft.two_windows",
            f"another window changed {', '.join(members)} meanwhile",
            fix="Press Next to see both, and choose.",
        )
        self.members = members
        self.stored = stored


def state_of(kind: str, answers: Mapping[str, Any], step: str) -> str:
    """Return what the form of a step carries to say how its fields were."""
    members = (name for name in STEPS[step] if name not in KINDS[kind].hidden)
    return msgspec.json.encode({name: _mark(answers.get(name)) for name in members}).decode()


def save_from_form(draft: Draft, typed: Mapping[str, Any], state: str) -> Saved:
    """Keep what a form changed, beside what another window did.

    state: of the form's fields when it was shown; what is none leaves nothing to compare, and the form counts.
    Raises Clash, keeping nothing, and NotPossible.
    """
    was = _read(state)
    with transaction.atomic():
        locked = Draft.objects.select_for_update(of=("self",)).filter(pk=draft.pk).first()
        stored = locked.answers if locked is not None else {}
        changed = [name for name in typed if name in was and _mark(stored.get(name)) != was[name]]
        other = [name for name in changed if _mark(typed[name]) != _mark(stored.get(name))]
        clashing = tuple(name for name in other if _mark(typed[name]) != was[name])
        if clashing:
            raise Clash(clashing, stored)
        kept = {name: value for name, value in typed.items() if name not in other}
        found = drafts.save_answers(draft, kept)
    now = {name: mark if name in other else _mark(draft.answers.get(name)) for name, mark in was.items()}
    return Saved(found, tuple(other), msgspec.json.encode(now).decode())


def _mark(value: Any) -> str:
    if value in EMPTY:
        return ""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


def _read(state: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(state[:LONGEST], type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        return {}
