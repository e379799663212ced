"""Export jobs in memory: what is in their files, and the URLs under which a client finds them.

Source: Bulk Data Access IG, "Bulk Data Status Request" and "Bulk Data Output File Request".
"""

import gzip
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.export.kickoff import Wanted, parse_kickoff
from fhirproxy.r4server.export.members import compartment_patients, group_members
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.messages import Request, Response, json_response
from fhirproxy.r4server.store import Store, Version, format_instant

KEPT = 100  # jobs; the oldest leave first
LINES_PER_FILE = 200
NDJSON = "application/fhir+ndjson"
# What slips into every file of a server that is not honest, so as a rule lines of several patients and types.
FOREIGN_TYPES = ("Patient", "Observation", "Condition", "AuditEvent", "Practitioner")


@dataclass(slots=True)
class Job:
    """One export. It is under way until it was asked about once."""

    request_url: str
    at: str
    files: list[tuple[str, bytes]]
    is_asked: bool = False


@dataclass(slots=True)
class Exports:
    """The jobs of one FHIR base."""

    base_url: str
    store: Store
    jobs: OrderedDict[str, Job] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kick_off(self, request: Request, *, patients: bool = False, group: str = "", is_leaky: bool) -> Response:
        """Start an export of everything, of all patients, or of the members of one group. Raises FhirError."""
        wanted = parse_kickoff(request, own_base=f"{self.base_url}/")
        reach = group_members(self.store, group) if group else None
        if wanted.patients:
            reach = wanted.patients if reach is None else reach & wanted.patients
        files = []
        for resource_type in sorted(wanted.types or resource_types()):
            versions = [
                version
                for version in self.store.all_of(resource_type)
                if is_leaky or _is_wanted(version, wanted, reach, patients=patients or bool(group))
            ]
            foreign = self._foreign(resource_type) if is_leaky and versions else []
            lines = [version.raw + b"\n" for version in [*foreign, *versions]]
            for start in range(0, len(lines), LINES_PER_FILE):
                files.append((resource_type, b"".join(lines[start : start + LINES_PER_FILE])))
        url = f"{self.base_url}{request.path}" + (f"?{request.query}" if request.query else "")
        return self._started(Job(url, format_instant(datetime.now(UTC)), files))

    def status(self, key: str) -> Response:
        """Say how far a job is: once that it is under way, then its manifest. Raises FhirError 404."""
        job = self._get(key)
        if not job.is_asked:
            job.is_asked = True
            return Response(202, headers=[("X-Progress", "17 of 4711 resources"), ("Retry-After", "1")])
        output: list[JsonObject] = [
            {"type": resource_type, "url": f"{self.base_url}/_export/{key}/{number}", "count": body.count(b"\n")}
            for number, (resource_type, body) in enumerate(job.files)
        ]
        return json_response(
            {
                "transactionTime": job.at,
                "request": job.request_url,
                "requiresAccessToken": True,
                "output": output,
                "error": [],
            }
        )

    def file(self, request: Request, key: str, number: str) -> Response:
        """Return one file, compressed when the client takes gzip. Raises FhirError 404."""
        files = self._get(key).files
        if not (number.isascii() and number.isdigit() and len(number) < 6 and int(number) < len(files)):
            raise FhirError(404, "not-found", "the export has no such file")
        body = files[int(number)][1]
        if "gzip" in (request.header("Accept-Encoding") or ""):
            return Response(200, gzip.compress(body, 1), NDJSON, [("Content-Encoding", "gzip")])
        return Response(200, body, NDJSON)

    def cancel(self, key: str) -> Response:
        """Forget a job. Raises FhirError 404."""
        self._get(key)
        with self.lock:
            self.jobs.pop(key, None)
        return Response(202)

    def _started(self, job: Job) -> Response:
        key = str(uuid.uuid4())
        with self.lock:
            self.jobs[key] = job
            while len(self.jobs) > KEPT:
                self.jobs.popitem(last=False)
        return Response(202, headers=[("Content-Location", f"{self.base_url}/_export/{key}")])

    def _get(self, key: str) -> Job:
        with self.lock:
            job = self.jobs.get(key)
        if job is None:
            raise FhirError(404, "not-found", "there is no such export")
        return job

    def _foreign(self, resource_type: str) -> list[Version]:
        others = [self.store.all_of(one) for one in FOREIGN_TYPES if one != resource_type]
        return [version for versions in others for version in (*versions[:1], *versions[-1:])]


def _is_wanted(version: Version, wanted: Wanted, reach: frozenset[str] | None, *, patients: bool) -> bool:
    if wanted.since is not None and version.updated_at <= wanted.since:
        return False
    if wanted.until is not None and version.updated_at >= wanted.until:
        return False
    if patients or reach is not None:
        named = compartment_patients(version)
        if not (named if reach is None else named & reach):
            return False
    filters = wanted.filters.get(version.resource_type)
    return filters is None or any(query.admits(version) for query in filters)
