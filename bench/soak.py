"""Does memory stay flat? Sends many mixed requests to the sandbox that runs in this checkout and prints its size.

    make run                                     # in one terminal
    .venv/bin/python -m bench.soak --requests 100000

Of a hundred requests eighty read through the proxy and twenty search; then a new token is asked for. The figures are
the resident memory of each worker at each tenth of the way; the last line compares the second tenth with the last.
"""

import argparse
import http.client
import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from joserfc.jwk import Key

from clients.key_pairs import load_private_key, sign_assertion

VAR = Path(__file__).resolve().parent.parent / "var"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
THREADS = 4


def worker_sizes() -> dict[int, int]:
    """Return the resident memory, in KiB, of every worker process of the server."""
    sizes = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            if b"smartauth.wsgi:application" in command or b"granian" in b" ".join(command[:3]):
                lines = status.read_text().splitlines()
                sizes[int(status.parent.name)] = next(int(one.split()[1]) for one in lines if one.startswith("VmRSS"))
        except (OSError, StopIteration):
            continue
    return sizes


class Caller(threading.Thread):
    """One keep-alive connection that makes its share of the requests."""

    def __init__(self, summary: dict[str, object], key: Key, share: int) -> None:
        super().__init__(daemon=True)
        self.base = urlsplit(str(summary["base_url"]))
        self.token_url = f"{summary['base_url']}/auth/{summary['default_tenant']}/token"
        self.fhir = urlsplit(str(summary["fhir_base"])).path
        self.key, self.share, self.done, self.token = key, share, 0, ""
        self.statuses: Counter[int] = Counter()
        self.connection = http.client.HTTPConnection(self.base.hostname or "", self.base.port, timeout=30)

    def run(self) -> None:
        for number in range(self.share):
            if number % 100 == 0:
                self.renew()
            path = f"/Observation?patient=ana&_count=10&_id={number}" if number % 10 in (3, 7) else "/Patient/ana"
            self.ask("GET", self.fhir + path, None, {"Authorization": f"Bearer {self.token}"})
            self.done += 1

    def renew(self) -> None:
        assertion = sign_assertion(self.key, "bulk-loader", self.token_url, now=datetime.now(UTC))
        form = {
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.token = json.loads(self.ask("POST", urlsplit(self.token_url).path, urlencode(form), headers))[
            "access_token"
        ]

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> bytes:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        self.statuses[answer.status] += 1
        return answer.read()


def main() -> None:
    """Send the requests, print the sizes on the way, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    wanted = parser.parse_args().requests
    summary = json.loads((VAR / "sandbox.json").read_text())
    key = load_private_key((VAR / "secrets" / "bulk-loader.pem").read_bytes())
    callers = [Caller(summary, key, wanted // THREADS) for _ in range(THREADS)]
    for caller in callers:
        caller.start()
    sizes: list[dict[int, int]] = []
    while any(caller.is_alive() for caller in callers):
        callers[0].join(0.2)
        done = sum(caller.done for caller in callers)
        if done >= (len(sizes) + 1) * wanted / 10 - THREADS:
            sizes.append(worker_sizes())
            print(f"{done:>8} requests  " + "  ".join(f"{pid}: {size} KiB" for pid, size in sorted(sizes[-1].items())))
    print("statuses:", dict(sum((caller.statuses for caller in callers), Counter())))
    growth = {pid: round(size / sizes[1][pid], 3) for pid, size in sizes[-1].items() if pid in sizes[1]}
    print("last tenth / second tenth:", growth)


if __name__ == "__main__":
    main()
