"""Discovery follows what is switched on: each setting it depends on is switched, and every document is looked at.

SMART 2.2 conformance; RFC 8414 §2 and §3; RFC 9207 §3; SMART App Launch 1.0 conformance.
"""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from clients.models import Brand, Tenant
from clients.tenants import TenantInfo
from smartauth.conf import Config
from smartauth.policy import advertising
from tests.conftest import Configure
from tests.endpoints.brands import publish

FHIR = "/fhir/sandbox/r4"
PATHS = {
    "smart": f"{FHIR}/.well-known/smart-configuration",
    "root": "/.well-known/smart-configuration",
    "openid": "/.well-known/openid-configuration",
    "oauth": "/.well-known/oauth-authorization-server",
    "security": f"{FHIR}/metadata",
}
ALL = frozenset(PATHS)
OPENID = frozenset({"openid", "oauth"})
DISCOVERY = OPENID | {"smart", "root"}
SIGNING = tuple(
    f"{name}_endpoint_auth_signing_alg_values_supported" for name in ("token", "introspection", "revocation")
)
METHODS = tuple(f"{name}_endpoint_auth_methods_supported" for name in ("token", "introspection", "revocation"))

BRANDS = ("user_access_brand_bundle", "user_access_brand_identifier")

Documents = dict[str, dict[str, Any]]

# setting                members that change, by document                       from            to
SWITCHES: list[tuple[str, dict[str, frozenset[str]], Any, Any]] = [
    ("dpop_algorithms", {"dpop_signing_alg_values_supported": DISCOVERY}, ("ES256", "RS256"), ("ES256",)),
    ("dpop_algorithms", {"dpop_signing_alg_values_supported": DISCOVERY}, ("ES256",), ()),
    ("registration", {"registration_endpoint": DISCOVERY, "register": frozenset({"security"})}, False, True),
    (
        "app_state",
        {"associated_endpoints": frozenset({"smart", "root"}), "scopes_supported": DISCOVERY},
        False,
        True,
    ),
    (
        "callback_iss",
        {"authorization_response_iss_parameter_supported": OPENID},
        False,
        True,
    ),
    (
        "assertion_algorithms",
        {SIGNING[0]: DISCOVERY, SIGNING[1]: OPENID, SIGNING[2]: OPENID},
        ("RS384", "ES384", "RS256"),
        ("RS384", "ES384"),
    ),
    (
        "assertion_algorithms",
        {
            SIGNING[0]: DISCOVERY,
            SIGNING[1]: OPENID,
            SIGNING[2]: OPENID,
            METHODS[0]: DISCOVERY,
            METHODS[1]: OPENID,
            METHODS[2]: OPENID,
            "capabilities": frozenset({"smart", "root"}),
        },
        ("RS384", "ES384"),
        (),
    ),
]
# Which documents are there at all, or where their URLs are; each has a test of its own below.
WHOLE = {"mode", "base_url", "default_tenant"}
# Where the server keeps what, and with what it encrypts: switching these switches the server.
NOT_TRIED = {"var", "encryption_keys"}


def documents(client: Any) -> Documents:
    """Return every document by name, a missing one as no members; of /metadata what it says about security."""
    found: Documents = {}
    for name, path in PATHS.items():
        answer = client.get(path)
        assert answer.status_code in (200, 404), answer.content
        found[name] = answer.json() if answer.status_code == 200 else {}
    if found["security"]:
        security = found["security"]["rest"][0]["security"]
        (extension,) = security["extension"]
        found["security"] = {one["url"]: one["valueUri"] for one in extension["extension"]}
    return found


def changes(before: Documents, after: Documents) -> dict[str, frozenset[str]]:
    """Return which members changed, came or went, and in which documents."""
    changed: dict[str, set[str]] = {}
    for name in PATHS:
        for member in {*before[name], *after[name]}:
            if before[name].get(member) != after[name].get(member):
                changed.setdefault(member, set()).add(name)
    return {member: frozenset(names) for member, names in changed.items()}


@pytest.mark.requirement("DISC-17", "DISC-21", "DISC-27", "META-01", "META-02", "META-04")
@pytest.mark.parametrize(("setting", "expected", "one", "other"), SWITCHES)
def test_a_switch_changes_what_it_is_about_and_nothing_else(
    client: Any,
    tenant: TenantInfo,
    configure: Configure,
    setting: str,
    expected: dict[str, frozenset[str]],
    one: Any,
    other: Any,
) -> None:
    configure(**{setting: one})
    before = documents(client)
    configure(**{setting: other})
    after = documents(client)
    assert changes(before, after) == expected
    configure(**{setting: one})
    assert documents(client) == before


