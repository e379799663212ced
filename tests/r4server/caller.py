"""A client of one R4 server that keeps its connection, as the proxy does."""

import http.client
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from fhirproxy.r4server.process import Running

FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, its header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """The keys of a searchset's entries by search mode, and the Bundle itself."""

    matches: list[str]
    includes: list[str]
    bundle: dict[str, Any]

    def link(self, relation: str) -> str | None:
        return next((link["url"] for link in self.bundle["link"] if link["relation"] == relation), None)


class Caller:
    """Sends requests with the server's credential unless told otherwise."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self._base_path = urlsplit(server.base_url).path
        self._connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, target: str, body: object = None, *, bearer: str | None = "", **headers: str) -> Answer:
        """Send a request; a target without a leading slash is below the base. `bearer` None sends no credential."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer or self.server.bearer}"
        if isinstance(body, dict | list):
            body = json.dumps(body)
            sent.setdefault("Content-Type", FHIR_JSON)
        path = target if target.startswith("/") else f"{self._base_path}/{target}"
        self._connection.request(method, path, body, sent)  # type: ignore[arg-type]
        response = self._connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def search(self, target: str) -> Page:
        """GET a search, given below the base or as the URL of a page, that must succeed."""
        answer = self.send("GET", target.removeprefix(self.server.control_url))
        assert answer.status == 200, answer.body
        return page(answer)

    def search_by_post(self, resource_type: str, **parameters: str) -> Page:
        """POST a search as a form."""
        form = "application/x-www-form-urlencoded"
        answer = self.send("POST", f"{resource_type}/_search", urlencode(parameters), Content_Type=form)
        assert answer.status == 200, answer.body
        return page(answer)

    def load(self, *resources: dict[str, Any]) -> None:
        """Store resources as they are."""
        assert self.send("POST", "/_load", list(resources)).json == {"loaded": len(resources)}


def page(answer: Answer) -> Page:
    """Read a searchset."""
    bundle = answer.json
    keys: dict[str, list[str]] = {"match": [], "include": []}
    for entry in bundle.get("entry", []):
        key = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        assert entry["fullUrl"].endswith(f"/r4/{key}")
        keys[entry["search"]["mode"]].append(key)
    return Page(keys["match"], keys["include"], bundle)
