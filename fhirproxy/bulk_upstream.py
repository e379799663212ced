"""What is said to a FHIR server about exports: kick-off, status, cancel, and files as a stream.

A file of gigabytes must not be held: bytes are fetched when somebody asks for the next ones, so a slow reader slows the
upstream down. Credentials go to the FHIR server's origin alone.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pycurl

from fhirproxy.bulk_downloads import Client, give_back, take
from fhirproxy.inflating import Inflater, MalformedStream
from fhirproxy.policy.bulk_decisions import ExportPlan
from fhirproxy.policy.bulk_requests import NDJSON
from fhirproxy.policy.bulk_urls import Places, UpstreamUrl
from fhirproxy.tenancy import UpstreamInfo
from fhirproxy.upstream import Received, UpstreamDown, UpstreamMalformed, UpstreamTimeout, new_handle, raise_for

SILENCE = 300.0  # seconds a file may stand still
HELD = 1024 * 1024  # bytes that wait at most between two looks at a stream
LONGEST_HEAD = 64 * 1024  # bytes


@dataclass(slots=True)
class Reply:
    """A complete answer, with the headers a job hangs on; none of them is passed on as it is."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def retry_after(self) -> int:
        """Return the seconds to wait, from 1 to 600; 5 when the upstream does not say it plainly."""
        text = self.headers.get("retry-after", "")
        return max(1, min(int(text), 600)) if text.isascii() and text.isdigit() and len(text) < 6 else 5

    @property
    def is_taken(self) -> bool:
        """Return True unless cancelling is to be tried again.

        A server that has no cancelling, or no such job any more, has nothing left for us to do.
        """
        return self.status not in (401, 403, 429) and self.status < 500


def places_of(info: UpstreamInfo) -> Places:
    """Return where URLs of an upstream may lead, as it is configured today."""
    return Places(info.base_url, info.base, info.bases, info.file_hosts)


def kick_off(info: UpstreamInfo, plan: ExportPlan, *, request_id: str) -> Reply:
    """Start an export. Never repeated: it could start two. Raises UpstreamError."""
    handle = new_handle()
    lines = [*_common_lines(info, request_id, with_credentials=True), "Prefer: respond-async, handling=strict"]
    lines.append("Accept: application/fhir+json")
    if plan.body:
        handle.setopt(pycurl.POSTFIELDS, plan.body)
        lines += ["Content-Type: application/fhir+json", "Expect:"]
    return _ask(handle, info, f"{info.base_url}/{plan.request.target}", lines)


def ask_status(info: UpstreamInfo, url: UpstreamUrl, *, request_id: str) -> Reply:
    """Ask how far a job is. Raises UpstreamError."""
    lines = _common_lines(info, request_id, with_credentials=url.takes_credentials)
    return _ask(new_handle(), info, url.url, [*lines, "Accept: application/json"])


def cancel(info: UpstreamInfo, url: UpstreamUrl, *, request_id: str) -> Reply:
    """Ask the upstream to drop a job and its files. Raises UpstreamError."""
    handle = new_handle()
    handle.setopt(pycurl.CUSTOMREQUEST, "DELETE")
    lines = _common_lines(info, request_id, with_credentials=url.takes_credentials)
    return _ask(handle, info, url.url, [*lines, "Accept: application/fhir+json"])


def _common_lines(info: UpstreamInfo, request_id: str, *, with_credentials: bool) -> list[str]:
    lines = ["User-Agent: fhir-access-proxy", f"X-Request-ID: {request_id}"]
    return [*lines, f"Authorization: {info.authorization}"] if with_credentials and info.authorization else lines


def _ask(handle: pycurl.Curl, info: UpstreamInfo, url: str, lines: list[str]) -> Reply:
    received, head = Received(), _Head()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.TIMEOUT_MS, info.timeout_seconds * 1_000)
    handle.setopt(pycurl.HTTPHEADER, lines)
    handle.setopt(pycurl.WRITEFUNCTION, received.write)
    handle.setopt(pycurl.HEADERFUNCTION, head.add)
    try:
        handle.perform()
        return Reply(handle.getinfo(pycurl.RESPONSE_CODE), b"".join(received.parts), head.headers)
    except pycurl.error as error:
        raise_for(*error.args, received)
    finally:
        handle.close()


