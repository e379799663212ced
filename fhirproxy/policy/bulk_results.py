"""What comes back of an export: a manifest, read and written anew, and lines, each held to the same check as a read.

Source: Bulk Data Access IG, "Response - Complete Status"; http://ndjson.org.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fhirproxy.policy.bodies import Json, MalformedJson, Resource, parse_json, parse_resource
from fhirproxy.policy.bulk_decisions import JobPlan
from fhirproxy.policy.bulk_deletions import may_hear_of_deletions
from fhirproxy.policy.bulk_requests import ERROR_FILE, is_instant
from fhirproxy.policy.compartments import Unchecked, find_unchecked
from fhirproxy.policy.outcomes import operation_outcome
from fhirproxy.policy.shaping import Shaped, written_by_us

LONGEST_LINE = 10 * 1024 * 1024  # bytes
MAX_FILES = 50_000


class MalformedManifest(ValueError):
    """The upstream's manifest is not one. The text is for the officer."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file as the upstream described it: of resources, or of deletions, which come as Bundles."""

    type: str
    url: str
    is_deletions: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an upstream said of a finished export."""

    at: str
    needs_token: bool
    files: tuple[ExportedFile, ...]
    has_errors: bool
    removed: int  # files of types the job was not started for, and of deletions that are not told


def parse_manifest(tree: Json, plan: JobPlan) -> Manifest:
    """Read a manifest; files of types outside the job are left out. Raises MalformedManifest."""
    if not isinstance(tree, dict):
        raise MalformedManifest("it is not an object")
    at, needs_token, output = tree.get("transactionTime"), tree.get("requiresAccessToken"), tree.get("output")
    if not isinstance(at, str) or not is_instant(at):
        raise MalformedManifest("transactionTime is not an instant")
    if not isinstance(needs_token, bool):
        raise MalformedManifest("requiresAccessToken is not a boolean")
    if not isinstance(output, list) or len(output) > MAX_FILES:
        raise MalformedManifest("output is not a list, or too long")
    files = [_parse_file(one) for one in output]
    kept = tuple(one for one in files if plan.grants_for(one.type))
    deleted = tree.get("deleted", [])
    if not isinstance(deleted, list) or len(deleted) > MAX_FILES:
        raise MalformedManifest("deleted is not a list, or too long")
    told = [_parse_file(one, is_deletions=True) for one in deleted] if may_hear_of_deletions(plan) else []
    removed = len(files) + len(deleted) - len(kept) - len(told)
    return Manifest(at, needs_token, (*kept, *told), bool(tree.get("error")), removed)


def _parse_file(one: Json, *, is_deletions: bool = False) -> ExportedFile:
    if isinstance(one, dict):
        kind, url = one.get("type"), one.get("url")
        if isinstance(kind, str) and isinstance(url, str) and (kind == "Bundle" or not is_deletions):
            return ExportedFile(kind, url, is_deletions)
    raise MalformedManifest("a file has no type or no URL")


def write_manifest(manifest: Manifest, *, request_url: str, job_url: str) -> Shaped:
    """Return the manifest in our words. Counts are left out: they count lines that a check may still remove."""
    output: list[Json] = []
    deleted: list[Json] = []
    for number, one in enumerate(manifest.files, start=1):
        place: Json = {"type": one.type, "url": f"{job_url}/{number}"}
        (deleted if one.is_deletions else output).append(place)
    error: list[Json] = [{"type": "OperationOutcome", "url": f"{job_url}/{ERROR_FILE}"}] if manifest.has_errors else []
    document: Resource = {
        "transactionTime": manifest.at,
        "request": request_url,
        "requiresAccessToken": True,
        "output": output,
        "error": error,
    }
    if deleted:
        document["deleted"] = deleted
    return written_by_us(document)


def error_line(trace_id: str) -> Shaped:
    """Return the only line of the file of errors: what the upstream wrote about its failures stays with us."""
    return written_by_us(operation_outcome("exception", "Some resources could not be exported.", trace_id))


def read_line(line: bytes, resource_type: str) -> Unchecked | None:
    """Return the resource of a line, or None unless it is strict JSON and a resource of the declared type."""
    try:
        tree: Resource = parse_resource(line)
    except MalformedJson:
        return None
    unchecked = find_unchecked(tree)
    return unchecked if unchecked is not None and unchecked.type == resource_type else None


def is_json(line: bytes) -> bool:
    """Return True for strict JSON. A last line that is none and has no line feed was cut off."""
    try:
        parse_json(line)
    except MalformedJson:
        return False
    return True


class Lines:
    """Cuts bytes into lines and never holds more than one of them. Lines over the limit are counted and thrown away."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self.too_long = 0
        self._longest = longest
        self._rest = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that end in `data`, blank ones left out."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            start = end + 1
            line = self.finish()
            if line:
                yield line
        self._keep(data[start:])

    def finish(self) -> bytes:
        """Return what stands after the last line feed so far, or nothing."""
        line = b"" if self._is_skipping else bytes(self._rest)
        self._rest.clear()
        self._is_skipping = False
        return line if line.strip() else b""

    def _keep(self, part: bytes) -> None:
        if self._is_skipping:
            return
        if len(self._rest) + len(part) > self._longest:
            self._is_skipping = True
            self.too_long += 1
            self._rest.clear()
        else:
            self._rest += part
