"""Which hosts of its metadata an identity provider can make us ask: its own, public ones, and those that are listed.

Decision 0063; RFC 9700 §4.11.
"""

from pathlib import Path

import pytest
from django.test import Client as Browser

from smartauth.people.models import User
from smartauth.people.upstream import metadata
from tests.certificates import self_signed
from tests.clients.jwks_host import Page, run_jwks_host
from tests.conftest import Configure
from tests.sign_in.odd_provider import PUBLIC, START, Odd, begin, come_back, nobody_in, unavailable


def test_a_code_and_our_secret_go_to_no_private_address_that_only_the_provider_names(odd: Odd, user: User) -> None:
    for url in ("https://169.254.169.254/token", "https://192.168.1.1:8443/token"):
        metadata.forget()
        odd.publish(token_endpoint=url)
        browser = Browser()
        receipt = unavailable(come_back(browser, odd, begin(browser)), "upstream.address")
        assert "SMARTAUTH_UPSTREAM_IDP_HOSTS" in receipt.fix
        assert nobody_in(browser)


def test_a_private_host_beside_the_issuers_is_asked_where_the_operator_named_it(odd: Odd, configure: Configure) -> None:
    odd.publish(jwks_uri="https://127.0.0.2:1/keys")  # Nobody answers there, which is told apart from not asking.
    for hosts, rule in (("127.0.0.2:1", "unreachable"), ("127.0.0.2:2", "address"), ("127.0.0.2", "address")):
        metadata.forget()
        configure(upstream_idp=odd.as_configured(hosts=frozenset({hosts})))
        unavailable(Browser().get(START), f"upstream.{rule}")


def test_outside_the_sandbox_loopback_is_private_and_http_is_not_asked(
    odd: Odd, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(mode="production", upstream_idp=odd.as_configured())
    unavailable(Browser().get(START, secure=True), "upstream.url")
    assert odd.seen == []
    server, certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with run_jwks_host(server) as host:
        issuer = f"https://127.0.0.1:{host.port}"
        configure(mode="production", upstream_idp=odd.as_configured(issuer=issuer))
        for keys_at, rule, visits in (("localhost", "address", 1), ("127.0.0.1", "keys", 3)):
            metadata.forget()
            url = f"https://{keys_at}:{host.port}/"
            told = {"issuer": issuer, "authorization_endpoint": url, "token_endpoint": url, "jwks_uri": url}
            host.page = Page(told)
            unavailable(Browser().get(START, secure=True), f"upstream.{rule}")
            assert host.visits == visits


def test_a_certificate_nobody_vouches_for_is_not_talked_to(
    odd: Odd, user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = self_signed(tmp_path)
    with run_jwks_host(server) as keys:
        keys.page = Page({"keys": [PUBLIC]})
        odd.publish(jwks_uri=keys.url)
        unavailable(Browser().get(START), "upstream.tls")
        assert keys.visits == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        metadata.forget()
        browser = Browser()
        come_back(browser, odd, begin(browser))
        assert not nobody_in(browser)
