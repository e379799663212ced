"""Upstreams: what may be one, how its secret is kept, what asking through it costs."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from clients.models import Tenant
from fhirproxy.models import Upstream
from fhirproxy.tenancy import UnusableUpstream, find_upstream, require_usable, set_upstream
from smartauth.marks.models import Mark
from smartauth.marks.poller import poller
from smartauth.people.models import User
from tests.proxy.conftest import Behind, Caller, Mint


def create(*words: str) -> Any:
    out = StringIO()
    call_command("create_tenant", *words, stdout=out)
    return json.loads(out.getvalue())


def test_create_tenant_stores_both_and_tells_every_worker(db: None, tmp_path: Path) -> None:
    bearer, policy = tmp_path / "bearer", tmp_path / "policy.json"
    bearer.write_text("s3cret-value\n")
    policy.write_text('{"max_count": 100}')
    made = create(
        *("--slug", "north", "--upstream", "https://ehr.example.org/fhir/", "--name", "North"),
        *("--upstream-bearer-file", str(bearer), "--policy", str(policy)),
    )
    assert made == {
        "slug": "north",
        "fhir_base": "http://127.0.0.1:8000/fhir/north/r4",
        "upstream": "https://ehr.example.org/fhir",
    }
    row = Upstream.objects.get()
    assert (row.tenant.name, row.tenant.policy) == ("North", {"max_count": 100})
    assert "s3cret" not in row.sealed_secret
    info = find_upstream("north")
    assert info is not None
    assert info.authorization == "Bearer s3cret-value"
    assert "s3cret" not in repr(info)
    assert Mark.objects.filter(tag="tenant:north").exists()


REFUSED = [
    (("--slug", "north", "--upstream", "ftp://ehr.example.org"), "http"),
    (("--slug", "north", "--upstream", "https://u:p@ehr.example.org"), "user information"),
    (("--slug", "north", "--upstream", "https://ehr.example.org/?a=b"), "query"),
    (("--slug", "north", "--upstream", "https://ehr.example.org/#a"), "fragment"),
    (("--slug", "north", "--upstream", "https://ehr.example.org/a//b"), "path"),
    (("--slug", "north", "--upstream", "http://127.0.0.1:8000"), "this server itself"),
    (("--slug", "north", "--upstream", "http://localhost:8000/fhir/sandbox/r4"), "this server itself"),
    (("--slug", "north", "--upstream", "http://[::1]:8000/x"), "this server itself"),
    (("--slug", "NORTH", "--upstream", "https://ehr.example.org"), "slug"),
    (("--slug", "token", "--upstream", "https://ehr.example.org"), "reserved"),
    (("--slug", "sandbox", "--upstream", "https://ehr.example.org"), "exists already"),
    (("--slug", "north", "--upstream", "https://ehr.example.org", "--policy", "/nowhere"), "cannot be read"),
    (("--slug", "north", "--upstream", "https://ehr.example.org", "--upstream-bearer-file", "/nowhere"), "cannot be"),
]


@pytest.mark.parametrize(("words", "because"), REFUSED)
def test_create_tenant_refuses_in_one_sentence_and_stores_nothing(
    tenant: Any, words: tuple[str, ...], because: str
) -> None:
    with pytest.raises(CommandError, match=because):
        create(*words)
    assert (Tenant.objects.count(), Upstream.objects.count()) == (1, 0)


def test_a_policy_that_loosens_a_rule_is_taken_and_said_to_do_so(db: None, tmp_path: Path) -> None:
    policy, out, err = tmp_path / "policy.json", StringIO(), StringIO()
    policy.write_text('{"compartment_mode": "formal", "max_count": 500, "shared_read": false}')
    words = ("--slug", "north", "--upstream", "https://ehr.example.org", "--policy", str(policy))
    call_command("create_tenant", *words, stdout=out, stderr=err)
    assert Tenant.objects.get().policy == {"compartment_mode": "formal", "shared_read": False}
    (line,) = err.getvalue().splitlines()
    assert line.startswith("The policy loosens a rule with compartment_mode: ")


def test_hosts_of_export_files_may_stand_beside_the_switches(db: None, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"max_count": 100, "file_hosts": ["https://files.example.org/", "https://b.example.org:8443"]}')
    create("--slug", "north", "--upstream", "https://ehr.example.org", "--policy", str(policy))
    row = Upstream.objects.get()
    assert row.file_hosts == ["https://files.example.org", "https://b.example.org:8443"]
    assert row.tenant.policy == {"max_count": 100}
    set_upstream(row.tenant, base_url="https://other.example.org")
    assert len(Upstream.objects.get().file_hosts) == 2


BAD_HOSTS = [
    ('["https://files.example.org/bucket"]', "without a path"),
    ('["ftp://files.example.org"]', "http"),
    ('["http://127.0.0.1:8000"]', "this server itself"),
    ('"https://files.example.org"', "not a policy"),
    ("[7]", "not a policy"),
    ("null", "not a policy"),
]


@pytest.mark.parametrize(("hosts", "because"), BAD_HOSTS)
def test_hosts_of_export_files_are_origins(db: None, tmp_path: Path, hosts: str, because: str) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(f'{{"file_hosts": {hosts}}}')
    with pytest.raises(CommandError, match=because):
        create("--slug", "north", "--upstream", "https://ehr.example.org", "--policy", str(policy))
    assert not Tenant.objects.exists()


def test_a_policy_with_an_unknown_switch_is_refused(db: None, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    for text in (
        '{"max_cuont": 1}',
        '{"panels": {"ana": []}}',
        '{"max_count": 1e400}',
        '{"compartment_mode": "any"}',
        "[]",
        "nonsense",
    ):
        policy.write_text(text)
        with pytest.raises(CommandError, match="not a policy"):
            create("--slug", "north", "--upstream", "https://ehr.example.org", "--policy", str(policy))


def test_loopback_upstreams_are_for_the_sandbox(configure: Any) -> None:
    assert require_usable("http://localhost:9000/r4") == "http://localhost:9000/r4"
    configure(mode="production", base_url="https://auth.example.org")
    for url in ("http://localhost:9000/r4", "http://127.9.9.9/r4", "http://[::1]/r4"):
        with pytest.raises(UnusableUpstream, match="loopback"):
            require_usable(url)


OWN = [
    ("https://auth.example.org/smart", "https://auth.example.org/smart/fhir/a/r4", False),
    ("https://auth.example.org/smart", "https://AUTH.example.org:443/smart", False),
    ("https://auth.example.org/smart", "https://auth.example.org/smarter", True),
    ("https://auth.example.org/smart", "https://auth.example.org:8443/smart", True),
    ("https://auth.example.org/smart", "https://ehr.example.org/smart", True),
]


@pytest.mark.parametrize(("own", "url", "usable"), OWN)
def test_our_own_base_is_no_upstream(configure: Any, own: str, url: str, usable: bool) -> None:
    configure(base_url=own)
    if usable:
        assert require_usable(url) == url
    else:
        with pytest.raises(UnusableUpstream, match="itself"):
            require_usable(url)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://ehr.example.org/"},
        {"base_url": "https://a@ehr.example.org"},
        {"credential": "bearer"},
        {"sealed_secret": "x"},
        {"timeout_seconds": 0},
        {"timeout_seconds": 61},
    ],
)
def test_the_database_refuses_what_no_upstream_is(tenant: Any, changes: dict[str, Any]) -> None:
    good = {"tenant_id": tenant.pk, "base_url": "https://ehr.example.org"}
    with pytest.raises(IntegrityError):
        Upstream.objects.create(**{**good, **changes})


def test_the_admin_takes_a_secret_and_never_shows_it(tenant: Any) -> None:
    User.objects.create_superuser("admin", password="correct horse")
    browser = Browser()
    browser.login(username="admin", password="correct horse")
    form = {
        "tenant": tenant.pk,
        "base_url": "https://ehr.example.org/fhir/",
        "aliases": "",
        "credential": "basic",
        "secret": "robot:s3cret-value",
        "timeout_seconds": 30,
    }
    refused = browser.post("/admin/fhirproxy/upstream/add/", {**form, "secret": ""})
    assert b"needs a secret" in refused.content
    assert browser.post("/admin/fhirproxy/upstream/add/", form).status_code == 302
    row = Upstream.objects.get()
    assert row.base_url == "https://ehr.example.org/fhir"
    info = find_upstream("sandbox")
    assert info is not None
    assert info.authorization == "Basic cm9ib3Q6czNjcmV0LXZhbHVl"
    assert Mark.objects.filter(tag="tenant:sandbox").exists()
    page = browser.get(f"/admin/fhirproxy/upstream/{row.pk}/change/")
    assert page.status_code == 200
    assert b"s3cret" not in page.content
    assert row.sealed_secret.encode() not in page.content
    kept = browser.post(f"/admin/fhirproxy/upstream/{row.pk}/change/", {**form, "secret": "", "timeout_seconds": 20})
    assert kept.status_code == 302
    assert Upstream.objects.get().sealed_secret == row.sealed_secret
    own = browser.post(f"/admin/fhirproxy/upstream/{row.pk}/change/", {**form, "base_url": "http://127.0.0.1:8000/x"})
    assert b"this server itself" in own.content


def test_a_changed_upstream_is_used_at_once(small: Behind, minted: Mint, call: Caller, serving: None) -> None:
    token = minted("system/*.rs")
    assert call("/Patient/ana", token).status_code == 200
    set_upstream(Tenant.objects.get(), base_url="http://127.0.0.1:9/r4")
    poller.poll()
    assert call("/Patient/ana", token).status_code == 502


def test_a_warm_read_asks_the_database_nothing(small: Behind, minted: Mint, call: Caller, serving: None) -> None:
    first, second = minted("patient/*.rs", patient="ana"), minted("patient/*.rs", patient="ben")
    assert call("/Patient/ana", first).status_code == 200
    with CaptureQueriesContext(connection) as warm:
        assert call("/Patient/ana", first).status_code == 200
        assert call("/Observation", first).status_code == 200
    assert beside_the_audit(warm) == []
    with CaptureQueriesContext(connection) as cold:
        assert call("/Patient/ben", second).status_code == 200
    assert len(beside_the_audit(cold)) == 1


def beside_the_audit(captured: CaptureQueriesContext) -> list[str]:
    """Return the statements that a server with a buffered audit trail makes within a request."""
    statements = [one["sql"] for one in captured]
    return [one for one in statements if "audit_auditrecord" not in one and "SAVEPOINT" not in one]
