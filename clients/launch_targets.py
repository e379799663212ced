"""Which app is opened at a URL: it has to be registered for it, so that nobody is led anywhere else.

Source: SMART 2.2 task-launch; RFC 9700 §4.11 for what an unregistered URL would be good for.
"""

from clients.models import Activation, Client
from clients.registered import RegisteredClient, find_client


def clients_launched_at(url: str, tenant: str) -> tuple[RegisteredClient, ...]:
    """Return the approved clients, active at a tenant, that have exactly this launch URL, by their client_id."""
    if not url or any(one.isspace() for one in url):
        return ()  # Launch URLs are stored with blanks between them.
    active = Activation.objects.filter(tenant__slug=tenant, is_active=True).values("client_id")
    rows = Client.objects.filter(pk__in=active, status=Client.Status.APPROVED, launch_urls__contains=url)
    found = (find_client(client_id) for client_id in rows.order_by("client_id").values_list("client_id", flat=True))
    return tuple(one for one in found if one is not None and url in one.launch_urls)