def test_without_algorithms_there_is_no_word_of_keys(client: Any, tenant: TenantInfo, configure: Configure) -> None:
    configure(assertion_algorithms=())
    told = documents(client)
    assert "private_key_jwt" not in str(told)
    assert "client-confidential-asymmetric" not in told["smart"]["capabilities"]


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case timedelta():
            return value + timedelta(seconds=1)
        case frozenset():
            return value | {"other.example"}
        case tuple():
            return (*value, "other")
        case None:
            return timedelta(days=1)
        case "jwt" | "buffered" | "before" | "optional":
            return {"jwt": "opaque", "buffered": "before", "before": "buffered", "optional": "required"}[value]
    raise AssertionError(f"switch {value!r} to something else here")


OTHERS = sorted({field.name for field in dataclasses.fields(Config)} - {s[0] for s in SWITCHES} - WHOLE - NOT_TRIED)


@pytest.mark.parametrize("setting", OTHERS)
def test_no_other_setting_changes_a_document(
    client: Any, tenant: TenantInfo, configure: Configure, setting: str
) -> None:
    before = documents(client)
    value = getattr(configure(), setting)
    configure(**{setting: () if setting == "trusted_proxies" else _another(value)})
    assert documents(client) == before, f"{setting} belongs among the switches above"


@pytest.mark.requirement("DISC-04", "DISC-11", "META-01", "META-07", "HDR-10")
def test_every_url_is_below_the_configured_base(client: Any, tenant: TenantInfo, configure: Configure) -> None:
    publish("sandbox")
    before = documents(client)
    configure(base_url="https://auth.example.org")
    after = documents(client)
    urls = {member for told in before.values() for member, value in told.items() if str(value).startswith("http://")}
    assert set(changes(before, after)) == urls
    for name, told in after.items():
        for member in urls & set(told):
            assert told[member].startswith("https://auth.example.org"), (name, member)
    assert "http://" not in str({name: [told.get(one) for one in urls] for name, told in after.items()})
    assert len({told["issuer"] for name, told in after.items() if name != "security"}) == 1


@pytest.mark.requirement("DISC-25", "META-01")
def test_root_documents_are_those_of_the_default_tenant_while_there_is_one(
    client: Any, tenant: TenantInfo, configure: Configure
) -> None:
    before = documents(client)
    configure(default_tenant=None)
    after = documents(client)
    assert (after["root"], after["openid"], after["oauth"]) == ({}, {}, {})
    assert (after["smart"], after["security"]) == (before["smart"], before["security"])


@pytest.mark.requirement("DISC-25")
def test_a_tenant_that_is_closed_has_no_documents(client: Any, tenant: TenantInfo) -> None:
    assert all(documents(client).values())
    Tenant.objects.update(is_active=False)
    assert not any(documents(client).values())
    Tenant.objects.update(is_active=True)
    assert all(documents(client).values())


@pytest.mark.requirement("META-01", "META-06", "META-07", "T-46")
def test_the_documents_agree_wherever_they_speak_of_the_same(client: Any, tenant: TenantInfo) -> None:
    publish("sandbox")
    told = documents(client)
    # A public client's way is no authentication method to SMART.
    differs = {"token_endpoint_auth_methods_supported", "capabilities", *BRANDS}
    for member in set(told["smart"]) - differs:
        assert told["openid"][member] == told["oauth"][member] == told["smart"][member], member
    assert told["root"] == told["smart"]
    pairs = {
        "authorize": "authorization_endpoint",
        "token": "token_endpoint",
        "introspect": "introspection_endpoint",
        "revoke": "revocation_endpoint",
        "manage": "management_endpoint",
        "register": "registration_endpoint",
    }
    assert {short: told["security"].get(short) for short in pairs} == {
        short: told["smart"].get(member) for short, member in pairs.items()
    }
    assert {"authorize", "token"} <= set(told["security"])
    assert set(told["security"]) <= set(pairs)


@pytest.mark.requirement("DISC-27")
def test_nothing_is_empty_and_nothing_is_null(client: Any, tenant: TenantInfo, configure: Configure) -> None:
    for algorithms in (("RS384", "ES384"), ()):
        configure(assertion_algorithms=algorithms)
        for name, told in documents(client).items():
            assert not [member for member, value in told.items() if value in (None, "", [], {})], name


CERTIFIED = {
    *("launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric"),
    *("client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-style"),
    *(
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "permission-offline",
        "permission-patient",
        "permission-user",
    ),
    *("permission-v1", "permission-v2"),
}
SETS = [
    {"launch-standalone", "client-public", "context-standalone-patient", "permission-patient"},
    {"launch-standalone", "client-confidential-symmetric", "permission-user", "permission-patient"},
    {"launch-ehr", "client-confidential-symmetric", "context-ehr-patient", "permission-patient"},
    {
        *("launch-ehr", "client-confidential-symmetric", "context-ehr-patient", "context-ehr-encounter"),
        *("permission-user", "permission-patient"),
    },
]
# SMART 2.2 conformance, "Capabilities"
KNOWN = CERTIFIED | {
    *("context-standalone-encounter", "permission-online", "smart-app-state"),
}


