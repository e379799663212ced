"""Clients nobody here wrote, on Node: openid-client and oauth4webapi, asked step by step from a test.

Each library runs in one process for all tests; each client in it has a session with keys, tokens and nonces of its own.
"""

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.world import LAUNCH_SCOPE, App, Partner, World

NODE_FOLDER = Path(__file__).resolve().parent.parent / "node"
LIBRARIES = ("openid_client", "oauth4webapi")


class Refused(Exception):
    """What a library refused, or was refused.

    kind: the library's class of errors.    code: the OAuth error, or the library's own.    status: HTTP's, if there was
    an answer.    schemes: of the challenges in it, in lower case.
    """

    def __init__(self, *, kind: str, code: str, status: int | None, schemes: list[str], said: str) -> None:
        super().__init__(said)
        self.kind, self.code, self.status, self.schemes = kind, code, status, schemes


@dataclass(frozen=True, slots=True)
class Library:
    """One process of a library."""

    name: str
    _process: "subprocess.Popen[str]"
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, step: str, **request: Any) -> Any:
        """Return the answer to a step. Raises Refused with the library's words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"step": step, **request}) + "\n")
        self._process.stdin.flush()
        outcome = json.loads(self._process.stdout.readline())
        if "error" in outcome:
            raise Refused(**outcome["error"])
        return outcome["answer"]

    def client(self, world: World, app: App | Partner, *, document: str = "oidc", **options: Any) -> "JavascriptClient":
        """Return a client that has read the server's metadata.

        document: "oidc", or "oauth2" for that of RFC 8414.    options: `bind` to use a key pair for tokens, and
        `metadata` for what else the library should know of the client.
        """
        session = f"{app.client_id} {next(self._numbers)}"
        told = self.ask(
            "discover",
            session=session,
            issuer=world.base_url,
            algorithm=document,
            client_id=app.client_id,
            authenticate=_authentication(app),
            **options,
        )
        return JavascriptClient(self, session, world, app, told)


def _authentication(app: App | Partner) -> dict[str, Any]:
    if isinstance(app, Partner):
        return {"method": "private_key_jwt", "key": app.key.as_dict(private=True)}
    return {"method": app.method, "secret": app.secret, "key": app.key.as_dict(private=True) if app.key else None}


@dataclass(frozen=True, slots=True)
class JavascriptClient:
    """A client in a library. `metadata` is the document that the library accepted."""

    library: Library
    session: str
    world: World
    app: App | Partner
    metadata: dict[str, Any]

    def ask(self, step: str, **request: Any) -> Any:
        """Return the answer to a step. Raises Refused with the library's words."""
        return self.library.ask(step, session=self.session, **request)

    def authorize(self, scope: str = LAUNCH_SCOPE, *, push: bool = False, **parameters: str) -> str:
        """Return the URL to send the person to. push: hand the request over first."""
        assert isinstance(self.app, App)
        wanted = {"scope": scope, "aud": self.world.fhir_base, **parameters}
        url: str = self.ask("authorize", redirect_uri=self.app.redirect_uri, parameters=wanted, push=push)
        return url

    def read(self, path: str, **request: Any) -> Any:
        """Return status and body of what the session's token reads below the FHIR base."""
        return self.ask("read", url=f"{self.world.fhir_base}/{path}", **request)

    def answered(self) -> list[tuple[str, int]]:
        """Return path and status of each answer since this was asked last."""
        return [(path, status) for path, status in self.ask("answered")]


@contextmanager
def running_library(name: str) -> Iterator[Library]:
    """Start a library and end it afterwards. Skips, and says why, without Node."""
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules" / ".installed").exists():
        pytest.skip("NO NODE: install Node 20 with npm and run `make test` for the tests with JavaScript clients")
    command = [node, str(NODE_FOLDER / f"{name}.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Library(name, process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.fixture(scope="session")
def start_library() -> Iterator[Callable[[str], Library]]:
    """Start libraries by name, each once."""
    with ExitStack() as running:
        yield cache(lambda name: running.enter_context(running_library(name)))


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, start_library: Callable[[str], Library]) -> Library:
    return start_library(request.param)


@pytest.fixture
def openid_client(start_library: Callable[[str], Library]) -> Library:
    return start_library("openid_client")


@pytest.fixture
def oauth4webapi(start_library: Callable[[str], Library]) -> Library:
    return start_library("oauth4webapi")
