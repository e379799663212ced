"""The command line of the application server, the same for a production server and the sandbox."""

import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

APPLICATION = "smartauth.wsgi:application"
# granian reads this form of a private key only.
PKCS8 = b"-----BEGIN PRIVATE KEY-----"
# Seconds for requests under way. A worker that is stuck would otherwise keep the server from ever ending; those who
# stop services for us (systemd after 90 s, Kubernetes after 30 s) would then kill without closing anything.
ENDS_WITHIN = 25


class UnusableTls(Exception):
    """The certificate or its key cannot be used; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate chain, the server's own first, and of its private key in PKCS#8, both PEM."""

    certificate: Path
    key: Path

    def require_usable(self) -> None:
        """Raise UnusableTls unless these two belong together and can be read without anybody typing a password."""
        chain, key = _read(self.certificate), _read(self.key)
        try:
            x509.load_pem_x509_certificates(chain)
        except ValueError:
            raise UnusableTls(f"{self.certificate} holds no certificate in PEM.") from None
        if PKCS8 not in key:
            fix = f"openssl pkcs8 -topk8 -nocrypt -in {self.key} -out KEY"
            raise UnusableTls(f"{self.key} holds no unencrypted private key in PKCS#8. Convert it: {fix}")
        try:
            serialization.load_pem_private_key(key, password=None)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (ValueError, TypeError, ssl.SSLError):
            raise UnusableTls(f"{self.key} is not the private key of {self.certificate}.") from None


def command_line(
    *,
    host: str,
    port: int,
    workers: int,
    threads: int,
    tls: Tls | None = None,
    respawn: bool = False,
    ends_within: int = ENDS_WITHIN,
    application: str = APPLICATION,
) -> list[str]:
    """Return the words that start the application server; it serves until it is sent SIGTERM or SIGINT.

    threads: requests that one worker answers at a time.    respawn: replace a worker that ended by itself.
    ends_within: seconds that requests under way then have.
    There is no access log: a path names patients, a query holds what apps send (RFC 9700 §4.3).
    """
    words = [sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"]
    words += ["--host", host, "--port", str(port), "--workers", str(workers), "--blocking-threads", str(threads)]
    words += ["--log-level", "warning", "--no-access-log", "--workers-kill-timeout", str(ends_within)]
    words += ["--respawn-failed-workers"] if respawn else []
    if tls is not None:
        # Of TLS it knows 1.2 and 1.3 and nothing older.
        words += ["--ssl-certificate", str(tls.certificate), "--ssl-keyfile", str(tls.key)]
        words += ["--ssl-protocol-min", "tls1.2"]
    return [*words, application]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableTls(f"{path} cannot be read: {error.strerror}.") from None
