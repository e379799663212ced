"""To which launch a request for a public document belongs: it carries no handle, and is told by where it comes from."""

from datetime import datetime
from urllib.parse import urlsplit

from django.http import HttpRequest

from clients.registered import find_client
from smartauth.conf import config
from smartauth.sandbox.launcher import runs
from smartauth.sandbox.launcher.browsers import browser_of
from smartauth.sandbox.models import Run


def find_run(request: HttpRequest, now: datetime) -> Run | None:
    """Return the launch whose app most likely asks, None where that is anybody's guess.

    A page is known by its origin: that of a URL its client has registered. What comes from no page, as from an app's
    server, counts for the latest launch, but only while nobody else has one.
    """
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return None  # Somebody reads it in the browser.
    origin = _origin(request.headers.get("Origin", "") or request.headers.get("Referer", ""))
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        origin = _origin(config().base_url)  # The sandbox's own apps: browsers say no origin to where they are.
    browser = browser_of(request)
    if origin:
        from_there = [one for one in runs.watched_clients(now) if origin in _origins_of(one)]
        return runs.watched_of_client(from_there, browser=browser, now=now)
    return None if browser else runs.watched_alone(now)


def _origins_of(client_id: str) -> frozenset[str]:
    client = find_client(client_id)
    if client is None:
        return frozenset()
    return client.allowed_origins | {_origin(url) for url in (*client.redirect_uris, *client.launch_urls)}


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # Headers are anything.
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""
