"""The OpenAPI document is true: it has every URL there is, and schemathesis finds nothing that contradicts it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import URLPattern

from clients.api.document import openapi_document
from clients.api.urls import urlpatterns
from clients.key_pairs import KeyPair
from clients.models import ApiToken
from smartauth.digests import digest
from smartauth.people.models import User
from tests.api.conftest import BASE, make_draft, make_own_client, program_of
from tests.world import World, _world, world

__all__ = ["_world", "world"]

SEED = 20260301
EXAMPLES = 6  # generated requests of each kind for each operation
NOT_DESCRIBED = {""}  # where nothing is


def in_braces(pattern: URLPattern) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: "{" + found[1].replace("pk", "id") + "}", str(pattern.pattern))


def test_every_url_and_method_is_in_the_document() -> None:
    paths: dict[str, Any] = openapi_document()["paths"]
    found = {f"{BASE}/{in_braces(one)}": one for one in urlpatterns if str(one.pattern) not in NOT_DESCRIBED}
    assert set(found) == set(paths)
    for path, pattern in found.items():
        view = pattern.callback.view_class  # type: ignore[attr-defined]
        methods = {name for name in view.http_method_names if name != "head" and hasattr(view, name)}
        assert methods == set(paths[path]), path


def test_the_document_is_readable_by_everybody_as_json_and_as_yaml(db: None) -> None:
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    answer = browser.get(f"{BASE}/schema")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.")
    as_yaml = browser.get(f"{BASE}/schema", headers={"Accept": "application/yaml"})
    assert (as_yaml.status_code, as_yaml["Content-Type"].split(";")[0]) == (200, "application/yaml")
    assert browser.get(f"{BASE}/schema", headers={"Accept": "text/html"}).json()["error"] == "not_acceptable"


@pytest.mark.parametrize("place", ["", "nothing", "drafts/1/nothing", "drafts/a%0Ab/submit", "drafts/%F0%9F%92%A9"])
def test_where_nothing_is_the_error_has_the_one_shape_too(db: None, place: str) -> None:
    answer = Browser(HTTP_HOST="127.0.0.1:8000").post(f"{BASE}/{place}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_every_error_has_the_one_shape() -> None:
    for path, methods in openapi_document()["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    (content,) = answer["content"].values()
                    assert content["schema"] == {"$ref": "#/components/schemas/Error"}, path


def run_schemathesis(world: World, folder: Path, settings: str, headers: list[str], *words: str) -> str:
    """Run every check of schemathesis against the running system and return what it says; it must find nothing.

    Only object_level_authorization has nothing to compare: it wants a second user; test_access.py has one.
    """
    (folder / "schemathesis.toml").write_text(settings)
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml"),
            *("run", f"{world.base_url}{BASE}/schema", "--checks", "all", "--seed", str(SEED)),
            *("--max-examples", str(EXAMPLES), "--no-color", "--continue-on-failure", "--generation-database", "none"),
            *(word for header in headers for word in ("--header", header)),
            *words,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return done.stdout


def test_schemathesis_finds_no_contradiction_where_rows_exist(world: World, tmp_path: Path, ec: KeyPair) -> None:
    kim = User.objects.create_user("kim-exists", password="not used here")
    headers = [f"Authorization: Bearer {program_of(kim).token}"]
    found = run_schemathesis(world, tmp_path, of_what_there_is(kim, ec), headers)
    operations = sum(len(methods) for methods in openapi_document()["paths"].values())
    assert f"Tested: {operations}" in found


def test_schemathesis_finds_no_contradiction_where_it_only_guesses(world: World, tmp_path: Path) -> None:
    kim = User.objects.create_user("kim-guessed", password="not used here")
    headers = [f"Authorization: Bearer {program_of(kim).token}"]
    # Guessing ids it would withdraw its own token.
    only = ("--phases", "fuzzing,stateful", "--exclude-operation-id", "withdraw_token")
    run_schemathesis(world, tmp_path, "", headers, *only)


def test_schemathesis_finds_no_contradiction_in_making_tokens(world: World, tmp_path: Path) -> None:
    """It takes a session, which schemathesis cannot leave out where it is given: so only with right data."""
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(User.objects.create_user("kim-signed-in", password="not used here"))
    csrf = "c" * 32
    headers = [f"Cookie: sessionid={browser.cookies['sessionid'].value}; csrftoken={csrf}", f"X-CSRFToken: {csrf}"]
    only = ("--include-operation-id", "issue_token", "--mode", "positive", "--phases", "coverage,fuzzing")
    assert "Tested: 1" in run_schemathesis(world, tmp_path, "", headers, *only)


def of_what_there_is(kim: User, pair: KeyPair) -> str:
    """Return settings that name rows of kim's in most paths; an operation that ends one has one of its own."""
    client_id = make_own_client(kim, pair).client_id
    lines = ["[parameters]", f'"path.client_id" = "{client_id}"', f'"path.id" = {make_draft(kim, pair).pk}']
    for path, name, value in (
        ("tokens/{id}", "id", ApiToken.objects.get(token_digest=digest(program_of(kim).token)).pk),
        ("drafts/{id}/submit", "id", make_draft(kim, pair).pk),
        ("clients/{client_id}/retire", "client_id", f'"{make_own_client(kim, pair, client_name="Other").client_id}"'),
    ):
        lines += ["[[operations]]", f'include-path = "{BASE}/{path}"', f'parameters = {{ "path.{name}" = {value} }}']
    return "\n".join(lines)
