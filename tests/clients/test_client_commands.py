"""The commands an operator and a partner type."""

import io
import json
import stat
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from joserfc.jwk import KeySet

from clients.assertions import parse_assertion, verify_assertion
from clients.key_pairs import ALGORITHMS, KeyPair
from clients.models import Activation, Client
from clients.models import KeySet as KeySetRow
from clients.registered import find_client
from smartauth.digests import digest
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import TOKEN_URL, make_client, make_tenant, phone_app, service, web_app


def run(*args: object) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*(str(arg) for arg in args), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def create(tmp_path, metadata, *args: str) -> tuple[dict, str]:
    path = tmp_path / "client.json"
    path.write_text(json.dumps(metadata))
    out, err = run("create_client", path, *args)
    return json.loads(out), err


def test_a_client_is_created_and_active_at_each_tenant(db, tmp_path, ec: KeyPair):
    make_tenant("sandbox"), make_tenant("north")
    metadata = service(jwks=ec.jwks, scope="system/*.read system/Observation.rs")
    told, err = create(tmp_path, metadata, "--tenant", "sandbox", "--tenant", "north", "--activate")
    assert err == ""
    assert (told["client_id"], told["scope"]) == ("bulk-loader", "system/*.read system/Observation.rs")
    assert "client_secret" not in told
    assert [(one["tenant"], one["active"]) for one in told["activations"]] == [("sandbox", True), ("north", True)]
    client = find_client("bulk-loader")
    assert client is not None
    assert client.is_approved
    assert set(client.activations) == {"sandbox", "north"}


def test_without_activate_the_client_waits_at_the_tenant(db, tmp_path):
    make_tenant("sandbox")
    told, _ = create(tmp_path, web_app(), "--tenant", "sandbox")
    assert told["activations"][0]["active"] is False
    assert Activation.objects.get().is_active is False


def test_the_secret_is_in_the_answer_and_only_its_digest_is_kept(db, tmp_path):
    told, _ = create(tmp_path, web_app())
    assert told["client_secret_expires_at"] == 0
    assert Client.objects.get().client_secret == digest(told["client_secret"])


def test_metadata_comes_from_standard_input_too(db, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(phone_app())))
    out, _ = run("create_client", "-")
    assert json.loads(out)["client_id"] == "growth-chart"


@pytest.mark.parametrize(
    ("content", "args", "sentence"),
    [
        (json.dumps(phone_app()), ["--tenant", "nowhere"], "There is no active tenant called 'nowhere'."),
        (json.dumps(phone_app()), ["--activate"], "--activate needs at least one --tenant."),
        (json.dumps(phone_app(grant_types=["implicit"])), [], "grant_types is not acceptable: "),
        (json.dumps(phone_app(scope="patient/x.rs")), [], "(found: patient/x.rs)."),
        ("[]", [], "metadata is not acceptable: it must be a JSON object."),
        ("{", [], "is not JSON in UTF-8"),
        ("[" * 100_000, [], "is not JSON in UTF-8"),
    ],
)
def test_a_refusal_is_one_sentence_and_stores_nothing(db, tmp_path, content, args, sentence):
    path = tmp_path / "client.json"
    path.write_text(content)
    with pytest.raises(CommandError) as error:
        run("create_client", path, *args)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.returncode == 1
    assert not Client.objects.exists()


