"""`manage.py serve` as an operator starts it: TLS 1.2 and 1.3 and nothing older, or plain HTTP behind a front.

RFC 9325 §3.1; RFC 9700 §2.6; SMART 2.2 app-launch, "App protection".
"""

import http.client
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from django.core.management import call_command
from django.core.management.base import CommandError

from tests import settings as test_settings
from tests.certificates import self_signed
from tests.conftest import Configure
from tests.servers import READY_WITHIN, ROOT, database, free_port, running_server, started

ENCRYPTION_KEY = Fernet.generate_key().decode()
SECRET = "a secret key that is long enough: 0123456789 abcdefghijk"
# One cipher suite of every generation, so that no version fails for want of one (RFC 5246 appendix A.5, RFC 8422).
CIPHER_SUITES = (0xC02B, 0xC02F, 0xC009, 0xC013, 0x002F, 0x000A)
ALERT, HANDSHAKE = 21, 22


@dataclass(frozen=True, slots=True)
class Served:
    """A production server that answers TLS on loopback."""

    port: int
    certificate: Path

    def ask(self, method: str, path: str, body: str = "") -> http.client.HTTPResponse:
        context = ssl.create_default_context(cafile=str(self.certificate))
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        with closing(http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)) as connection:
            connection.request(method, path, body, form)
            answer = connection.getresponse()
            answer.read()
            return answer


def environment(tmp_path: Path, database_url: str, port: int, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SMARTAUTH_MODE": "production",
        "SMARTAUTH_BASE_URL": f"https://127.0.0.1:{port}",
        "SMARTAUTH_SECRET_KEY": SECRET,
        "SMARTAUTH_KEY_ENCRYPTION_KEYS": ENCRYPTION_KEY,
        "SMARTAUTH_VAR": str(tmp_path),
        "DATABASE_URL": database_url,
        **more,
    }


