"""Files of an export, line by line: each line is parsed strictly, checked like a search match, and written anew.

Nothing is held but the line at hand and a first stretch. A file that fits into that stretch is answered whole, so that
an upstream that breaks is a 502. Later the head has left already; then the last line is left unfinished, which nobody
who reads NDJSON takes for the end of a complete file.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping

from fhirproxy.answers import PRIVATE
from fhirproxy.bulk_downloads import Client
from fhirproxy.bulk_upstream import Download
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.bulk_decisions import JobPlan
from fhirproxy.policy.bulk_deletions import read_deletions
from fhirproxy.policy.bulk_requests import NDJSON, elements_of
from fhirproxy.policy.bulk_results import Lines, error_line, is_json, read_line
from fhirproxy.policy.bulk_urls import UpstreamUrl
from fhirproxy.policy.compartments import NOTHING_KNOWN, Known, Unchecked, check, needed
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.results import Shape
from fhirproxy.policy.shaping import Shaped, shape
from fhirproxy.upstream import UpstreamError, UpstreamMalformed
from smartauth.audit.recording import AuditUnavailable
from smartauth.errors import Refusal

STRETCH = 4 * 1024 * 1024  # bytes held back until it is known whether more follows
STRETCH_SECONDS = 5.0  # and no longer than this: whoever waits must see that something happens
HEAD = (("Content-Type", NDJSON), *PRIVATE)
# Deliberately no JSON: it ends inside an object.
UNFINISHED = b'{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"incomplete","diagnostics":"%s"'

Note = Callable[[str, Mapping[str, str | int]], None]


def file_answer(sifter: "Sifter", url: UpstreamUrl, exchange: Exchange, *, client: Client, note: Note) -> RawResponse:
    """Return the file as it may be seen. `note` records what was allowed and, at the end, how many lines were removed.

    Raises UpstreamError, AuditUnavailable or FhirRefusal: 404 when the upstream has the file no more, 429 when
    `client`, or everybody together, reads too many.
    """
    exchange.calls += 1
    download = Download(exchange.info, url, client=client, request_id=exchange.request_id)
    try:
        _require_found(download.open())
        note("file", {"scopes": sifter.scopes})
        pieces = sifter.pieces(download.chunks())
        first, is_whole = _first_stretch(pieces)
    except BaseException:
        download.close()
        raise
    if is_whole:
        download.close()
        note("file-end", sifter.counts(is_complete=True))
        return RawResponse(200, (*HEAD, ("Content-Length", str(len(first)))), first)
    stream = _stream(first, pieces, download, sifter, note, exchange.request_id)
    next(stream)  # Now closing it closes the download, even if nobody ever asks for a byte.
    return RawResponse(200, HEAD, stream=stream)


def error_answer(trace_id: str) -> RawResponse:
    """Return the file that says that something went wrong, without what the upstream said about it."""
    body = error_line(trace_id).encode() + b"\n"
    return RawResponse(200, (*HEAD, ("Content-Length", str(len(body)))), body)


def _require_found(status: int) -> None:
    if status in (404, 410):
        refusal = Refusal("bulk.file_gone", "the file is no longer there; ask for the status of the export again")
        raise FhirRefusal(404, "not-found", refusal)
    if status != 200:
        raise UpstreamMalformed(f"status {status} for a file of an export")


def _first_stretch(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the beginning of a file, and whether that is all of it."""
    parts, size, give_up_at = [], 0, time.monotonic() + STRETCH_SECONDS
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size >= STRETCH or time.monotonic() > give_up_at:
            return b"".join(parts), False
    return b"".join(parts), True


def _stream(
    first: bytes, pieces: Iterator[bytes], download: Download, sifter: "Sifter", note: Note, trace_id: str
) -> Generator[bytes, None, None]:
    is_complete = False
    try:
        yield b""
        yield first
        yield from filter(None, pieces)
        is_complete = True
    except UpstreamError:
        # The server in front ends a body properly whatever is raised here, so the body itself must not look complete.
        yield UNFINISHED % trace_id.encode()
        raise
    finally:
        download.close()
        try:
            note("file-end", sifter.counts(is_complete=is_complete))
        except AuditUnavailable:  # That the file was given is on record; only the counts are lost.
            logging.getLogger(__name__).exception("the counts of request %s were not recorded", trace_id)


class Sifter(ABC):
    """Looks at every line of one file. What passes is for the kinds of files to say."""

    scopes = ""  # those that may admit a line, for the audit record

    def __init__(self, plan: JobPlan, exchange: Exchange) -> None:
        self._plan = plan
        self._exchange = exchange
        self._bases = exchange.info.bases
        self._lines = Lines()

    @abstractmethod
    def find_shaped(self, line: bytes) -> Shaped | None:
        """Return a line as it may leave, or None."""

    def counts(self, *, is_complete: bool) -> dict[str, str | int]:
        """Return how many lines were looked at and how many did not pass."""
        exchange = self._exchange
        return {
            "checked": exchange.checked + self._lines.too_long,
            "removed": exchange.removed + self._lines.too_long,
            "upstream_calls": exchange.calls,
            "complete": int(is_complete),
        }

    def pieces(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what passes of each chunk, which may be nothing. Raises UpstreamError when the file breaks off."""
        for chunk in chunks:
            yield b"".join(map(self._passed, self._lines.feed(chunk)))
        last = self._lines.finish()
        if last:
            if not is_json(last):
                raise UpstreamMalformed("a file is cut off inside its last line")
            yield self._passed(last)

    def _passed(self, line: bytes) -> bytes:
        self._exchange.checked += 1
        shaped = self.find_shaped(line)
        if shaped is None:
            self._exchange.removed += 1
            return b""
        return shaped.encode() + b"\n"


class Resources(Sifter):
    """Lines of one type: each is checked as a match of a search is."""

    def __init__(self, resource_type: str, plan: JobPlan, elements: tuple[str, ...], exchange: Exchange) -> None:
        super().__init__(plan, exchange)
        self._type = resource_type
        self._grants = plan.grants_for(resource_type)
        self._is_full = plan.is_full(resource_type)
        self._shape = Shape(elements=elements_of(resource_type, elements))
        self.scopes = ",".join(sorted({f"{one.level}/{one.resource}.{one.letters}" for one in self._grants}))

    def find_shaped(self, line: bytes) -> Shaped | None:
        """Return the resource of a line with its elements and our URLs, or None when it is outside."""
        unchecked = read_line(line, self._type)
        if unchecked is None:
            return None
        checked = check(unchecked, self._grants, "s", self._bases, self._known(unchecked))
        return shape(checked, self._shape, self._bases) if checked else None

    def _known(self, unchecked: Unchecked) -> Known:
        """Fetch what this line hangs on. Each line has a budget of its own, and nothing is kept from line to line."""
        exchange = self._exchange
        wanted = () if self._is_full else needed(unchecked, self._bases)
        if not wanted:
            return NOTHING_KNOWN
        exchange.fetched = 0
        exchange.known.clear()
        return exchange.learn(wanted)


class Deletions(Sifter):
    """Lines that say what was deleted."""

    def find_shaped(self, line: bytes) -> Shaped | None:
        """Return the deletions of a line in our words, or None when it tells of none that count here."""
        return read_deletions(line, self._plan, self._bases)