class _Head:
    """The headers of the last answer on a connection; those of an interim answer are forgotten."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self._size = 0

    def add(self, line: bytes) -> int | None:
        self._size += len(line)
        if self._size > LONGEST_HEAD:
            return 0
        text = line.decode("latin-1").strip()
        if text.startswith("HTTP/"):
            self.headers.clear()
            self.is_complete = False
        elif text:
            name, _, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        else:
            self.is_complete = True
        return None


class Download:
    """A file on its way. Used by one thread at a time; `close` may be called at any moment and more than once."""

    def __init__(self, info: UpstreamInfo, url: UpstreamUrl, *, client: Client, request_id: str) -> None:
        """Raises FhirRefusal (429) when too many are on their way, to `client` or in all."""
        self._client = client
        self._head = _Head()
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_paused = False
        self._failure: tuple[int, str] | None = None
        self._is_done = False
        self._handle = handle = new_handle()
        lines = _common_lines(info, request_id, with_credentials=url.takes_credentials)
        handle.setopt(pycurl.URL, url.url)
        handle.setopt(pycurl.HTTPHEADER, [*lines, f"Accept: {NDJSON}"])
        handle.setopt(pycurl.BUFFERSIZE, 128 * 1024)
        handle.setopt(pycurl.ACCEPT_ENCODING, "gzip")
        handle.setopt(pycurl.HTTP_CONTENT_DECODING, 0)  # Unpacked by us, so that a bomb is seen while it unfolds.
        handle.setopt(pycurl.HEADERFUNCTION, self._head.add)
        handle.setopt(pycurl.WRITEFUNCTION, self._write)
        self._multi: Any = pycurl.CurlMulti()
        take(client)
        self._multi.add_handle(handle)

    def open(self) -> int:
        """Wait for the head of the answer and return its status. Raises UpstreamError."""
        while True:
            self._advance()
            status: int = self._handle.getinfo(pycurl.RESPONSE_CODE)
            # An interim answer has a head too; what follows it is the answer.
            if self._is_done or self._waiting or (self._head.is_complete and status >= 200):
                self._require_whole()
                return status

    def chunks(self) -> Iterator[bytes]:
        """Yield the file, unpacked. Raises UpstreamError when it stops before its end, or unfolds beyond reason."""
        encoding = self._head.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise UpstreamMalformed("a file is encoded in a way that was not asked for")
        inflater = Inflater() if encoding == "gzip" else None
        try:
            while True:
                part = b"".join(self._waiting)
                self._waiting, self._size = [], 0
                yield from inflater.feed(part) if inflater else (part,)
                if self._is_done and not self._waiting:
                    break
                self._advance()
                self._require_whole()
            if inflater:
                inflater.finish()
        except MalformedStream as why:
            raise UpstreamMalformed(str(why)) from None

    def close(self) -> None:
        """Let go of the connection."""
        multi, self._multi = self._multi, None
        if multi is None:
            return
        give_back(self._client)
        with suppress(pycurl.error):  # When nobody closed us, the garbage collector may have been there first.
            multi.remove_handle(self._handle)
            multi.close()
            self._handle.close()

    def _write(self, part: bytes) -> int | None:
        if self._size >= HELD:
            self._is_paused = True
            return int(pycurl.WRITEFUNC_PAUSE)
        self._waiting.append(part)
        self._size += len(part)
        return None

    def _advance(self) -> None:
        """Let libcurl work until something came or the transfer ended. Raises UpstreamTimeout after long silence."""
        if self._is_paused:
            self._is_paused = False
            self._handle.pause(pycurl.PAUSE_CONT)
        silent_since = time.monotonic()
        while not self._waiting and not self._is_done:
            had_head = self._head.is_complete
            _, running = self._multi.perform()
            _, _, failed = self._multi.info_read()
            if failed:
                self._failure = (failed[0][1], failed[0][2])
            self._is_done = running == 0
            if self._waiting or self._is_done or self._head.is_complete != had_head:
                return
            if time.monotonic() - silent_since > SILENCE:
                raise UpstreamTimeout("a file stood still for too long")
            if self._multi.select(1.0) < 0:
                time.sleep(0.01)  # There is no socket yet: a name is being resolved.

    def _require_whole(self) -> None:
        if self._failure is None:
            return
        code, message = self._failure
        if code == pycurl.E_OPERATION_TIMEDOUT:
            raise UpstreamTimeout("no connection in time")
        if not self._head.is_complete:
            raise UpstreamDown(f"the connection failed (curl error {code}: {message})")
        raise UpstreamMalformed(f"a file is cut off (curl error {code}: {message})")