def manage(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(environment: dict[str, str], port: int, *words: str, log: Path) -> Iterator[None]:
    """Run `manage.py serve` until it listens, and end it afterwards."""
    serve = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", "1", *words]
    with started(serve, environment, log) as process:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield


@pytest.fixture(scope="module")
def production_database(django_db_modify_db_settings: None) -> Iterator[str]:
    with database(str(test_settings.DATABASE_URL)) as url:
        yield url


@pytest.fixture(scope="module")
def served(production_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tmp_path, port = tmp_path_factory.mktemp("tls"), free_port()
    _, certificate = self_signed(tmp_path)
    own = environment(tmp_path, production_database, port)
    migrated = manage(own, "migrate", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stderr
    files = ("--tls-cert", str(certificate), "--tls-key", str(certificate.with_name("key.pem")))
    with running(own, port, *files, log=tmp_path / "server.log"):
        yield Served(port, certificate)


def handshake(port: int, version: ssl.TLSVersion) -> str:
    """Shake hands as a client that knows one version only; return what was agreed, or raise ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # Without it OpenSSL itself refuses what is older than 1.2.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as wrapped:
        return str(wrapped.version())


@contextmanager
def permissive_server(tmp_path: Path) -> Iterator[int]:
    """Listen with every version that the local OpenSSL has; gives the port."""
    context, _ = self_signed(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake() -> None:
            with suppress(OSError):
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True):
                    pass

        thread = threading.Thread(target=shake, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


@pytest.mark.requirement("ONC-15")
@pytest.mark.requirement("HDR-01", "T-66")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_shakes_hands_in_the_versions_that_are_good(served: Served, version: ssl.TLSVersion) -> None:
    assert handshake(served.port, version) == version.name.replace("_", ".")


@pytest.mark.requirement("ONC-15")
@pytest.mark.requirement("HDR-01", "T-66")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_it_refuses_older_versions_at_the_handshake(served: Served, tmp_path: Path, version: ssl.TLSVersion) -> None:
    with permissive_server(tmp_path) as port:
        try:
            handshake(port, version)
        except ssl.SSLError:
            pytest.skip(f"the local OpenSSL cannot offer {version.name}; the written hello below stands for it")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(served.port, version)


def client_hello(version: int) -> bytes:
    """Return a ClientHello that offers one version, written by hand (RFC 5246 §7.4.1.2)."""
    suites = struct.pack(f"!H{len(CIPHER_SUITES)}H", 2 * len(CIPHER_SUITES), *CIPHER_SUITES)
    groups = struct.pack("!HHHHH", 10, 6, 4, 0x0017, 0x001D)
    points = struct.pack("!HHBB", 11, 2, 1, 0)
    algorithms = struct.pack("!HHHHHH", 13, 8, 6, 0x0403, 0x0804, 0x0401)
    extensions = groups + points + algorithms
    body = struct.pack("!H", version) + os.urandom(32) + b"\0" + suites + b"\x01\0"
    body += struct.pack("!H", len(extensions)) + extensions
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", HANDSHAKE, min(version, 0x0301), len(hello)) + hello


HELLOS = [
    # version        what comes back
    (0x0300, ALERT),  # SSL 3.0
    (0x0301, ALERT),  # TLS 1.0
    (0x0302, ALERT),  # TLS 1.1
    (0x0303, HANDSHAKE),  # TLS 1.2: the same hello, one number higher, is taken
]


@pytest.mark.requirement("HDR-01", "T-66")
@pytest.mark.parametrize(("version", "answered"), HELLOS)
def test_a_hello_in_an_old_version_is_answered_with_an_alert(served: Served, version: int, answered: int) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        raw.sendall(client_hello(version))
        assert raw.recv(5)[:1] == bytes([answered])


@pytest.mark.requirement("HDR-01", "HDR-02")
def test_over_tls_it_serves_and_says_that_it_stays_so(served: Served) -> None:
    for method, path, body, status in (
        ("GET", "/.well-known/jwks.json", "", 200),
        ("POST", "/auth/token", "grant_type=x", 400),
        ("GET", "/account/login/", "", 200),
    ):
        answer = served.ask(method, path, body)
        assert answer.status == status
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    for cookie in served.ask("GET", "/account/login/").headers.get_all("Set-Cookie", []):
        assert "Secure" in cookie


@pytest.mark.requirement("HDR-01", "HDR-02")
def test_plain_http_gets_nothing_where_tls_is_spoken(served: Served) -> None:
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        _plain(served.port, {})


@pytest.mark.requirement("HDR-02", "HDR-11")
def test_behind_a_front_it_believes_the_front_that_is_named(production_database: str, tmp_path: Path) -> None:
    port = free_port()
    front = environment(tmp_path, production_database, port, SMARTAUTH_TRUSTED_PROXIES="127.0.0.1/32")
    with running(front, port, log=tmp_path / "server.log"):
        assert _plain(port, {"X-Forwarded-Proto": "https"}) == (200, "max-age=31536000")
        assert _plain(port, {"X-Forwarded-Proto": "http"}) == (400, None)
        assert _plain(port, {}) == (400, None)
    stranger = front | {"SMARTAUTH_TRUSTED_PROXIES": "192.0.2.0/24"}
    with running(stranger, port, log=tmp_path / "server.log"):
        assert _plain(port, {"X-Forwarded-Proto": "https"}) == (400, None)


def _plain(port: int, headers: dict[str, str]) -> tuple[int, str | None]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/.well-known/jwks.json", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Strict-Transport-Security"]


def test_a_worker_that_is_stuck_does_not_keep_it_from_ending(production_database: str, tmp_path: Path) -> None:
    with running_server(database_url=production_database, var=tmp_path, ends_within=1) as server:
        (worker,) = _children(server.pid)
        os.kill(worker, signal.SIGSTOP)
    # Whoever leaves the block has seen the server end; nothing of it holds the port or the database.
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_what_cannot_be_served_is_one_sentence(tmp_path: Path, configure: Configure) -> None:
    configure(mode="production", trusted_proxies=())
    other = tmp_path / "other"
    other.mkdir()
    self_signed(other)
    _, certificate = self_signed(tmp_path)
    key, old_form = tmp_path / "key.pem", tmp_path / "old.pem"
    read = serialization.load_pem_private_key(key.read_bytes(), password=None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    old_form.write_bytes(read.private_bytes(*form))
    cases = [
        (None, None, "SMARTAUTH_TRUSTED_PROXIES"),
        (certificate, None, "go together"),
        (None, key, "go together"),
        (tmp_path / "none.pem", key, "cannot be read"),
        (key, key, "holds no certificate"),
        (certificate, certificate, "PKCS#8"),
        (certificate, old_form, "PKCS#8"),
        (certificate, other / "key.pem", "not the private key"),
    ]
    for tls_cert, tls_key, why in cases:
        with pytest.raises(CommandError, match=why):
            call_command("serve", tls_cert=tls_cert, tls_key=tls_key)
