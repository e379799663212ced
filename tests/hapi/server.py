"""Starts HAPI FHIR, built beforehand by Maven, and ends it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

BUILT = Path(__file__).parents[2] / "var" / "hapi"
LOG = BUILT / "server.log"
PATIENCE = 30  # seconds it may take to end


@contextlib.contextmanager
def running_hapi() -> Iterator[str]:
    """Give the base URL of a server with nothing in it. Raises RuntimeError when it does not start."""
    classpath = f"{BUILT / 'classes'}:{(BUILT / 'classpath').read_text()}"
    command = ["java", "-Xmx2g", "-Duser.timezone=UTC", "-cp", classpath, "HapiServer"]
    with LOG.open("wb") as log:
        # The server ends with its standard input, so it ends with us, however we end.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "TZ": "UTC"}
        )
        try:
            yield _base_url(process)
        finally:
            _end(process)


def _base_url(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        word, _, url = line.decode(errors="replace").strip().partition(" ")
        if word == "READY":
            return url
    raise RuntimeError(f"HAPI FHIR did not start; {LOG} says why")


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
