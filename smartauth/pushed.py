"""Authorization requests that an app hands over itself, before a browser comes with a reference to them.

Source: RFC 9126.
"""

from datetime import datetime

from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth.conf import config
from smartauth.digests import digest, new_secret
from smartauth.errors import Refusal
from smartauth.models import PendingAuthorization

PREFIX = "urn:ietf:params:oauth:request_uri:"
LONGEST = 200  # characters of what may be one of ours
AGAIN = "Push the request again, and send the browser on at once."


class NotOpened(Exception):
    """A request_uri leads to no request that waits. `refusal` says why; the person learns nothing of it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def new_request_uri() -> str:
    """Return a reference that nobody can guess (RFC 9126 §2.2: 256 bits)."""
    return PREFIX + new_secret()


def is_ours(request_uri: str) -> bool:
    """Return True for a value of the kind we give out, whether or not we gave it out."""
    return request_uri.startswith(PREFIX)


def open_pushed(
    request_uri: str, *, client: RegisteredClient, addressed: TenantInfo | None, now: datetime
) -> PendingAuthorization:
    """Take a pushed request out of waiting: once, for the client that pushed it, while it is good. Raises NotOpened.

    addressed: the tenant of the URL the browser came to, None for a short URL.  Source: RFC 9126 §4 and §7.3.
    """
    key = digest(request_uri) if len(request_uri) <= LONGEST else ""
    pushed = PendingAuthorization.objects.filter(request_uri=key).exclude(request_uri="")
    waiting = pushed.filter(client_id=client.pk, opened_at__isnull=True, expires_at__gt=now)
    if addressed is not None:
        waiting = waiting.filter(tenant_id=addressed.pk)
    # One statement decides: of two browsers that come at once one opens it.
    opened = waiting.update(opened_at=now, expires_at=now + config().pending_lifetime)
    known = pushed.select_related("tenant").first()
    if opened and known:
        return known
    raise NotOpened(_why(known, client, now))


def _why(known: PendingAuthorization | None, client: RegisteredClient, now: datetime) -> Refusal:
    if known is None:
        return Refusal("request_uri.unknown", "no request was pushed under this request_uri, or long ago", fix=AGAIN)
    if known.client_id != client.pk:
        return Refusal("request_uri.not_yours", "the request was pushed by another client", fix=AGAIN)
    if known.opened_at is not None:
        seen = f"first used at {known.opened_at.isoformat(timespec='seconds')}"
        return Refusal("request_uri.used", "the request_uri was used before; each is good once", seen=seen, fix=AGAIN)
    if known.expires_at <= now:
        seen = f"{int((now - known.expires_at).total_seconds())} s ago"
        return Refusal("request_uri.expired", "the request_uri has expired", seen=seen, fix=AGAIN)
    return Refusal(
        "request_uri.other_tenant",
        "the request was pushed for another FHIR base than this URL serves",
        expected=known.tenant.slug,
        fix="Send the browser to the authorization_endpoint of the same tenant.",
    )