def test_a_file_that_is_not_there_and_an_id_that_is_taken_are_refused(db, tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        run("create_client", tmp_path / "absent.json")
    create(tmp_path, phone_app())
    with pytest.raises(CommandError, match="exists already"):
        create(tmp_path, phone_app())


@pytest.mark.requirement("REG-09")
def test_what_is_wrong_with_a_key_set_is_mentioned_and_refuses_nothing(db, tmp_path, jwks_host: JwksHost, ec, ec256):
    def told(client_id: str, *keys: object, status: int = 200) -> str:
        jwks_host.page = Page({"keys": list(keys)}, status, (("Content-Type", "application/json"),))
        registered, err = create(tmp_path, service(jwks_uri=jwks_host.url, client_id=client_id))
        assert registered["client_id"] == client_id
        return err

    assert told("good", ec.public_jwk) == ""
    assert jwks_host.visits == 1
    assert told("away", status=404) == (
        "Registered, but mend its keys: the JWKS URL answers 404 (jwks.status). "
        "Serve the key set publicly, without authentication.\n"
    )
    unfit = told("unfit", ec.public_jwk, ec256.public_jwk | {"use": "enc"})
    assert unfit.startswith("Registered, but mend its keys: key ec-2: the key is not for signatures (jwks.key_use).")
    assert "jwks.private_key" in told("leaked", ec.public_jwk | {"d": "c2VjcmV0"})
    assert not KeySetRow.objects.exists()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_generated_key_is_private_on_disk_and_public_on_paper(tmp_path, alg):
    path = tmp_path / "key.pem"
    out, err = run("generate_key", "--alg", alg, "--out", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    [jwk] = json.loads(out)["keys"]
    assert (jwk["alg"], jwk["use"]) == (alg, "sig")
    assert not {"d", "p", "q"} & set(jwk)
    assert jwk["kid"] == next(iter(KeySet.import_key_set({"keys": [jwk]}))).thumbprint()
    assert "key.pem" in err


def test_a_key_file_is_not_replaced_unless_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("generate_key", "--alg", "es384", "--kid", "mine")
    path = tmp_path / "es384-private.pem"
    before = path.read_bytes()
    with pytest.raises(CommandError, match="exists already"):
        run("generate_key", "es384-private.pem")
    assert path.read_bytes() == before
    run("generate_key", "es384-private.pem", "--force")
    assert path.read_bytes() != before
    with pytest.raises(CommandError, match="cannot be written"):
        run("generate_key", tmp_path / "absent" / "key.pem")
    with pytest.raises(CommandError, match="once"):
        run("generate_key", "a.pem", "--out", "b.pem")


@pytest.mark.parametrize("alg", ["RS384", "ES384", "ES256"])
def test_a_signed_assertion_verifies_and_is_fresh_each_time(db, tmp_path, alg):
    path = tmp_path / "key.pem"
    out, _ = run("generate_key", "--alg", alg, "--out", path)
    make_client(service(jwks=json.loads(out)))
    client = find_client("bulk-loader")
    assert client is not None
    ids = set()
    for _ in range(2):
        printed, _ = run("sign_assertion", "--client", "bulk-loader", "--key", path)
        assertion, claimed = parse_assertion(printed.strip())
        assert assertion.header["alg"] == alg
        now = timezone.now()
        claims = verify_assertion(assertion, client, audiences=frozenset({TOKEN_URL}), now=now)
        assert 295 <= (claims.expires_at - now).total_seconds() <= 300
        ids.add(claims.jti)
    assert (claimed, len(ids)) == ("bulk-loader", 2)


def test_audience_algorithm_and_kid_may_be_named(tmp_path, rsa: KeyPair):
    path = tmp_path / "key.pem"
    path.write_bytes(rsa.private_pem)
    printed, _ = run(
        "sign_assertion",
        "--client",
        "a",
        "--key",
        path,
        "--aud",
        "https://x.example.org",
        "--alg",
        "PS256",
        "--kid",
        "k",
    )
    assertion, _ = parse_assertion(printed.strip())
    assert assertion.header == {"alg": "PS256", "kid": "k", "typ": "JWT"}
    assert assertion.claims["aud"] == "https://x.example.org"


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_private_key_is_refused(tmp_path, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(CommandError, match="not an RSA or EC private key"):
        run("sign_assertion", "--client", "a", "--key", path)
    with pytest.raises(CommandError, match="cannot be read"):
        run("sign_assertion", "--client", "a", "--key", tmp_path / "absent.pem")


def test_a_key_cannot_sign_with_another_kind_of_algorithm(tmp_path, ec: KeyPair):
    path = tmp_path / "key.pem"
    path.write_bytes(ec.private_pem)
    with pytest.raises(CommandError, match="cannot sign with RS384"):
        run("sign_assertion", "--client", "a", "--key", path, "--alg", "RS384")
