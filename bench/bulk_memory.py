"""Does a file of an export stay out of memory? Streams a made-up one through a server of its own and watches the size.

    .venv/bin/python -m bench.bulk_memory --megabytes 1000

It starts a database, one worker process and a generator of NDJSON on the loopback interface, and ends them all. After
the first bytes the reader rests for --rest seconds: what would be read meanwhile for nobody would have to be kept. The
last line says by how much the server's processes grew beyond what they were before; the limit is 100 MB. One line of a
hundred is of another type, so that the check has something to remove.
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clients.key_pairs import generate_key_pair
from smartauth.sandbox import postgres
from tests.servers import Server, database, running_server

LIMIT = 100 * 1024  # KiB
LINES = 1_000  # in a block that is sent again and again


def block() -> bytes:
    """Return a block of lines such as a laboratory sends them, about 700 bytes each."""
    lines = []
    for number in range(LINES):
        kind = "Patient" if number % 100 == 99 else "Observation"
        resource: dict[str, Any] = {
            "resourceType": kind,
            "id": f"line-{number}",
            "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00.000Z"},
            "status": "final",
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin"}]},
            "subject": {"reference": f"Patient/p{number}"},
            "effectiveDateTime": "2026-01-01T08:00:00Z",
            "valueQuantity": {"value": 13.5, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
            "note": [{"text": "x" * 200}],
        }
        lines.append(json.dumps(resource).encode() + b"\n")
    return b"".join(lines)


@contextmanager
def generator(size: int) -> Iterator[str]:
    """Serve one finished export with one file of about `size` bytes; gives the FHIR base."""
    one = block()
    times = max(size // len(one), 1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            origin = f"http://127.0.0.1:{self.server.server_address[1]}"
            if self.path.startswith("/r4/$export"):
                return self.say(202, b"", ("Content-Location", f"{origin}/r4/job"))
            if self.path == "/r4/job":
                file = {"type": "Observation", "url": f"{origin}/r4/file"}
                manifest = {
                    "transactionTime": "2026-01-01T00:00:00Z",
                    "requiresAccessToken": True,
                    "output": [file],
                }
                return self.say(200, json.dumps(manifest).encode())
            self.send_response(200)
            self.send_header("Content-Length", str(times * len(one)))
            self.end_headers()
            for _ in range(times):
                self.wfile.write(one)
            return None

        def say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/r4"
    finally:
        server.shutdown()
        server.server_close()


def size_of(server: Server) -> int:
    """Return the resident memory, in KiB, of the server's processes: they are the ones that name its port."""
    port, found = str(urlsplit(server.base_url).port).encode(), 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            if b"smartauth.wsgi:application" in command and port in command:
                lines = status.read_text().splitlines()
                found += next(int(one.split()[1]) for one in lines if one.startswith("VmRSS"))
        except (OSError, StopIteration):
            continue
    return found


def ask(server: Server, method: str, path: str, token: str) -> http.client.HTTPResponse:
    """Ask the proxy on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=600)
    headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
    connection.request(
        method, urlsplit(path).path + (f"?{query}" if (query := urlsplit(path).query) else ""), None, headers
    )
    return connection.getresponse()


def prepare(server: Server, upstream: str) -> str:
    """Make the tenant and the client; return a token."""
    client = {
        "client_id": "bulk-loader",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [generate_key_pair("ES384", kid="bench").public_jwk]},
        "scope": "system/*.rs",
    }
    claims = {"client_id": "bulk-loader", "sub": "bulk-loader", "tenant": "bench", "scope": "system/*.rs"}
    words = (
        (("create_tenant", "--slug", "bench", "--upstream", upstream), ""),
        (("create_client", "-", "--tenant", "bench", "--activate"), json.dumps(client)),
        (("issue_token", "--json", "-"), json.dumps(claims)),
    )
    for command, text in words:
        done = server.command(*command, stdin=text)
        if done.returncode:
            raise SystemExit(done.stderr)
    return done.stdout.strip()


def measure(server: Server, token: str, rest: float) -> None:
    """Fetch the file and print the sizes on the way."""
    started = ask(server, "GET", "/fhir/bench/r4/$export?_type=Observation", token)
    job = started.headers["Content-Location"]
    started.read()
    url = json.loads(ask(server, "GET", job, token).read())["output"][0]["url"]
    before, sizes, received, looked_at, begun = size_of(server), [], 0, 0.0, time.monotonic()
    answer = ask(server, "GET", url, token)
    received += len(answer.read(1024))
    time.sleep(rest)
    sizes.append(size_of(server))
    while piece := answer.read(256 * 1024):
        received += len(piece)
        if time.monotonic() - looked_at > 0.5:
            looked_at = time.monotonic()
            sizes.append(size_of(server))
    seconds = time.monotonic() - begun
    print(f"received {received / 1e6:.0f} MB in {seconds:.0f} s ({received / 1e6 / seconds:.1f} MB/s)")
    rested, largest = sizes[0], max(sizes)
    print(f"processes of the server: before {before} KiB, after the rest {rested} KiB, largest {largest} KiB")
    growth = largest - before
    print(f"growth: {growth / 1024:.1f} MB ({'under' if growth < LIMIT else 'OVER'} the limit of {LIMIT // 1024} MB)")


def main() -> None:
    """Start everything, measure, and end everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--rest", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        cluster = postgres.locate(var)
        postgres.start(cluster, durable=False)
        try:
            with (
                database(cluster.url()) as url,
                generator(options.megabytes * 1_000_000) as upstream,
                running_server(database_url=url, var=var / "server") as server,
            ):
                measure(server, prepare(server, upstream), options.rest)
        finally:
            postgres.remove(cluster)


if __name__ == "__main__":
    main()
