"""Starts the server as a process of its own and stops it again: for the sandbox and for tests."""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    base_url: str  # the FHIR base, without trailing slash
    control_url: str  # the origin under which /_received, /_fault, /_mode, /_load and /_store are
    bearer: str = field(repr=False)  # the credential to send
    pid: int
    _process: subprocess.Popen[bytes] = field(repr=False)
    _folder: tempfile.TemporaryDirectory[str] = field(repr=False)

    def is_alive(self) -> bool:
        """Return True while the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and remove its files. Safe to call twice."""
        if self.is_alive():
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()


def start(
    *,
    population: str = "sandbox",
    mode: str = "faithful",
    port: int = 0,
    base_path: str = "/r4",
    log: Path | None = None,
) -> Running:
    """Start a server that ends with this process, demanding a fresh random credential.

    port: 0 for a free one.  log: receives what the server prints; None discards its output but not its errors.
    Raises RuntimeError when it ends, or does not listen, within 30 seconds.
    """
    folder = tempfile.TemporaryDirectory(prefix="r4server-")
    bearer = secrets.token_urlsafe(32)
    bearer_file, port_file = Path(folder.name, "bearer"), Path(folder.name, "port")
    bearer_file.touch(mode=0o600)
    bearer_file.write_text(bearer, encoding="ascii")
    command = [sys.executable, "-m", "fhirproxy.r4server", "--port", str(port), "--base-path", base_path]
    command += ["--population", population, "--mode", mode, "--parent-pid", str(os.getpid())]
    command += ["--bearer-file", str(bearer_file), "--port-file", str(port_file)]
    with contextlib.ExitStack() as files:
        output = files.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        # The arguments are ours: nothing in them comes from a request.
        process = subprocess.Popen(  # noqa: S603
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output if log else None
        )
    try:
        bound_port = _wait_for_port(process, port_file)
    except BaseException:
        process.kill()
        process.wait()
        folder.cleanup()
        raise
    origin = f"http://127.0.0.1:{bound_port}"
    return Running(f"{origin}{base_path.rstrip('/')}", origin, bearer, process.pid, process, folder)


@contextlib.contextmanager
def running(
    *,
    population: str = "sandbox",
    mode: str = "faithful",
    port: int = 0,
    base_path: str = "/r4",
    log: Path | None = None,
) -> Iterator[Running]:
    """Run a server for the length of a `with` block; the arguments are those of `start`."""
    server = start(population=population, mode=mode, port=port, base_path=base_path, log=log)
    try:
        yield server
    finally:
        server.stop()


def _wait_for_port(process: subprocess.Popen[bytes], port_file: Path) -> int:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at:
        if port_file.exists():
            return int(port_file.read_text(encoding="ascii"))
        if process.poll() is not None:
            raise RuntimeError(f"the R4 server ended with status {process.returncode} before it listened")
        time.sleep(0.02)
    raise RuntimeError(f"the R4 server did not listen within {_START_SECONDS:.0f} seconds")
