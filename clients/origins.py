"""The browser origins of clients: those of their redirect URIs, and those registered besides.

Source: SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS) support"; RFC 6454 §6.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db import InterfaceError, OperationalError
from django.db.models import Q

from clients.models import Client
from clients.registered import find_client
from clients.uri_rules import LOOPBACK_HOSTS, origin_problem
from smartauth.conf import config
from smartauth.cross_origin import MayRead

MOST_READERS = 10_000
_readers: OrderedDict[tuple[str, str], None] = OrderedDict()  # who could read when last asked, the latest at the end
_lock = threading.Lock()


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


def verified_origins_of(client_id: str) -> frozenset[str]:
    """Return the origins of a client that the operator has verified, none for any other."""
    client = find_client(client_id)
    return origins_of(client_id) if client is not None and client.is_operator_verified else frozenset()


def is_registered_origin(origin: str) -> bool:
    """Return True when any approved client has this origin. One statement for what can be an origin at all."""
    if origin_problem(origin, http_on_loopback=config().is_sandbox):
        return False
    mentions = Q(redirect_uris__contains=origin) | Q(allowed_origins__contains=origin)
    rows = Client.objects.filter(mentions, status=Client.Status.APPROVED)
    listed = rows.values_list("redirect_uris", "allowed_origins")
    return any(origin in origins_from(uris.split(), allowed.split()) for uris, allowed in listed.iterator())


def may_read(origin: str, client_id: str) -> bool:
    """Return True when pages of `origin` may read what `client_id` is told; "": what is told before anybody is named.

    While the database is away the answer is the last one given, so that a page reads that we are not available.
    """
    key = (origin, client_id)
    try:
        answer = origin in origins_of(client_id) if client_id else is_registered_origin(origin)
    except (OperationalError, InterfaceError):
        return key in _readers
    with _lock:
        _readers.pop(key, None)
        if answer:
            _readers[key] = None
        while len(_readers) > MOST_READERS:
            _readers.popitem(last=False)
    return answer


REGISTERED_ORIGINS: MayRead = may_read
