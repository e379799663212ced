"""An app that somebody is just writing, registered from the launcher in one step: in the sandbox, on this machine only.

Whatever a link says, nothing is registered before somebody presses the button, and no code ever leaves the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registration import Registered, register_client
from clients.tenants import find_tenant
from clients.uri_rules import LOOPBACK_HOSTS, web_url_problem
from smartauth.conf import config
from smartauth.sandbox.launcher.choices import scope_problem
from smartauth.sandbox.seed import TENANT

SOFTWARE_ID = "registered-at-the-launcher"
MOST_APPS = 50  # registered so; the portal has no limit
LONGEST = 2_000  # characters of a field
PROOFS = {
    "none": "Nothing: it runs in a browser or on a phone, and uses PKCE",
    "client_secret_basic": "A secret: it has a server",
}
DEFAULT_SCOPE = "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.rs user/*.rs"
MEMBERS = {"client_name": "name", "scope": "scope", "redirect_uris": "redirect_uris", "launch_urls": "launch_url"}


@dataclass(frozen=True, slots=True)
class Described:
    """The fields of the form, as they were typed. `redirect_uris`: one on each line."""

    name: str = ""
    launch_url: str = ""
    redirect_uris: str = ""
    proof: str = "none"
    scope: str = DEFAULT_SCOPE


def read(given: Mapping[str, str]) -> tuple[Described, dict[str, str]]:
    """Return the fields as they were given, and what is wrong with each that is not good: name to sentence."""
    typed = {name: given[name].strip()[: LONGEST + 1] for name in Described.__dataclass_fields__ if name in given}
    found = Described(**typed)
    wrong = {}
    if not found.name:
        wrong["name"] = "give it a name that people see when they allow it"
    elif not found.name.isprintable():
        wrong["name"] = "it has a character that cannot be printed"
    if found.proof not in PROOFS:
        wrong["proof"] = f"choose one of {', '.join(PROOFS)}"
    if found.launch_url and (problem := url_problem(found.launch_url)):
        wrong["launch_url"] = problem
    uris = found.redirect_uris.split()
    problems = [f"{uri[:80]}: {problem}" for uri in uris if (problem := url_problem(uri))]
    if problems or not uris:
        wrong["redirect_uris"] = "; ".join(problems[:3]) or "name where the app gets its answer, one URL on each line"
    if problem := _scope_problem(found.scope):
        wrong["scope"] = problem
    too_long = {name: f"it is longer than {LONGEST} characters" for name, text in typed.items() if len(text) > LONGEST}
    return found, wrong | too_long


def url_problem(url: str) -> str:
    """Say why an app cannot be registered here with a URL, or return ""."""
    problem = web_url_problem(url, http_on_loopback=True)
    if problem:
        return problem
    if (urlsplit(url).hostname or "") not in LOOPBACK_HOSTS:
        return "it is not on this machine: register others at the developer portal"
    if _port(url) == _port(config().base_url):
        return "it is of this server itself"
    return ""


def _scope_problem(scope: str) -> str:
    if not scope:
        return "name at least one"
    is_services = any(one.startswith("system/") for one in scope.split())
    return (
        "system/ is for backend services: register those at the developer portal"
        if is_services
        else scope_problem(scope)
    )


def register(found: Described, *, owner: int | None) -> tuple[Registered | None, dict[str, str]]:
    """Register an app that is good, active at the sandbox's hospital; else return what is wrong with which field.

    owner: who finds it at the developer portal, the primary key of a user.
    """
    if Client.objects.filter(software_id=SOFTWARE_ID).count() >= MOST_APPS:
        return None, {"": f"{MOST_APPS} apps were registered so; use the developer portal, or run make reset"}
    tenant = find_tenant(TENANT)
    try:
        registered = register_client(
            _metadata(found), operator=False, approved=True, activate_at=(tenant,) if tenant else (), owner=owner
        )
    except InvalidClientMetadata as error:
        return None, {MEMBERS.get(error.member, ""): error.refusal.reason}
    return registered, {}


def same(found: Described) -> Client | None:
    """Return the app that was registered here just so, or None; also for one whose secret nobody knows again."""
    if found.proof != "none":
        return None
    before = Client.objects.filter(software_id=SOFTWARE_ID, token_endpoint_auth_method="none", name=found.name)
    uris = " ".join(found.redirect_uris.split())
    return before.filter(launch_urls=found.launch_url, redirect_uris=uris, scope=found.scope).first()


def _metadata(found: Described) -> dict[str, Any]:
    return {
        "client_name": found.name,
        "token_endpoint_auth_method": found.proof,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": found.redirect_uris.split(),
        "post_logout_redirect_uris": found.redirect_uris.split(),
        "launch_urls": [found.launch_url] if found.launch_url else [],
        "scope": found.scope,
        "software_id": SOFTWARE_ID,
    }


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
