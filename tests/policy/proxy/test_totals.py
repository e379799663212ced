"""When the upstream's total may be told: only where narrowing alone decides what is visible."""

import pytest

from fhirproxy.policy.decisions import decide
from fhirproxy.policy.membership import MembershipRules
from fhirproxy.policy.plans import Limits, SearchPlan
from tests.policy.proxy.building import authority_for, parsed

TRUSTING = [
    # scopes, request, whether the upstream's total is trusted
    ("patient/*.rs", "GET /Observation?code=x", True),
    ("patient/Observation.rs patient/*.rs", "GET /Observation", True),
    ("patient/*.rs", "GET /Encounter", True),
    ("patient/Observation.rs?category=laboratory", "GET /Observation", False),
    ("patient/*.rs patient/Observation.rs?category=laboratory", "GET /Observation", False),
    ("patient/*.rs", "GET /Patient", False),
    ("patient/*.rs", "GET /Account", False),
    ("patient/*.rs", "GET /Appointment", False),
    ("patient/*.rs", "GET /Person", False),
    ("patient/*.rs", "GET /Medication", False),
    ("patient/*.rs", "GET /Device", False),
    ("patient/*.rs", "GET /Provenance?patient=ana", False),
]


def plan_of(scope: str, line: str, *, trust: bool = True, rules: MembershipRules | None = None) -> SearchPlan:
    authority = authority_for(scope, "ana", rules=rules or MembershipRules())
    plan = decide(parsed(line), authority, Limits(trust_totals=trust))
    assert isinstance(plan, SearchPlan)
    return plan


@pytest.mark.parametrize(("scope", "line", "trusted"), TRUSTING)
def test_an_exact_search_is_trusted_where_the_tenant_says_so(scope: str, line: str, trusted: bool) -> None:
    assert plan_of(scope, line).trusts_total is trusted
    assert not plan_of(scope, line, trust=False).trusts_total


def test_a_formal_search_that_is_not_narrowed_by_us_is_counted_by_us() -> None:
    formal = MembershipRules(is_formal=True)
    assert not plan_of("patient/*.rs", "GET /Observation?performer=Patient/ana", rules=formal).trusts_total
    assert plan_of("patient/*.rs", "GET /Observation", rules=formal).trusts_total


def test_an_accurate_total_is_asked_for_only_where_it_is_trusted() -> None:
    asked = "GET /Observation?_total=accurate"
    for trust in (True, False):
        request = plan_of("patient/*.rs", asked, trust=trust).request
        assert request is not None
        assert ("_total=accurate" in request.target) is trust
