"""Commands for people: create_user, and the sandbox's issue_token."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from clients.tenants import TenantInfo
from smartauth.context import new_context
from smartauth.errors import InvalidToken
from smartauth.models import AccessToken
from smartauth.people.models import User
from smartauth.policy.access import Access
from smartauth.tokens import require_access
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, phone_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> TenantInfo:
    tenant = make_tenant()
    make_client(phone_app(scope="patient/*.rs user/*.rs launch/patient"), activate_at=(tenant,))
    return tenant


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, stdin: str = "") -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    call_command(*words)
    return capsys.readouterr().out


class TestCreateUser:
    WORDS = ("create_user", "--username", "ana", "--tenant", "sandbox", "--fhir-user", "Patient/ana")

    def test_a_user_is_made_with_what_they_are_at_the_tenant(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(monkeypatch, capsys, *self.WORDS, stdin="correct horse battery\n")
        user = User.objects.get()
        assert user.check_password("correct horse battery")
        assert [(one.tenant_id, one.reference) for one in user.fhir_users.all()] == [(tenant.pk, "Patient/ana")]
        assert not user.is_staff

    BAD = [
        (("--tenant", "nowhere"), "long enough and good", "no active tenant"),
        (("--fhir-user", "Device/1"), "long enough and good", "--fhir-user must be"),
        (("--fhir-user", "ana"), "long enough and good", "--fhir-user must be"),
        (("--username", "a b<"), "long enough and good", "username"),
        ((), "short", "too short"),
        ((), "", "too short"),
    ]

    @pytest.mark.parametrize(("change", "password", "why"), BAD)
    def test_a_mistake_makes_nobody(
        self,
        tenant: TenantInfo,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        change: tuple[str, ...],
        password: str,
        why: str,
    ) -> None:
        with pytest.raises(CommandError, match=why):
            run(monkeypatch, capsys, *self.WORDS, *change, stdin=f"{password}\n")
        assert not User.objects.exists()

    def test_a_name_is_taken_once(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(monkeypatch, capsys, *self.WORDS, stdin="correct horse battery\n")
        with pytest.raises(CommandError, match="already"):
            run(monkeypatch, capsys, *self.WORDS, stdin="correct horse battery\n")


class TestIssueToken:
    def access(self, token: str) -> Access:
        return require_access(token, tenant="sandbox", context=new_context(), now=timezone.now())

    def issue(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, **claims: Any
    ) -> str:
        words = words or ("--json", "-")
        return run(monkeypatch, capsys, "issue_token", *words, stdin=json.dumps(claims)).strip()

    def test_options_make_a_token_that_works(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ("--client", "growth-chart", "--tenant", "sandbox", "--scope", "patient/Patient.rs")
        token = self.issue(monkeypatch, capsys, *words, "--patient", "ana", "--fhir-user", "Patient/ana")
        access = self.access(token)
        assert (access.client_id, access.patient, access.fhir_user) == ("growth-chart", "ana", "Patient/ana")
        assert [str(scope) for scope in access.scopes] == ["patient/Patient.rs"]

    def test_json_makes_exactly_these_claims(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        claims = {"client": "growth-chart", "tenant": "sandbox", "scopes": "patient/*.rs", "patient": "", "sub": None}
        token = self.issue(monkeypatch, capsys, **claims)
        row = AccessToken.objects.get()
        assert row.claims["patient"] == ""
        assert "sub" not in row.claims
        assert "fhirUser" not in row.claims
        assert row.claims["aud"] == tenant.fhir_base
        assert self.access(token).patient == ""

    def test_an_absent_scope_grants_nothing(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        access = self.access(self.issue(monkeypatch, capsys, client_id="growth-chart", tenant="sandbox"))
        assert access.scopes == ()

    def test_a_scope_outside_the_registration_grants_nothing(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        claims = {"client_id": "growth-chart", "tenant": "sandbox", "scope": "system/*.cruds patient/Patient.cruds"}
        access = self.access(self.issue(monkeypatch, capsys, **claims))
        assert [str(scope) for scope in access.scopes] == ["patient/Patient.rs"]

    NOT_LIVE = [
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e30},
        {"aud": None},
        {"aud": ""},
        {"aud": ["http://127.0.0.1:8000/fhir/sandbox/r4", "https://elsewhere.example.org"]},
        {"aud": "http://127.0.0.1:8000/fhir/sandbox/r4/"},
        {"aud": 7},
        {"client_id": "nobody"},
        {"client_id": None},
        {"tenant": "nowhere"},
    ]

    @pytest.mark.parametrize("change", NOT_LIVE, ids=str)
    def test_a_malformed_token_is_minted_and_refused(
        self,
        tenant: TenantInfo,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        change: dict[str, Any],
    ) -> None:
        claims = {"client_id": "growth-chart", "tenant": "sandbox", "scope": "patient/*.rs", "patient": "ana"} | change
        token = self.issue(monkeypatch, capsys, **claims)
        with pytest.raises(InvalidToken):
            self.access(token)

    def test_outside_the_sandbox_such_tokens_are_worth_nothing(
        self,
        tenant: TenantInfo,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        configure: Configure,
    ) -> None:
        token = self.issue(monkeypatch, capsys, client_id="growth-chart", tenant="sandbox", scope="patient/*.rs")
        self.access(token)
        configure(mode="production")
        with pytest.raises(InvalidToken) as refused:
            self.access(token)
        assert refused.value.refusal.rule == "token.minted"

    def test_scopes_may_be_a_list(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        claims = {"client": "growth-chart", "tenant": "sandbox", "scopes": ["patient/*.rs", "launch/patient"]}
        self.issue(monkeypatch, capsys, **claims)
        assert AccessToken.objects.get().scope == "patient/*.rs launch/patient"

    def test_what_no_database_keeps_names_nobody(
        self, tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        claims = {"client": "growth-chart", "tenant": "sandbox", "scope": "patient/*.rs\x00", "patient": "a\x00na"}
        access = self.access(self.issue(monkeypatch, capsys, **claims))
        assert (access.patient, access.scopes) == ("a\ufffdna", ())

    @pytest.mark.parametrize("stdin", ["", "nonsense", "[]", '"x"'])
    def test_claims_are_one_json_object(
        self,
        tenant: TenantInfo,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        stdin: str,
    ) -> None:
        with pytest.raises(CommandError, match="claims"):
            run(monkeypatch, capsys, "issue_token", "--json", "-", stdin=stdin)

    def test_missing_options_are_named(self) -> None:
        with pytest.raises(CommandError, match="--tenant, --scope"):
            call_command("issue_token", "--client", "x")
