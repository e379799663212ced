"""``python -m fhirproxy.r4server``: start the server, say where it listens, serve until stopped."""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from fhirproxy.r4server.http import R4Server
from fhirproxy.r4server.modes import MODES, get_mode
from fhirproxy.r4server.population import POPULATIONS, generate
from fhirproxy.r4server.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Run the server; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        bearer = options.bearer_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        return _refuse(f"--bearer-file cannot be read: {error.strerror}")
    if not bearer:
        return _refuse("--bearer-file is empty")
    store = Store()
    store.load(generate(options.population))
    try:
        server = R4Server(
            port=options.port, base_path=options.base_path, bearer=bearer, store=store, mode=get_mode(options.mode)
        )
    except OSError as error:
        return _refuse(f"port {options.port} cannot be listened on: {error.strerror}")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if options.parent_pid is not None:
        threading.Thread(target=_exit_with_parent, args=(options.parent_pid, server), daemon=True).start()
    if options.port_file is not None:
        _write_at_once(options.port_file, f"{server.server_port}\n")
    sys.stdout.write(f"Listening {server.service.base_url}\n")
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fhirproxy.r4server", description="A small FHIR R4 server.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--base-path", default="/r4", type=_base_path)
    parser.add_argument("--population", choices=sorted(POPULATIONS), default="sandbox")
    parser.add_argument("--mode", choices=sorted(MODES), default="faithful")
    parser.add_argument("--bearer-file", type=Path, required=True, help="holds the credential to demand")
    parser.add_argument("--port-file", type=Path, help="receives the port once the server listens")
    parser.add_argument("--parent-pid", type=int, help="exit when this process is gone")
    return parser


def _base_path(text: str) -> str:
    if not text.startswith("/") or text.strip("/") == "":
        raise argparse.ArgumentTypeError("must start with / and name at least one segment")
    return text


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 2


def _write_at_once(path: Path, text: str) -> None:
    """Write a file so that a reader sees nothing or all of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="ascii")
    partial.replace(path)


def _exit_with_parent(pid: int, server: R4Server) -> None:
    # Our own parent can be dead and not yet waited for: it still takes signals then, but we have a new parent.
    is_own_parent = os.getppid() == pid
    while True:
        time.sleep(1)
        if not _is_alive(pid) or (is_own_parent and os.getppid() != pid):
            server.shutdown()
            return


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # It lives, under another user.
    return True


if __name__ == "__main__":
    sys.exit(main())
