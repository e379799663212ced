"""Histories: every version of a resource, a type or everything, newest first.  Source: FHIR R4 http.html#history."""

from datetime import datetime

from fhirproxy.r4server.encoding import JsonObject, encode
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.search.dates import parse_date
from fhirproxy.r4server.search.paging import Snapshot
from fhirproxy.r4server.search.query import SearchQuery
from fhirproxy.r4server.store import Store, Version, format_instant

DEFAULT_COUNT = 50


def history_of(store: Store, resource_type: str | None, resource_id: str | None, *, leaky: bool) -> list[Version]:
    """Return the versions asked for, newest first; a leaky server tells those of every resource there is.

    Raises FhirError 404 for an instance that never was.
    """
    found = store.versions(None if leaky else resource_type, None if leaky else resource_id)
    if resource_id is not None and not found:
        raise FhirError(404, "not-found", "there is no such resource")
    return sorted(found, key=lambda version: (version.updated_at, version.number), reverse=True)


def snapshot_of(versions: list[Version], resource_type: str | None, pairs: list[tuple[str, str]]) -> Snapshot:
    """Return the versions `_since` and `_count` leave, as a result that can be paged. Raises FhirError 400."""
    asked = dict(pairs)
    since = _instant(asked["_since"]) if "_since" in asked else None
    count = asked.get("_count", str(DEFAULT_COUNT))
    if not count.isascii() or not count.isdigit() or len(count) > 9:
        raise FhirError(400, "invalid", "_count is not a number")
    kept = tuple(version for version in versions if since is None or version.updated_at >= since)
    query = SearchQuery(resource_type or "", page_size=max(int(count), 1))
    return Snapshot("", query, kept, is_history=True)


def _instant(text: str) -> datetime:
    try:
        return parse_date(text).low
    except ValueError as error:
        raise FhirError(400, "invalid", "_since is not a date") from error


def history_bundle(versions: tuple[Version, ...], links: list[tuple[str, str]], total: int, *, base_url: str) -> bytes:
    """Return one page of a history as a Bundle."""
    return encode(
        {
            "resourceType": "Bundle",
            "type": "history",
            "total": total,
            "link": [{"relation": relation, "url": url} for relation, url in links],
            "entry": [_entry(version, base_url) for version in versions],
        }
    )


def _entry(version: Version, base_url: str) -> JsonObject:
    method = "DELETE" if version.resource is None else "PUT"
    found: JsonObject = {"fullUrl": f"{base_url}/{version.key}"}
    if version.resource is not None:
        found["resource"] = version.resource
    return {
        **found,
        "request": {"method": method, "url": version.key},
        "response": {
            "status": "204" if method == "DELETE" else "200",
            "etag": version.etag,
            "lastModified": format_instant(version.updated_at),
        },
    }
