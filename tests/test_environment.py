"""The environment becomes settings, or stops the start with one sentence that says which value and why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from smartauth.conf import ASSERTION_ALGORITHMS
from smartauth.environment import Environment
from smartauth.sandbox import running
from tests.servers import ROOT

KEY = "dGVzdHMgb25seSwgbmV2ZXIgYW55d2hlcmUgZWxzZSE="  # "tests only, never anywhere else!"
GOOD = {
    "SMARTAUTH_MODE": "production",
    "SMARTAUTH_BASE_URL": "https://auth.example.org",
    "SMARTAUTH_SECRET_KEY": "a secret key that is long enough: 0123456789 abcdefghijk",
    "SMARTAUTH_KEY_ENCRYPTION_KEYS": KEY,
    "DATABASE_URL": "postgresql://user:password@127.0.0.1:5432/smartauth",
}


def check(tmp_path: Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Start Django with the settings a good production environment gives, changed in places."""
    environment = {**GOOD, "SMARTAUTH_VAR": str(tmp_path), **changes}
    kept = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **kept},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_production_environment_starts_without_a_warning(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.requirement("DCR-07")
@pytest.mark.parametrize(("said", "registers"), [({}, False), ({"SMARTAUTH_REGISTRATION": "on"}, True)])
def test_in_production_nobody_registers_by_protocol_unless_it_is_switched_on(
    tmp_path: Path, said: dict[str, str], registers: bool
) -> None:
    assert setting(tmp_path, "registration", said) == str(registers)


@pytest.mark.requirement("STATE-01", "TASK-01")
@pytest.mark.parametrize("name", ["app_state", "task_launch"])
def test_what_is_not_for_everybody_is_off_until_it_is_switched_on(tmp_path: Path, name: str) -> None:
    assert setting(tmp_path, name, {}) == "False"
    assert setting(tmp_path, name, {f"SMARTAUTH_{name.upper()}": "on"}) == "True"


def setting(var: Path, name: str, said: dict[str, str]) -> str:
    """Return how one of our settings prints in a good production environment with `said` in it."""
    done = subprocess.run(
        [sys.executable, "-c", f"from smartauth import settings; print(settings.SMARTAUTH.{name})"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **GOOD, "SMARTAUTH_VAR": str(var), **said},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


BAD = [
    ("SMARTAUTH_MODE", "debug", "must be one of production, sandbox"),
    ("SMARTAUTH_BASE_URL", None, "is not set"),
    ("SMARTAUTH_BASE_URL", "http://auth.example.org", "must be https"),
    ("SMARTAUTH_SECRET_KEY", None, "must be set"),
    ("SMARTAUTH_SECRET_KEY", "short", "at least 50"),
    ("SMARTAUTH_KEY_ENCRYPTION_KEYS", None, "at least one Fernet key"),
    ("SMARTAUTH_KEY_ENCRYPTION_KEYS", f"{KEY},nonsense", "key 2 is not a Fernet key"),
    ("SMARTAUTH_KEY_ENCRYPTION_KEYS_FILE", "/nonexistent", "both set"),
    ("DATABASE_URL", None, "must be set"),
    ("DATABASE_URL", "mysql://x/y", "must look like postgresql://"),
    ("DATABASE_URL", "postgresql://u:p@h/d?nonsense=1", "cannot read it"),
    ("DATABASE_URL", "postgresql://127.0.0.1", "names no database"),
    ("SMARTAUTH_TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "not a CIDR"),
    ("SMARTAUTH_DPOP_NONCES", "sometimes", "must be one of optional, required"),
    ("SMARTAUTH_JWKS_ALLOWED_HOSTS", "keys.example.org,http://x", "host or host:port"),
    ("SMARTAUTH_CALLBACK_ISS", "perhaps", "must be one of on, off"),
    ("SMARTAUTH_RATE_PER_ADDRESS", "0", "between 1 and 1000000"),
    ("SMARTAUTH_SIGN_INS_PER_ADDRESS", "0", "between 1 and 100000"),
    ("SMARTAUTH_RATE_PER_CLIENT", "unlimited", "between 1 and 1000000"),
    ("SMARTAUTH_ERRORS_AFTER_SIGN_IN", "yes", "must be one of on, off"),
    ("SMARTAUTH_REFRESH_TOKEN_DAYS", "0", "between 1 and 3650"),
    ("SMARTAUTH_GRANT_DAYS", "a year", "between 1 and 3650"),
    ("PORT", "99999", "between 1 and 65535"),
    ("SMARTAUTH_ACCESS_TOKEN_FORMAT", "paseto", "must be one of jwt, opaque"),
    ("SMARTAUTH_ASSERTION_ALGORITHMS", "RS384,ES384,HS256", "holds 'HS256'"),
    ("SMARTAUTH_ASSERTION_ALGORITHMS", "RS384,ES384,none", "holds 'none'"),
    ("SMARTAUTH_ASSERTION_ALGORITHMS", "RS384", "leaves out ES384"),
]


@pytest.mark.requirement("HDR-15", "OIDC-03")
@pytest.mark.parametrize(("name", "value", "why"), BAD)
def test_one_bad_value_stops_the_start_with_one_sentence(
    tmp_path: Path, name: str, value: str | None, why: str
) -> None:
    done = check(tmp_path, **{name: value})
    assert done.returncode == 1
    assert name.removesuffix("_FILE") in done.stderr
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{GOOD['SMARTAUTH_SECRET_KEY']}\n")
    done = check(tmp_path, SMARTAUTH_SECRET_KEY=None, SMARTAUTH_SECRET_KEY_FILE=str(secret))
    assert done.returncode == 0, done.stderr
    missing = check(tmp_path, SMARTAUTH_SECRET_KEY=None, SMARTAUTH_SECRET_KEY_FILE="/nonexistent")
    assert "SMARTAUTH_SECRET_KEY_FILE cannot be read" in missing.stderr


@pytest.mark.requirement("LAUNCH-10")
def test_nothing_of_the_sandbox_is_imported_in_production(tmp_path: Path) -> None:
    environment = {**GOOD, "SMARTAUTH_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "smartauth.settings"}
    program = """
import sys
import smartauth.wsgi
import django.urls
assert "smartauth.views.authorize" in sys.modules
print([name for name in sys.modules if name.startswith("smartauth.sandbox")])
for path in ("/launcher", "/launcher/", "/launcher/run/1", "/launcher/app/"):
    try:
        print(django.urls.resolve(path))
    except django.urls.Resolver404:
        pass
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_debugging_tokens_do_not_exist_in_production(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "issue_token"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **GOOD, "SMARTAUTH_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Unknown command: 'issue_token'" in done.stderr


@pytest.mark.requirement("ASYM-03")
def test_a_list_of_algorithms_has_its_own_order_and_is_complete_when_unset() -> None:
    def chosen(text: str) -> tuple[str, ...]:
        return Environment({"ALGS": text}).choices("ALGS", ASSERTION_ALGORITHMS, required=("RS384", "ES384"))

    assert chosen("") == ASSERTION_ALGORITHMS
    assert chosen("ES384, RS384,ES384") == ("ES384", "RS384")
    assert {"RS384", "ES384"} <= set(ASSERTION_ALGORITHMS)
    assert not [alg for alg in ASSERTION_ALGORITHMS if alg == "none" or alg.startswith("HS")]


BASE_URLS = [
    ("https://auth.example.org", "https://auth.example.org"),
    ("https://auth.example.org/", "https://auth.example.org"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("https://[::1]:8443", "https://[::1]:8443"),
]


@pytest.mark.requirement("OIDC-03")
@pytest.mark.parametrize(("text", "url"), BASE_URLS)
def test_a_base_url_has_no_trailing_slash(text: str, url: str) -> None:
    assert Environment({"BASE": text}).base_url("BASE", "") == url


@pytest.mark.parametrize(
    "text",
    ["auth.example.org", "ftp://x", "https://", "https://a@b", "https://A.org", "https://a.org?x", "https://a.org/x"],
)
def test_a_base_url_is_an_origin(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="BASE"):
        Environment({"BASE": text}).base_url("BASE", "")


def test_a_command_joins_the_sandbox_that_runs_on_the_same_folder(tmp_path: Path) -> None:
    running.remember(tmp_path, {"PORT": "8123", "DATABASE_URL": "postgresql:///x", "HOME": "/nowhere"})
    assert running.joined(tmp_path, {"A": "b"}) == {"A": "b", "PORT": "8123", "DATABASE_URL": "postgresql:///x"}
    assert running.joined(tmp_path, {"PORT": "9000"}) == {"PORT": "9000"}
    assert (tmp_path / running.FILE).stat().st_mode & 0o077 == 0
    running.forget(tmp_path)
    assert running.joined(tmp_path, {"A": "b"}) == {"A": "b"}


def test_a_sandbox_that_is_gone_is_not_joined(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / running.FILE).write_text(f'{{"pid": {gone.pid}, "environment": {{"PORT": "1"}}}}')
    assert running.joined(tmp_path, {}) == {}


def test_a_database_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "explain", "123e4567-e89b-42d3-a456-426614174000"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            **GOOD,
            "SMARTAUTH_VAR": str(tmp_path),
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


UPSTREAM = {
    "SMARTAUTH_UPSTREAM_IDP_ISSUER": "https://idp.example.org/realms/hospital/",
    "SMARTAUTH_UPSTREAM_IDP_CLIENT_ID": "smartauth",
}


def test_an_identity_provider_is_read_from_the_environment(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    said = UPSTREAM | {
        "SMARTAUTH_UPSTREAM_IDP_CLIENT_SECRET_FILE": str(secret),
        "SMARTAUTH_UPSTREAM_IDP_FHIR_USER_CLAIMS": "north=fhirUser, south=fhir_south",
        "SMARTAUTH_UPSTREAM_IDP_CREATES_USERS": "on",
        "SMARTAUTH_UPSTREAM_IDP_HOSTS": "Keys.internal.example.org:8443",
    }
    asked = (
        "from smartauth.settings import SMARTAUTH as s; i = s.upstream_idp; "
        "print(i.issuer, i.client_secret, i.fhir_user_claims, i.creates_users, *i.hosts, i.name, i, sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **GOOD, "SMARTAUTH_VAR": str(tmp_path), **said},
        capture_output=True,
        text=True,
        check=True,
    )
    *told, shown = done.stdout.strip().split("|")
    claims = "(('north', 'fhirUser'), ('south', 'fhir_south'))"
    issuer = UPSTREAM["SMARTAUTH_UPSTREAM_IDP_ISSUER"]
    assert told == [issuer, "from a file", claims, "True", "keys.internal.example.org:8443", ""]
    assert "from a file" not in shown


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"SMARTAUTH_UPSTREAM_IDP_CLIENT_ID": None}, "go together"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": None}, "go together"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": "http://idp.example.org"}, "must be https"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": "http://127.0.0.1:9000"}, "must be https"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": "https://idp.example.org/?realm=a"}, "without query"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": "idp.example.org"}, "issuer URL"),
        ({"SMARTAUTH_UPSTREAM_IDP_ISSUER": "https://user@idp.example.org"}, "issuer URL"),
        ({"SMARTAUTH_UPSTREAM_IDP_SCOPE": "profile email"}, "openid must be among them"),
        ({"SMARTAUTH_UPSTREAM_IDP_FHIR_USER_CLAIMS": "fhirUser"}, "name=claim"),
        ({"SMARTAUTH_UPSTREAM_IDP_FHIR_USER_CLAIMS": "a=x,a=y"}, "each name once"),
        ({"SMARTAUTH_UPSTREAM_IDP_FHIR_USER_CLAIMS": "Not A Slug=x"}, "cannot be a tenant"),
        ({"SMARTAUTH_UPSTREAM_IDP_CREATES_USERS": "perhaps"}, "must be one of on, off"),
        ({"SMARTAUTH_UPSTREAM_IDP_HOSTS": "https://keys.example.org"}, "must be host or host:port"),
    ],
)
def test_an_identity_provider_that_is_half_said_stops_the_start(
    tmp_path: Path, said: dict[str, str | None], named: str
) -> None:
    done = check(tmp_path, **(UPSTREAM | said))
    assert done.returncode != 0
    assert "SMARTAUTH_UPSTREAM_IDP_" in done.stderr
    assert named in done.stderr
