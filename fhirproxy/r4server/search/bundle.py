"""A searchset Bundle, put together from resources that are encoded already.  Source: FHIR R4 bundle.html#searchset."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from fhirproxy.r4server.encoding import encode
from fhirproxy.r4server.search.paging import OFFSET_PARAMETER, TOKEN_PARAMETER, Snapshot
from fhirproxy.r4server.search.query import SearchQuery
from fhirproxy.r4server.store import Version


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a searchset and why it is there."""

    version: Version
    search_mode: Literal["match", "include"] = "match"


def searchset(entries: list[Entry], links: list[tuple[str, str]], total: int | None, *, base_url: str) -> bytes:
    """Return the Bundle as JSON. links: (relation, URL).  total: left out when None.  base_url: no trailing slash."""
    head: dict[str, object] = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if not entries:
        return encode(head)
    # The stored bytes go out as they are: encoding a page again would cost more than finding it.
    return encode(head)[:-1] + b',"entry":[' + b",".join(_entry(entry, base_url) for entry in entries) + b"]}"


def _entry(entry: Entry, base_url: str) -> bytes:
    full_url = f"{base_url}/{entry.version.key}"
    mode = entry.search_mode.encode()
    return b'{"fullUrl":%b,"resource":%b,"search":{"mode":"%b"}}' % (encode(full_url), entry.version.raw, mode)


def self_link(query: SearchQuery, *, base_url: str) -> str:
    """Return the URL of the search as it was understood: what was ignored is not in it."""
    text = urlencode(query.applied, safe="/:|,$")
    return f"{base_url}/{query.resource_type}" + (f"?{text}" if text else "")


def page_links(snapshot: Snapshot, offset: int, *, base_url: str) -> list[tuple[str, str]]:
    """Return the `previous` and `next` links of a page that exist."""
    size = snapshot.query.page_size
    links = []
    if offset > 0:
        links.append(("previous", page_url(snapshot, max(offset - size, 0), base_url=base_url)))
    if offset + size < len(snapshot.matches):
        links.append(("next", page_url(snapshot, offset + size, base_url=base_url)))
    return links


def page_url(snapshot: Snapshot, offset: int, *, base_url: str) -> str:
    """Return the URL of one page: it names the snapshot and nothing of the search."""
    return f"{base_url}?{urlencode({TOKEN_PARAMETER: snapshot.token, OFFSET_PARAMETER: offset})}"
