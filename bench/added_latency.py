"""What does the proxy add to a read and to a search? Asks the same things four ways, in turn, and compares.

    .venv/bin/python -m bench.added_latency --rounds 500
    .venv/bin/python -m bench.added_latency --profile 300       # where the time goes instead

It starts, on the loopback interface, a database, a FHIR server that recites a 3 KB Patient and a 300 KB Bundle of 100
entries, a proxy that only forwards, and ours with one worker; the last three run in the same application server with
the same settings and, to go further, use the same HTTP client library. All are ended. The ways are

    direct        to the FHIR server;
    plain         through the proxy that only forwards: the price of one more hop, whoever made it;
    restricted    through ours, a token remembered by its worker that reaches one patient: every entry is checked;
    full          through ours, a remembered token that may read everything.

One caller asks one request at a time; in each round every way is asked once, in an order drawn anew (the same in every
run), so that what else the machine does meets all alike. Milliseconds of a busy machine say little, and the ratios
more: "/ plain" is what the decision, the reading, the checking and the writing anew cost beside a hop, "/ direct" what
a client feels, and "+ plain" the difference of the medians. A p95 of direct beyond a few times its median, or a load
above the number of cores, says: other work was measured too; repeat.

The counts are of one warm request, made in this process by the same application: database statements on the thread
that answers (the marks and the audit trail have threads of their own; `audit` says how many statements were made there
for 200 reads), and requests that arrived at the FHIR server. With `audit_reads = "before"` the thread that answers
makes one statement, the INSERT of the record, and no other: tests/proxy/test_costs.py.
"""

import argparse
import cProfile
import http.client
import logging
import os
import pstats
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.bulk_memory import prepare
from smartauth.sandbox import postgres
from tests.servers import ROOT, Server, database, free_port, running_server

WARM_UP = 50  # rounds
QUESTIONS = {"read Patient": "Patient/p1", "search Bundle": "Observation?patient=p1&_count=100"}
APP = """{"client_id": "app", "redirect_uris": ["https://app.example.org/"], "token_endpoint_auth_method": "none",
          "scope": "patient/*.rs launch/patient"}"""
CLAIMS = """{"client_id": "app", "sub": "app", "tenant": "bench", "scope": "patient/*.rs", "patient": "p1"}"""


@contextmanager
def serving(application: str, port: int, upstream: str) -> Iterator[str]:
    """Run one of the servers beside ours, with the settings that `tests.servers` gives to ours; gives its base."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--blocking-threads", "8", "--no-ws", "--log-level", "error"]
    environment = {**os.environ, "BENCH_UPSTREAM": upstream}
    process = subprocess.Popen([*command, f"bench.latency_servers:{application}"], cwd=ROOT, env=environment)
    try:
        for _ in range(600):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/r4"
    finally:
        process.terminate()
        process.wait(10)


class Way:
    """One way to ask, on a kept connection of its own."""

    def __init__(self, name: str, base: str, token: str = "") -> None:
        parts = urlsplit(base)
        self.name, self.path = name, parts.path
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=60)

    def ask(self, question: str) -> tuple[float, bytes]:
        """Return how many seconds it took until the whole answer was there, and the answer."""
        began = time.perf_counter()
        self.connection.request("GET", f"{self.path}/{question}", headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        taken = time.perf_counter() - began
        if answer.status != 200:
            raise SystemExit(f"{self.name} answered {answer.status}: {body[:500]!r}")
        return taken, body


def measure(ways: list[Way], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of every request, by question and way."""
    found: dict[str, dict[str, list[float]]] = {name: {way.name: [] for way in ways} for name in QUESTIONS}
    order = random.Random(0)
    for number in range(WARM_UP + rounds):
        for name, question in QUESTIONS.items():
            for way in order.sample(ways, len(ways)):
                taken, _ = way.ask(question)
                if number >= WARM_UP:
                    found[name][way.name].append(taken)
    return found


def show(found: dict[str, dict[str, list[float]]], ways: list[Way]) -> None:
    """Print the figures."""
    for name, question in QUESTIONS.items():
        sizes = {way.name: len(way.ask(question)[1]) for way in ways}
        direct, plain = (statistics.median(found[name][which]) for which in ("direct", "plain"))
        print(
            f"\n{name:<14}{'bytes':>10}{'median ms':>12}{'p95 ms':>10}{'/ direct':>10}{'/ plain':>10}{'+ plain ms':>12}"
        )
        for way, taken in found[name].items():
            median, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
            figures = f"{sizes[way]:>10}{median * 1e3:>12.2f}{p95 * 1e3:>10.2f}"
            print(f"  {way:<12}{figures}{median / direct:>10.2f}{median / plain:>10.2f}{(median - plain) * 1e3:>12.2f}")


@dataclass(slots=True)
class Inside:
    """Our application in this process. `statements` counts database statements by the name of the thread."""

    ask: Callable[[str, str], bytes]
    statements: Counter[str]


