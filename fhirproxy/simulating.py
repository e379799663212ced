"""The simulator as the command and the admin page use it: names in, the steps of a decision out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clients.tenants import find_tenant
from fhirproxy.policy.references import is_id, make_bases
from fhirproxy.simulation import Setting, simulate
from fhirproxy.statement import find_supported_parameters
from fhirproxy.tenancy import find_upstream
from smartauth import endpoints
from smartauth.conf import config
from smartauth.errors import InvalidToken
from smartauth.tokens.hypothetical import Unimaginable, hypothetical_access


@dataclass(frozen=True, slots=True)
class Question:
    """What is simulated. `reach`: patients that facts read upstream would give, by logical id."""

    client_id: str
    tenant: str
    line: str
    username: str = ""
    patient: str = ""
    scope: str = ""
    reach: tuple[str, ...] = ()
    body: bytes = b""


def answer(question: Question, *, now: datetime) -> Mapping[str, Any]:
    """Return what the proxy would decide. Nothing is asked upstream and nothing stored.

    Raises Unimaginable, with one sentence, where there can be no such token or the proxy would not take it.
    """
    for one in question.reach:
        if not is_id(one):
            raise Unimaginable(f"{one!r} is not a logical id.")
    try:
        access = hypothetical_access(
            client_id=question.client_id,
            tenant=question.tenant,
            username=question.username,
            patient=question.patient,
            scope=question.scope,
            now=now,
            sandbox=config().is_sandbox,
        )
    except InvalidToken as refused:
        raise Unimaginable(f"401 for such a token: {refused.refusal.reason} ({refused.refusal.rule}).") from None
    tenant, info = find_tenant(question.tenant), find_upstream(question.tenant)
    if tenant is None:
        raise Unimaginable(f"The tenant {question.tenant!r} is not active.")
    bases = info.bases if info else make_bases(endpoints.fhir_base(tenant.slug), ())
    supported = find_supported_parameters(info) if info else None
    setting = Setting(tenant.policy, bases, frozenset(question.reach), supported)
    told = simulate(access, question.line, setting, body=question.body)
    return told | {"asked": question.scope or "all the client may have"}
