"""What the consent page shows: everything the template says, in its own words."""

from itertools import groupby
from typing import Any

from django.http import HttpRequest

from smartauth.conf import config
from smartauth.context import context_of
from smartauth.people.rights import is_clinician
from smartauth.policy.consent import permissions
from smartauth.policy.redirects import shown_target
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.policy.wording import words_for
from smartauth.records import EncounterRecord, PatientRecord, RecordsUnavailable, records
from smartauth.views.continuing import Open


def facts_for(
    request: HttpRequest,
    opened: Open,
    *,
    asked: tuple[Scope, ...],
    patient: PatientRecord | None,
    visit: EncounterRecord | None,
) -> dict[str, Any]:
    """Return everything the template shows. Raises RecordsUnavailable."""
    names = {scope.name for scope in asked if isinstance(scope, NamedScope)}
    ticks = [(one, words_for(one.scope)) for one in permissions(asked)]
    ticks.sort(key=lambda tick: (tick[0].scope.level, tick[1].verbs))
    return {
        "opened": opened,
        "patient": patient,
        "visit": visit,
        "picks_visit": opened.pending.encounter is not None,
        "is_own_record": patient is not None and opened.person.fhir_user == f"Patient/{patient.id}",
        "user_name": _name(request, opened),
        "groups": [
            (level, verbs, list(group))
            for (level, verbs), group in groupby(ticks, key=lambda tick: (tick[0].scope.level, tick[1].verbs))
        ],
        "has_wildcard": any(one.is_all_types for one, _ in ticks),
        "tells_identity": "openid" in names,
        "tells_record": bool({"fhirUser", "profile"} & names),
        "operator_rights": [str(one) for one in asked if isinstance(one, NamedScope) and one.kind == "extension"],
        "stays_connected": "offline_access" in names,
        "stays_online": "online_access" in names,
        "stay_days": config().refresh_token_lifetime.days,
        "goes_to": shown_target(opened.pending.redirect_uri),
        "can_choose_again": patient is not None
        and not (opened.pending.launch and opened.pending.launch.patient)
        and (is_clinician(opened.person) or bool(opened.person.related_patients)),
    }


def _name(request: HttpRequest, opened: Open) -> str:
    """Return what the user is called in the records, or else here: a launch about no record does without them."""
    try:
        name = records().find_user_name(opened.person, context=context_of(request), now=opened.now)
    except RecordsUnavailable:
        name = ""
    return name or request.user.get_username()