def inside(server: Server) -> Inside:
    """Load the application here, as a worker does, with the same database as the server."""
    os.environ.update(server.environment)
    from django.db.backends.signals import connection_created
    from django.test import Client

    import smartauth.wsgi  # noqa: F401 - its import is what a worker does

    statements: Counter[str] = Counter()

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        statements[threading.current_thread().name] += 1
        return execute(sql, *rest)

    def watch(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(count)

    connection_created.connect(watch, weak=False)
    browser = Client(HTTP_HOST=urlsplit(server.base_url).netloc)

    def ask(question: str, token: str) -> bytes:
        answer = browser.get(f"/fhir/bench/r4/{question}", HTTP_AUTHORIZATION=f"Bearer {token}")
        if answer.status_code != 200:
            raise SystemExit(f"ours answered {answer.status_code}: {answer.content[:500]!r}")
        return answer.content

    return Inside(ask, statements)


def asked_of(upstream: str) -> int:
    """Return how many requests the FHIR server has had."""
    connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=10)
    connection.request("GET", "/asked")
    return int(connection.getresponse().read())


def count(application: Inside, tokens: dict[str, str], upstream: str) -> None:
    """Print what one warm request costs in statements and round trips, and what the audit trail costs for many."""
    own = threading.current_thread().name
    print(f"\n{'one request':<28}{'statements':>12}{'round trips':>14}")
    for name, question in QUESTIONS.items():
        for kind, token in tokens.items():
            _warm(application, question, token)
            before = asked_of(upstream)
            application.ask(question, token)
            statements, trips = application.statements[own], asked_of(upstream) - before
            print(f"  {f'{name}, {kind}':<26}{statements:>12}{trips:>14}")
    application.statements.clear()
    for _ in range(200):
        application.ask(QUESTIONS["read Patient"], tokens["restricted"])
    time.sleep(1)
    print(f"audit: 200 reads were recorded with {application.statements['audit']} statements on the audit thread")


def _warm(application: Inside, question: str, token: str) -> None:
    """Ask until the marks have been read and the token is remembered; then count from zero."""
    for _ in range(3):
        application.ask(question, token)
        time.sleep(0.5)
    application.statements.clear()


def profile(application: Inside, tokens: dict[str, str], times: int) -> None:
    """Print where the time of each question goes, without the server and the network before it."""
    for name, question in QUESTIONS.items():
        for kind, token in tokens.items():
            for _ in range(WARM_UP):
                application.ask(question, token)
            began = time.perf_counter()
            for _ in range(times):
                application.ask(question, token)
            each = (time.perf_counter() - began) / times
            with cProfile.Profile() as profiler:
                for _ in range(times):
                    application.ask(question, token)
            print(f"\n== {name}, {kind}: {each * 1e3:.2f} ms each in this process, without the profiler")
            statistic = pstats.Stats(profiler)
            statistic.strip_dirs().sort_stats("tottime").print_stats(22)
            statistic.sort_stats("cumulative").print_stats(60)


def run(options: argparse.Namespace, stack: ExitStack, var: Path) -> None:
    """Start everything and do what was asked."""
    cluster = postgres.locate(var)
    postgres.start(cluster, durable=False)
    stack.callback(postgres.remove, cluster)
    url = stack.enter_context(database(cluster.url()))
    port = free_port()
    base = f"http://127.0.0.1:{port}/r4"
    upstream = stack.enter_context(serving("upstream", port, base))
    plain = stack.enter_context(serving("plain_proxy", free_port(), base))
    server = stack.enter_context(running_server(database_url=url, var=var / "server"))
    tokens = {"full": prepare(server, upstream)}
    activate = ("create_client", "-", "--tenant", "bench", "--activate")
    for words, text in ((activate, APP), (("issue_token", "--json", "-"), CLAIMS)):
        done = server.command(*words, stdin=text)
        if done.returncode:
            raise SystemExit(done.stderr)
    tokens = {"restricted": done.stdout.strip(), **tokens}
    application = inside(server)
    stack.callback(_disconnect)
    if options.profile:
        return profile(application, tokens, options.profile)
    fhir = f"{server.base_url}/fhir/bench/r4"
    ways = [Way("direct", upstream), Way("plain", plain), *(Way(name, fhir, token) for name, token in tokens.items())]
    before = os.getloadavg()[0]
    found = measure(ways, options.rounds)
    print(f"{options.rounds} rounds; load {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores")
    show(found, ways)
    count(application, tokens, upstream)
    return None


def _disconnect() -> None:
    """Leave the database; the threads of the application live until this process ends, and need not complain."""
    from django.db import connections

    logging.disable(logging.CRITICAL)
    connections.close_all()


def main() -> None:
    """Measure, and end everything that was started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--profile", type=int, default=0, metavar="REQUESTS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run(options, stack, Path(folder))


if __name__ == "__main__":
    main()
