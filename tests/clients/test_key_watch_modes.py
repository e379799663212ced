"""Every way a partner's key host can fail is one finding and one alarm, whoever sees it first; a good host is none.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 7517 §4.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import jwks_fetch, key_sets
from clients.assertions import parse_assertion, verify_assertion
from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair
from clients.key_watching import Round, watch
from clients.models import Client, KeyFinding
from clients.registered import find_client
from smartauth import alarms
from smartauth.errors import InvalidClient
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.conftest import Configure
from tests.factories import AUDIENCES, claims_at, make_client, service, signed, weak_rsa

KEPT = "max-age=60"
SECRET = "c2VjcmV0"  # what must never be repeated
PRIVATE = {"kty": "EC", "kid": "a", "d": SECRET}
SHARED = {"kty": "oct", "kid": "a", "k": SECRET}


@dataclass
class Scene:
    """A partner with two published keys, of which it signs with `ec`. Its clock is ours, moved on by hand."""

    host: JwksHost
    tls_host: JwksHost
    certificate: Path
    rsa: KeyPair
    ec: KeyPair
    other: KeyPair
    configure: Configure
    patch: pytest.MonkeyPatch
    now: datetime

    def publish(self, *keys: dict[str, Any]) -> None:
        for host in (self.host, self.tls_host):
            host.publish(*keys, cache_control=KEPT)

    def good(self, *keys: dict[str, Any]) -> None:
        self.publish(self.rsa.public_jwk, self.ec.public_jwk, *keys)

    def answer(self, body: Any = None, **page: Any) -> None:
        self.host.page = Page(body, **page)

    def register(self, jwks_uri: str) -> None:
        Client.objects.update(client_jwks_uri=jwks_uri)

    def sign_in(self) -> bool:
        """Have an assertion verified, as the token endpoint does; False when it is refused."""
        assertion, client_id = parse_assertion(signed(self.ec, claims_at(self.now)))
        client = find_client(client_id)
        assert client is not None
        with contextlib.suppress(InvalidClient):
            return bool(verify_assertion(assertion, client, audiences=AUDIENCES, now=self.now))
        return False

    def look(self) -> Round:
        alarms._raised.clear()  # Its minute of silence would hide what is said twice.
        return watch(lambda: self.now, pause=0)

    def wait(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)

    def mend(self) -> None:
        self.patch.undo()
        self.configure(mode="sandbox", jwks_allowed_hosts=frozenset())
        self.register(self.host.url)
        self.good()


@pytest.fixture
def scene(
    db, tmp_path: Path, rsa: KeyPair, ec: KeyPair, ec256: KeyPair, configure: Configure, monkeypatch
) -> Iterator[Scene]:
    context, certificate = self_signed(tmp_path)
    with run_jwks_host() as host, run_jwks_host(context) as tls_host:
        made = Scene(
            host, tls_host, certificate, rsa, ec, ec256, configure, monkeypatch, datetime.now(UTC) - timedelta(hours=1)
        )
        make_client(service(jwks_uri=host.url))
        made.good()
        yield made
    key_sets._copies.clear()


def nowhere(scene: Scene) -> None:
    with run_jwks_host() as gone:
        scene.register(gone.url)


def slow(scene: Scene) -> None:
    scene.patch.setattr(jwks_fetch, "TOTAL_TIMEOUT", 200)
    scene.answer({"keys": []}, delay=0.5)


def without_name(scene: Scene) -> None:
    scene.configure(mode="production")
    scene.register("https://nobody.invalid/jwks.json")


def private_address(scene: Scene) -> None:
    scene.configure(mode="production")
    scene.register("https://localhost/jwks.json")


def untrusted(scene: Scene) -> None:
    scene.configure(mode="production", jwks_allowed_hosts=frozenset({f"127.0.0.1:{scene.tls_host.port}"}))
    scene.register(scene.tls_host.url)


def about_to_expire(scene: Scene) -> None:
    scene.patch.setenv("SSL_CERT_FILE", str(scene.certificate))
    untrusted(scene)


def elsewhere(scene: Scene) -> None:
    scene.answer(status=302, headers=(("Location", "https://a.example.org/"),))


Break = Callable[[Scene], None]
MODES: list[tuple[str, Break, str, str]] = [
    # what goes wrong, what the host does, the finding, and its rule where it has one
    ("nobody listens", nowhere, "unreachable", "jwks.unreachable"),
    ("the name has no address", without_name, "unreachable", "jwks.dns"),
    ("the address is private", private_address, "unreachable", "jwks.address"),
    ("the certificate is not trusted", untrusted, "unreachable", "jwks.tls"),
    ("the answer takes too long", slow, "unreachable", "jwks.timeout"),
    ("a redirect", elsewhere, "unreachable", "jwks.redirect"),
    ("status 500", lambda scene: scene.answer(status=500), "unreachable", "jwks.status"),
    ("status 503", lambda scene: scene.answer(status=503), "unreachable", "jwks.status"),
    ("status 401", lambda scene: scene.answer(status=401), "unreachable", "jwks.status"),
    ("status 404", lambda scene: scene.answer(status=404), "unreachable", "jwks.status"),
    ("more than 256 KB", lambda scene: scene.answer(b" " * (MAX_BYTES + 1)), "unreachable", "jwks.too_large"),
    ("a page of HTML", lambda scene: scene.answer(b"<!doctype html><title>Login"), "unreadable", "jwks.not_json"),
    ("half a document", lambda scene: scene.answer(b'{"keys": ['), "unreadable", "jwks.not_json"),
    ("bytes that are no text", lambda scene: scene.answer(b"\xff\xfe"), "unreadable", "jwks.not_json"),
    ("an array", lambda scene: scene.answer([]), "unreadable", "jwks.no_keys"),
    ("no member keys", lambda scene: scene.answer({"key": []}), "unreadable", "jwks.no_keys"),
    ("an entry that is no key", lambda scene: scene.answer({"keys": ["key"]}), "unreadable", "jwks.key_malformed"),
    (
        "a key that cannot be kept",
        lambda scene: scene.answer({"keys": [{"kty": "EC", "kid": "a", "use": "\0"}]}),
        "unreadable",
        "jwks.key_malformed",
    ),
    (
        "101 keys",
        lambda scene: scene.publish(*({**scene.ec.public_jwk, "kid": f"key-{n}"} for n in range(101))),
        "unreadable",
        "jwks.too_many_keys",
    ),
    ("no key", lambda scene: scene.publish(), "empty", ""),
    ("no key of a known type", lambda scene: scene.publish({"kty": ["EC"], "kid": "a"}), "empty", ""),
    ("a private key", lambda scene: scene.good(PRIVATE), "private-key", "jwks.private_key"),
    ("a shared secret", lambda scene: scene.good(SHARED), "private-key", "jwks.private_key"),
    ("two keys of one name", lambda scene: scene.good({**scene.other.public_jwk, "kid": "ec-1"}), "kid-clash", ""),
    ("a weak key", lambda scene: scene.good(weak_rsa()), "unfit-key", "jwks.weak_key"),
    ("a key for encryption", lambda scene: scene.good(scene.other.public_jwk | {"use": "enc"}), "unfit-key", ""),
    ("a key off its curve", lambda scene: scene.good(scene.other.public_jwk | {"x": "AA"}), "unfit-key", ""),
    ("the key in use is gone", lambda scene: scene.publish(scene.rsa.public_jwk), "key-in-use-vanished", ""),
    ("all keys replaced", lambda scene: scene.publish(scene.other.public_jwk), "rotation-without-overlap", ""),
    ("the certificate is about to expire", about_to_expire, "certificate-ends", ""),
]  # fmt: skip


@pytest.mark.requirement("KEYS-06")
@pytest.mark.parametrize("first", ["an assertion", "the watch"])
@pytest.mark.parametrize(("fails", "kind", "rule"), [mode[1:] for mode in MODES], ids=[mode[0] for mode in MODES])
def test_each_way_to_fail_is_one_finding_and_one_alarm(scene: Scene, fails: Break, kind, rule, first, caplog):
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    assert scene.sign_in()
    assert scene.look() == Round(key_sets=1, fetched=0, new_findings=0)
    scene.wait(2)  # The copy has run out.
    fails(scene)
    if first == "an assertion":
        scene.sign_in()
        scene.wait(2)
    began = scene.now
    scene.look()
    for _ in range(2):
        scene.wait(2)
        assert scene.look().new_findings == 0
    finding = KeyFinding.objects.get()
    assert (finding.kind, finding.last_seen_at, finding.resolved_at) == (kind, scene.now, None)
    assert finding.first_seen_at <= began
    assert finding.details.get("rule", rule) == rule
    assert SECRET not in str(finding.details)
    said = "private-key-published jwks_uri=" if kind == "private-key" else f"key-set client=bulk-loader finding={kind}"
    assert len([line for line in caplog.messages if line.startswith(f"alarm {said}")]) == 1
    assert len([line for line in caplog.messages if line.startswith("alarm ")]) == 1
    scene.mend()
    for _ in range(2):
        scene.wait(2)
        scene.look()
    assert KeyFinding.objects.get().resolved_at is not None
    assert len([line for line in caplog.messages if line.startswith("alarm ")]) == 1


def test_a_good_host_has_no_finding_and_raises_no_alarm(scene: Scene, caplog):
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    for _ in range(5):
        assert scene.sign_in()
        assert scene.look().new_findings == 0
        scene.wait(2)
    assert not KeyFinding.objects.exists()
    assert caplog.messages == []


SIZES = [
    # published   what the watch says
    (0, "empty"),
    (1, None),
    (2, None),
    (100, None),
    (101, "unreadable"),
]


@pytest.mark.parametrize(("count", "kind"), SIZES)
def test_from_one_to_a_hundred_keys_are_healthy(scene: Scene, count, kind):
    scene.publish(*({**scene.ec.public_jwk, "kid": f"key-{number}"} for number in range(count)))
    scene.look()
    assert list(KeyFinding.objects.values_list("kind", flat=True)) == ([kind] if kind else [])


ROTATIONS = [
    # keys published at a time    signs with the newest    what the watch says, all along
    (1, True, ["rotation-without-overlap"]),
    (1, False, ["rotation-without-overlap"]),
    (2, True, ["key-in-use-vanished"]),  # A key is gone while what it signed may still be alive.
    (2, False, []),
    (20, True, []),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "signs", "kinds"), ROTATIONS)
def test_a_partner_that_rotates_every_minute_is_one_finding_at_most(scene: Scene, kept, signs, kinds, caplog):
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    pair = scene.ec
    for minute in range(40):
        names = [f"key-{minute - back}" for back in range(kept)]
        scene.publish(*({**pair.public_jwk, "kid": name} for name in names))
        scene.ec = KeyPair(pair.private_pem, {**pair.public_jwk, "kid": names[0]})
        scene.wait(1)
        assert scene.look().fetched == 1
        assert not signs or scene.sign_in()
    assert list(KeyFinding.objects.values_list("kind", flat=True)) == kinds
    assert len(caplog.messages) == len(kinds)


def test_a_rotation_without_overlap_is_over_when_the_partner_signs_with_a_new_key(scene: Scene):
    assert scene.sign_in()
    scene.look()
    scene.wait(2)
    scene.publish(scene.other.public_jwk)
    for _ in range(3):
        scene.look()
        assert KeyFinding.objects.get(resolved_at=None).kind == "rotation-without-overlap"
        scene.wait(10)
    scene.ec = scene.other
    assert scene.sign_in()
    scene.wait(20)
    scene.look()
    assert not KeyFinding.objects.filter(resolved_at=None).exists()
    assert KeyFinding.objects.count() == 1
