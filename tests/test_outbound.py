"""Connections that we make: nobody whom we ask holds a thread of ours longer than the caller's limit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import socket, time
from pathlib import Path
import pycurl
from smartauth.outbound import make_curl

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
curl = make_curl(300)
curl.setopt(pycurl.URL, "https://idp.example.org/")
began = time.monotonic()
try:
    curl.perform()
except pycurl.error as error:
    print(error.args[0] == pycurl.E_OPERATION_TIMEDOUT, "Resolving" in error.args[1])
curl.close()
print(time.monotonic() - began < 1.5)
"""
# A network, and a list of name servers, of its own: nobody answers there.
ALONE = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c"]


def test_a_name_that_nobody_answers_for_holds_no_thread_past_the_limit(tmp_path: Path) -> None:
    servers = tmp_path / "resolv.conf"
    servers.write_text("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n")
    prepare = f"ip link set lo up && mount --bind {servers} /etc/resolv.conf"
    try:
        ready = subprocess.run([*ALONE, prepare], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("NO UNSHARE: the test of slow names needs util-linux")
    if ready.returncode:
        pytest.skip(f"NO NAMESPACES: the test of slow names needs them: {ready.stderr.decode()}")
    command = [*ALONE, f'{prepare} && exec "$0" -c "$1"', sys.executable, PROBE]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert told.stdout.split() == ["True", "True", "True"]
