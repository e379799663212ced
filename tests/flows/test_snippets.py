"""The code that the partner portal fills in runs as it stands: in a shell, with Authlib and on Node, against workers.

SMART 2.2 backend-services, app-launch, client-confidential-asymmetric and -symmetric.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clients.key_pairs import KeyPair
from clients.models import Client
from clients.snippets import KEY_FILE, Snippet, snippets
from tests.world import App, MakeApp, MakePerson, World, register, tenant_of

PROGRAMS = {
    "curl": ("bash", "first_read.sh"),
    "python": (sys.executable, "first_read.py"),
    "node": ("node", "first-read.mjs"),
}
LANGUAGES = tuple(PROGRAMS)
TIMEOUT = 60  # seconds


def snippet_of(client_id: str, world: World, language: str) -> Snippet:
    client = Client.objects.get(client_id=client_id)
    return next(one for one in snippets(client, tenant_of(world)) if one.language == language)


def start(snippet: Snippet, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Save a snippet as somebody would, and run it where the key is."""
    program, name = PROGRAMS[snippet.language]
    needed = [program] if snippet.language != "curl" else ["bash", "curl", "openssl"]
    missing = [one for one in needed if shutil.which(one) is None]
    if missing:
        pytest.skip(f"NO {', '.join(missing).upper()}: the {snippet.language} snippet is not run")
    (folder / name).write_text(snippet.code)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([program, name], cwd=folder, text=True, env={**os.environ, **environment}, **pipes)


def read_by(process: subprocess.Popen[str], sent: str = "") -> dict[str, Any]:
    """Return the resource the snippet printed."""
    printed, problems = process.communicate(sent, timeout=TIMEOUT)
    assert process.returncode == 0, printed + problems
    resource: dict[str, Any] = json.loads(printed[printed.index("{") :])
    return resource


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("alg", ["ES384", "RS384"])
def test_a_service_reads(world: World, tmp_path: Path, request: pytest.FixtureRequest, language: str, alg: str) -> None:
    pair: KeyPair = request.getfixturevalue({"ES384": "ec", "RS384": "rsa"}[alg])
    client_id = f"snippet-{language}-{alg}".lower()
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"]}
    register(world, {"client_id": client_id, "scope": "system/Patient.rs", "jwks": pair.jwks, **metadata})
    (tmp_path / KEY_FILE).write_bytes(pair.private_pem)
    assert read_by(start(snippet_of(client_id, world, language), tmp_path))["resourceType"] == "Bundle"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_an_app_reads_the_record_somebody_opened_to_it(
    world: World, tmp_path: Path, make_app: MakeApp, make_person: MakePerson, language: str, method: str
) -> None:
    app: App = make_app(f"snippet-app-{language}-{method}", method)
    ana = make_person(f"snippet-{language}-{method}", "Patient/ana")
    if app.key is not None:
        (tmp_path / KEY_FILE).write_bytes(app.key.as_pem(private=True))
    process = start(snippet_of(app.client_id, world, language), tmp_path, CLIENT_SECRET=app.secret or "")
    assert process.stdout is not None
    url = next(line.strip() for line in process.stdout if line.startswith("http"))
    resource = read_by(process, f"{ana.launch(url)}\n")
    assert (resource["resourceType"], resource["id"]) == ("Patient", "ana")


def test_what_is_filled_in_is_quoted_for_its_language(world: World) -> None:
    hostile = "https://app.example.org/cb?x='$(touch%20x)\"`\\"
    register(
        world,
        {
            "client_id": "snippet-quoted",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
            "redirect_uris": ["https://app.example.org/callback"],
            "scope": "patient/Patient.r",
        },
    )
    Client.objects.filter(client_id="snippet-quoted").update(redirect_uris=hostile)
    bash, python, node = (snippet_of("snippet-quoted", world, language).code for language in LANGUAGES)
    line = next(one for one in bash.splitlines() if one.startswith("REDIRECT_URI="))
    told = subprocess.run(
        ["bash", "-c", f'{line}; printf %s "$REDIRECT_URI"'], capture_output=True, text=True, check=True
    )
    assert told.stdout == hostile
    line = next(one for one in python.splitlines() if one.startswith("REDIRECT_URI ="))
    assert json.loads(line.partition(" = ")[2]) == hostile
    line = next(one for one in node.splitlines() if one.startswith("const REDIRECT_URI ="))
    assert json.loads(line.partition(" = ")[2].rstrip(";")) == hostile
