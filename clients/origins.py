"""The browser origins of clients: those of their redirect URIs, and those registered besides.

Source: SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS) support"; RFC 6454 §6.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db.models import Q

from clients.models import Client
from clients.registered import find_client
from clients.uri_rules import LOOPBACK_HOSTS, origin_problem
from smartauth.conf import config
from smartauth.cross_origin import CrossOrigin


def origins_from(redirect_uris: Iterable[str], allowed_origins: Iterable[str]) -> frozenset[str]:
    """Return the origins of a registration. http counts on loopback in the sandbox, private-use schemes never do."""
    return frozenset(allowed_origins) | {origin for uri in redirect_uris if (origin := _origin(uri))}


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    is_local = config().is_sandbox and parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS
    if parts.scheme != "https" and not is_local:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    is_default = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def origins_of(client_id: str) -> frozenset[str]:
    """Return the origins of a registered client, none for an unknown one."""
    client = find_client(client_id)
    return origins_from(client.redirect_uris, client.allowed_origins) if client else frozenset()


def is_registered_origin(origin: str) -> bool:
    """Return True when any approved client has this origin. One statement for what can be an origin at all."""
    if origin_problem(origin, http_on_loopback=config().is_sandbox):
        return False
    mentions = Q(redirect_uris__contains=origin) | Q(allowed_origins__contains=origin)
    rows = Client.objects.filter(mentions, status=Client.Status.APPROVED)
    listed = rows.values_list("redirect_uris", "allowed_origins")
    return any(origin in origins_from(uris.split(), allowed.split()) for uris, allowed in listed.iterator())


REGISTERED_ORIGINS = CrossOrigin(origins_of, is_registered_origin)
