"""What the consent page shows: everything the template says, in its own words."""

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.http import HttpRequest

from smartauth import tokens
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.digests import digest
from smartauth.people.rights import is_clinician
from smartauth.policy import granting
from smartauth.policy.consent import is_sensitive, permissions
from smartauth.policy.redirects import shown_target
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.policy.unasked import as_text
from smartauth.policy.wording import Words, words_for
from smartauth.records import EncounterRecord, PatientRecord, RecordsUnavailable, records
from smartauth.views import launched
from smartauth.views.consent_answers import lengths, remember_days
from smartauth.views.continuing import Open

# For whom and about whom a form is, and what it offers.
PAGE = re.compile(r"(?P<page>[0-9a-f-]{36})(:[0-9a-f]{16})?")


def page_name(opened: Open, asked: tuple[Scope, ...]) -> str:
    """Return what a form carries so that it decides about what it showed and nothing else.

    What an app may ask for, and what of it counts as sensitive and so begins without a tick, may change while somebody
    reads.
    """
    offer = "\n".join([as_text(asked), *opened.tenant.policy.sensitive_categories])
    return f"{opened.pending.page}:{digest(offer)[:16]}"


def facts_for(
    request: HttpRequest,
    opened: Open,
    *,
    asked: tuple[Scope, ...],
    patient: PatientRecord | None,
    visit: EncounterRecord | None,
) -> dict[str, Any]:
    """Return what the template shows besides `opened`. Raises RecordsUnavailable."""
    names = {scope.name for scope in asked if isinstance(scope, NamedScope)}
    ticks = _ticks(asked, opened.tenant.policy.sensitive_categories)
    return {
        "page": page_name(opened, asked),
        "patient": patient,
        "visit": visit,
        "picks_visit": opened.picks_visit and opened.pending.encounter is not None,
        "tells_more": launched.tells_more(opened) and granting.tells_context(asked),
        "is_own_record": patient is not None and opened.person.fhir_user == f"Patient/{patient.id}",
        "user_name": _name(request, opened),
        "groups": [Group(tuple(group)) for _, group in groupby(ticks, key=Tick.group)],
        "tells_patient": patient is not None and granting.tells_context(asked),
        "tells_identity": "openid" in names,
        "tells_record": bool({"fhirUser", "profile"} & names),
        "operator_rights": [str(one) for one in asked if isinstance(one, NamedScope) and one.kind == "extension"],
        "stays_connected": "offline_access" in names,
        "stays_online": "online_access" in names,
        "stay_days": (opened.client.lifetimes.refresh_token or config().refresh_token_lifetime).days,
        "lengths": lengths(opened),
        "allowed_before": tokens.find_earlier(opened.pending, opened.now),
        "remember_days": remember_days(opened),
        "goes_to": shown_target(opened.pending.redirect_uri),
        "can_choose_again": patient is not None
        and not (opened.pending.launch and opened.pending.launch.patient)
        and (is_clinician(opened.person) or bool(opened.person.related_patients)),
    }


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick with its words. A sensitive one starts empty."""

    value: str
    level: str
    words: Words
    is_all_types: bool
    is_sensitive: bool

    def group(self) -> tuple[bool, str, str]:
        """Return what ticks under one heading have in common."""
        return self.is_sensitive, self.level, self.words.verbs


@dataclass(frozen=True, slots=True)
class Group:
    """Ticks under one heading."""

    ticks: tuple[Tick, ...]

    @property
    def has_wildcard(self) -> bool:
        return any(tick.is_all_types for tick in self.ticks)


def _ticks(asked: tuple[Scope, ...], sensitive: tuple[str, ...]) -> list[Tick]:
    found = [
        Tick(one.value, one.scope.level, words_for(one.scope), one.is_all_types, is_sensitive(one.scope, sensitive))
        for one in permissions(asked, sensitive)
    ]
    return sorted(found, key=Tick.group)


def _name(request: HttpRequest, opened: Open) -> str:
    """Return what the user is called in the records, or else here: a launch about no record does without them."""
    try:
        name = records().find_user_name(opened.person, context=context_of(request), now=opened.now)
    except RecordsUnavailable:
        name = ""
    return name or request.user.get_username()
