"""What the proxy would decide about a request: parsed, granted and decided by its own functions, and nothing sent.

What only the upstream knows (members of Groups, relatives, panels) is not asked for: whoever simulates may say it.
"""

from dataclasses import dataclass, replace
from typing import Any

from clients.tenants import TenantPolicy
from fhirproxy.influences import influences
from fhirproxy.policy.authority import Authority, Loaded, is_panel_bound, user_of
from fhirproxy.policy.decisions import decide
from fhirproxy.policy.describing import describe_grants, describe_interaction, describe_plan
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import Deny
from fhirproxy.policy.references import Bases
from fhirproxy.policy.requests import Capabilities, Interaction, Page, parse_request
from fhirproxy.policy.supported import Supported, asked_by, deny_unsupported
from fhirproxy.policy.targets import parse_target
from fhirproxy.tenant_rules import authority_under, extras_under, limits_under
from smartauth.policy.access import Access

Tree = dict[str, Any]
JSON = "application/fhir+json"
STATEMENT = "whether the FHIR server has these search parameters"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a request is simulated. `reach`: the patients that facts read upstream would give.

    `supported`: the search parameters the upstream has. None: it has not been asked lately, and is not asked here.
    """

    policy: TenantPolicy
    bases: Bases
    reach: frozenset[str] = frozenset()
    supported: Supported | None = None


def simulate(access: Access, line: str, setting: Setting, *, body: bytes = b"") -> Tree:
    """Return the steps of the decision about a request line, and what each scope contributes to it.

    line: `GET Observation?code=718-7`, its path below the FHIR base.  Members: request, token, parse, grants, decision,
    switches, facts, and `without`: for each scope the decision if the token did not have it, where that differs.
    """
    told: Tree = {"request": line, "token": _token(access), "parse": None, "grants": [], "switches": []}
    authority = _authority(access, setting)
    told["grants"] = describe_grants(authority)
    told["facts"] = _facts(access, setting)
    try:
        wanted = _parse(line, setting, body)
    except FhirRefusal as refused:
        return told | {"decision": _refusal(refused), "without": []}
    told["parse"] = describe_interaction(wanted, values=True)
    decision, plan = _decide(wanted, authority, setting)
    if setting.supported is None and asked_by(plan):
        told["facts"].append(STATEMENT)
    told["decision"] = decision
    told["switches"] = list(influences(setting.policy, wanted, plan, authority))
    told["without"] = _without_each_scope(access, wanted, setting, decision)
    return told


def _parse(line: str, setting: Setting, body: bytes) -> Interaction:
    bases = setting.bases
    method, _, path = line.strip().partition(" ")
    rest = bases.relative(path.strip()) if "://" in path else path.strip().removeprefix("/")
    target = parse_target(f"/{path.strip() if rest is None else rest}", prefix="")
    return parse_request(
        method, target, Headers(content_type=JSON if body else ""), body, bases, extras_under(setting.policy)
    )


def _decide(wanted: Interaction, authority: Authority, setting: Setting) -> tuple[Tree, object]:
    if isinstance(wanted, Capabilities):
        return {"allowed": True, "rule": "public"}, None
    if isinstance(wanted, Page):
        return {"allowed": None, "rule": "page", "reason": "a page link is opened by its holder only"}, None
    try:
        plan: object = decide(wanted, authority, limits_under(setting.policy))
    except FhirRefusal as refused:
        return _refusal(refused), None
    if setting.supported is not None:
        plan = deny_unsupported(asked_by(plan), setting.supported, extras_under(setting.policy)) or plan
    return {"allowed": not isinstance(plan, Deny), **describe_plan(plan, values=True)}, plan


def _without_each_scope(access: Access, wanted: Interaction, setting: Setting, decision: Tree) -> list[Tree]:
    differences = []
    for scope in access.scopes:
        fewer = replace(access, scopes=tuple(one for one in access.scopes if one != scope))
        without, _ = _decide(wanted, _authority(fewer, setting), setting)
        if without != decision:
            differences.append({"scope": str(scope), "decision": without})
    return differences


def _authority(access: Access, setting: Setting) -> Authority:
    user = user_of(access, setting.bases)
    named = frozenset(setting.policy.panels.get(str(user), ())) if user else frozenset()
    loaded = Loaded(group_members=setting.reach, related_patients=setting.reach, panel=setting.reach | named)
    return authority_under(setting.policy, access, setting.bases, loaded)


def _facts(access: Access, setting: Setting) -> list[str]:
    """Return what the upstream would be asked before there are grants, and is not asked here."""
    user = user_of(access, setting.bases)
    found = [f"members of Group/{group}" for group in sorted(access.restrictions.groups or ())]
    if user is not None and user.type == "RelatedPerson":
        found.append(f"the patient of {user}")
    if is_panel_bound(access, user, setting.policy.practitioner_access) and setting.policy.panel_by:
        found.append(f"the panel of {user} by {' and '.join(setting.policy.panel_by)}")
    return found


def _token(access: Access) -> Tree:
    return {
        "tenant": access.tenant,
        "client": access.client_id,
        "user": access.subject if access.user is not None else None,
        "fhirUser": access.fhir_user,
        "patient": access.patient,
        "related": sorted(access.related_patients),
        "scopes": [*map(str, access.scopes), *sorted(access.named_scopes)],
    }


def _refusal(refused: FhirRefusal) -> Tree:
    found = refused.refusal
    said: Tree = {"allowed": False, "rule": found.rule, "reason": found.reason, "status": refused.status}
    return said | {name: value for name, value in (("seen", found.seen), ("fix", found.fix)) if value}