@pytest.mark.requirement("DISC-21", "DISC-22", "DISC-23", "DISC-24")
def test_capabilities_are_words_of_smart_and_make_whole_sets(client: Any, tenant: TenantInfo) -> None:
    listed = set(documents(client)["smart"]["capabilities"])
    assert listed <= KNOWN
    assert listed >= CERTIFIED
    assert all(one <= listed for one in SETS)


@pytest.mark.requirement("DISC-16", "DISC-20", "META-03")
def test_what_is_not_built_is_not_told(client: Any, tenant: TenantInfo) -> None:
    told = documents(client)
    absent = {"associated_endpoints", "smart_app_state_endpoint"}
    for document in told.values():
        assert absent.isdisjoint(document)
    assert "smart-app-state" not in told["smart"]["capabilities"]


@pytest.mark.requirement("DISC-20", "STATE-01")
def test_app_state_is_told_of_at_its_own_base_while_it_is_on(
    client: Any, tenant: TenantInfo, configure: Configure
) -> None:
    configure(app_state=True)
    told = documents(client)["smart"]
    base = "http://127.0.0.1:8000/fhir/sandbox/app-state"
    assert told["associated_endpoints"] == [{"url": base, "capabilities": ["smart-app-state"]}]
    state_scopes = {"patient/Basic.cuds", "user/Basic.cuds"}
    assert state_scopes <= set(told["scopes_supported"])
    # The FHIR base itself does not have it.
    assert "smart-app-state" not in told["capabilities"]
    assert client.get("/fhir/sandbox/app-state/metadata").status_code == 200
    configure(app_state=False)
    assert client.get("/fhir/sandbox/app-state/metadata").status_code == 404
    assert state_scopes.isdisjoint(documents(client)["smart"]["scopes_supported"])


@pytest.mark.requirement("DISC-19", "BRAND-01")
def test_a_brand_is_told_of_where_smart_looks_for_it_while_it_is_published(client: Any, tenant: TenantInfo) -> None:
    before = documents(client)
    assert not any("brand" in member for told in before.values() for member in told)
    brand = publish("sandbox")
    assert changes(before, documents(client)) == dict.fromkeys(BRANDS, frozenset({"smart", "root"}))
    Brand.objects.filter(pk=brand.pk).update(is_published=False)
    assert documents(client) == before


# US Core 6.1 and later, "SMART on FHIR obligations and capabilities": what a server lists that supports all of them.
US_CORE_GRANULAR = {
    "Condition": 3,
    "Observation": 6,
    "DocumentReference": 1,
}


@pytest.mark.requirement("DISC-13")
@pytest.mark.parametrize("level", ["patient", "user", "system"])
def test_scopes_are_those_of_us_core_at_every_level(client: Any, tenant: TenantInfo, level: str) -> None:
    listed = documents(client)["smart"]["scopes_supported"]
    assert len(listed) == len(set(listed))
    mine = {scope for scope in listed if scope.startswith(f"{level}/")}
    assert {f"{level}/{kind}.rs" for kind in (*advertising.US_CORE_TYPES, "*")} <= mine
    for kind, count in US_CORE_GRANULAR.items():
        assert len([scope for scope in mine if scope.startswith(f"{level}/{kind}.rs?category=http")]) == count
    named = {"openid", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"}
    assert named <= set(listed)


@pytest.mark.requirement("DISC-17")
def test_keys_come_with_the_algorithms_smart_asks_for(client: Any, tenant: TenantInfo) -> None:
    told = documents(client)["smart"]
    assert "client-confidential-asymmetric" in told["capabilities"]
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    assert {"RS384", "ES384"} <= set(told["token_endpoint_auth_signing_alg_values_supported"])
    assert told["scopes_supported"]


@pytest.mark.requirement("DISC-03")
def test_the_base_may_be_written_with_its_last_slash_and_a_doubled_one_leads_nowhere(
    client: Any, tenant: TenantInfo
) -> None:
    base = f"http://127.0.0.1:8000{FHIR}"
    for written in (base, f"{base}/"):
        joined = written.removesuffix("/") + "/.well-known/smart-configuration"
        assert client.get(joined.removeprefix("http://127.0.0.1:8000")).status_code == 200
    for path in (f"{FHIR}//.well-known/smart-configuration", f"/{FHIR}/.well-known/smart-configuration"):
        assert client.get(path).status_code in (400, 401, 404), path
        assert "issuer" not in client.get(path).content.decode()
    assert client.get(f"{FHIR}/.well-known/smart-configuration/").status_code in (400, 401, 404)
