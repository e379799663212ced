"""A hospital's identity provider for tests: oidc-provider on Node, and a person's browser in front of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
import requests

from smartauth.conf import UpstreamIdp
from tests.flows.javascript import NODE_FOLDER
from tests.servers import free_port

CLIENT = {"client_id": "smartauth", "client_secret": "a secret: with signs &%+"}
CALLBACK = "http://127.0.0.1:8000/account/upstream/callback"
CLAIMS = {
    "s-grey": {"fhirUser": "Practitioner/dr-grey", "employee": "4711", "preferred_username": "Dr Grey <grey@x>"},
    "s-ana": {"fhirUser": "http://127.0.0.1:8000/fhir/sandbox/r4/Patient/ana"},
    "s-odd": {"fhirUser": "Organization/all"},
}
REASONS = re.compile(r'<p id="asked">([^<]*)</p>')


@dataclass(frozen=True, slots=True)
class Hospital:
    """The running provider."""

    issuer: str

    def as_configured(self, **changes: Any) -> UpstreamIdp:
        """Return what an operator would write about it."""
        return UpstreamIdp(**({"issuer": self.issuer, **CLIENT, "name": "City Hospital"} | changes))


@dataclass(slots=True)
class Visitor:
    """Somebody's browser at the provider; it keeps their session there. `asked`: why it asked them to sign in."""

    session: requests.Session = field(default_factory=requests.Session)
    asked: str = ""

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def go(self, url: str, *, name: str = "s-grey", cancel: bool = False) -> str:
        """Open the provider's page, sign in there where it asks, and return where it sends the browser in the end."""
        self.asked = ""
        answer = self.session.get(url, allow_redirects=False, timeout=10)
        for _ in range(10):
            if "Location" not in answer.headers:
                found = REASONS.search(answer.text)
                assert found, answer.text
                self.asked = found[1]
                form = {"login": name, "answer": "no" if cancel else "in"}
                answer = self.session.post(answer.url, data=form, allow_redirects=False, timeout=10)
                continue
            target = urljoin(answer.url, answer.headers["Location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                return target
            answer = self.session.get(target, allow_redirects=False, timeout=10)
        raise AssertionError("the provider goes round in circles")


@contextmanager
def running_hospital(callback: str = CALLBACK) -> Iterator[Hospital]:
    """Start the provider and end it afterwards. Skips, and says why, without Node."""
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules" / "oidc-provider").exists():
        pytest.skip("NO NODE: install Node 20 with npm and run `make test` for the tests with an identity provider")
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    client = CLIENT | {"redirect_uris": [callback], "token_endpoint_auth_method": "client_secret_basic"}
    told = {"issuer": issuer, "port": port, "clients": [client], "claims": CLAIMS}
    command = [node, str(NODE_FOLDER / "identity_provider.mjs"), json.dumps(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield Hospital(issuer)
        process.terminate()


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of a URL, each of which is there once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), url
    return dict(pairs)


def path_of(url: str) -> str:
    """Return path and query of a URL of ours, as Django's test client takes them."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
