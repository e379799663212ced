"""Fetching key sets by URL: where we go, what we accept and how long it may be used.

Source: RFC 9111 §4.2; RFC 7591 §5; SMART 2.2 client-confidential-asymmetric.
"""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from clients import jwks_fetch
from clients.jwks_fetch import MAX_BYTES, fetch_jwks, is_public, lifetime, require_fetchable
from clients.jwks_rules import UnusableJwks
from smartauth.environment import Environment
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.conftest import Configure

LIFETIMES = [
    # Cache-Control                    Age    seconds
    (None, None, 300),
    ("", None, 300),
    ("public", None, 300),
    ("max-age=120", None, 120),
    ("max-age=120", "20", 100),
    ("max-age=120", "500", 0),
    ("max-age=86400", None, 3600),
    ("max-age=86400", "84000", 2400),
    ('Max-Age="60"', None, 60),
    ("public, max-age=600, must-revalidate", None, 600),
    ("max-age=600, max-age=60", None, 60),
    ("s-maxage=9, max-age=600", None, 600),
    ("max-age=0", None, 0),
    ("no-store", None, 0),
    ("no-cache", None, 0),
    ("max-age=600, no-store", None, 0),
    ('no-cache="set-cookie", max-age=600', None, 0),
    ("max-age=soon", None, 0),
    ("max-age=-1", None, 0),
    ("max-age", None, 0),
    (None, "100", 200),
]


@pytest.mark.requirement("KEYS-02", "T-10")
@pytest.mark.parametrize(("cache_control", "age", "seconds"), LIFETIMES)
def test_a_copy_lives_as_long_as_the_answer_allows_and_an_hour_at_most(cache_control, age, seconds):
    headers = [("cache-control", cache_control)] if cache_control is not None else []
    headers += [("age", age)] if age else []
    assert lifetime(headers) == timedelta(seconds=seconds)


def test_several_cache_control_fields_count_together():
    assert lifetime([("cache-control", "max-age=600"), ("cache-control", "no-store")]) == timedelta(0)


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [("Wed, 21 Oct 2026 07:30:00 GMT", 120), ("Wed, 21 Oct 2026 07:00:00 GMT", 0), ("0", 0)],
)
def test_expires_counts_where_no_max_age_is_given(expires, seconds):
    headers = [("date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("expires", expires)]
    assert lifetime(headers) == timedelta(seconds=seconds)


ADDRESSES = [
    ("93.184.215.14", True),
    ("2606:2800:220:1:248:1893:25c8:1946", True),
    ("64:ff9b::5db8:d70e", True),  # NAT64 of a public address
    ("127.0.0.1", False),
    ("10.1.2.3", False),
    ("172.16.0.1", False),
    ("192.168.1.1", False),
    ("169.254.169.254", False),
    ("100.100.100.200", False),
    ("168.63.129.16", False),
    ("0.0.0.0", False),  # noqa: S104
    ("224.0.0.1", False),
    ("255.255.255.255", False),
    ("240.0.0.1", False),
    ("192.0.2.1", False),
    ("198.18.0.1", False),
    ("192.88.99.1", False),
    ("::", False),
    ("::1", False),
    ("fe80::1", False),
    ("fc00::1", False),
    ("fd00:ec2::254", False),
    ("fec0::1", False),
    ("ff02::1", False),
    ("::ffff:127.0.0.1", False),
    ("::ffff:169.254.169.254", False),
    ("::127.0.0.1", False),
    ("64:ff9b::7f00:1", False),
    ("2002:7f00:1::", False),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ("2001:db8::1", False),
]


@pytest.mark.requirement("KEYS-05", "T-11")
@pytest.mark.parametrize(("address", "public"), ADDRESSES)
def test_only_addresses_of_the_public_internet_are_connected_to(address, public):
    assert is_public(ip_address(address)) is public


LISTED = Environment({"HOSTS": "Listed.example.org:8443, [fd00:0::7]:8443, [FD00::8], 10.9.9.9:443"}).hosts("HOSTS")
URLS = [
    # URL                                        production  sandbox
    ("https://app.example.org/jwks.json", True, True),
    ("https://app.example.org:443/jwks.json", True, True),
    ("https://listed.example.org:8443/jwks.json", True, True),
    ("https://LISTED.example.org:8443/jwks.json", True, True),
    ("https://[fd00::7]:8443/jwks.json", True, True),
    ("https://[FD00:0:0::7]:8443/jwks.json", True, True),
    ("https://[fd00::8]/jwks.json", True, True),
    ("https://[fd00::8]:443/jwks.json", True, True),
    ("https://10.9.9.9/jwks.json", True, True),
    ("https://[fd00::7]/jwks.json", False, False),
    ("https://[fd00::7]:8444/jwks.json", False, False),
    ("https://[fd00::8]:8443/jwks.json", False, False),
    ("https://[fd00::9]:8443/jwks.json", False, False),
    ("https://listed.example.org:8444/jwks.json", False, False),
    ("https://app.example.org:8443/jwks.json", False, False),
    ("http://app.example.org/jwks.json", False, False),
    ("http://127.0.0.1:9000/jwks.json", False, True),
    ("http://localhost:9000/jwks.json", False, True),
    ("http://[::1]:9000/jwks.json", False, True),
    ("https://127.0.0.1/jwks.json", False, True),
    ("https://10.0.0.1/jwks.json", False, False),
    ("https://169.254.169.254/latest", False, False),
    ("https://[::ffff:10.0.0.1]/jwks.json", False, False),
    ("https://user@app.example.org/jwks.json", False, False),
    ("https://app.example.org/jwks.json#one", False, False),
    ("https://app.example.org/jwks.json#", False, False),
    ("https://app.example.org:99999/jwks.json", False, False),
    ("https://app.example.org\\@10.0.0.1/", False, False),
    ("https://app.example.org/a b", False, False),
    ("https:///jwks.json", False, False),
    ("ftp://app.example.org/jwks.json", False, False),
    ("file:///etc/passwd", False, False),
    ("jwks.json", False, False),
]


@pytest.mark.requirement("KEYS-05")
@pytest.mark.parametrize("mode", ["production", "sandbox"])
@pytest.mark.parametrize(("url", "production", "sandbox"), URLS)
def test_a_jwks_uri_is_https_on_a_public_host(url, production, sandbox, mode, configure: Configure):
    configure(mode=mode, jwks_allowed_hosts=LISTED)
    if production if mode == "production" else sandbox:
        assert require_fetchable(url).hostname
    else:
        with pytest.raises(UnusableJwks) as refused:
            require_fetchable(url)
        assert refused.value.rule == "jwks.url"


def refused_rule(url: str) -> str:
    with pytest.raises(UnusableJwks) as refused:
        fetch_jwks(url)
    return refused.value.rule


@pytest.mark.requirement("KEYS-01")
def test_a_fetch_sends_no_credentials_and_asks_for_json(jwks_host: JwksHost, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    jwks_host.page = Page({"keys": []}, headers=(("Set-Cookie", "a=b"), ("Cache-Control", "max-age=60")))
    assert fetch_jwks(jwks_host.url).lifetime == timedelta(seconds=60)
    assert fetch_jwks(jwks_host.url).body == b'{"keys": []}'
    for visit in jwks_host.requests:
        assert visit["accept"] == "application/json"
        assert not {"cookie", "authorization"} & set(visit)


@pytest.mark.requirement("KEYS-05")
def test_the_sandbox_reaches_loopback_and_production_does_not(jwks_host: JwksHost, configure: Configure):
    assert fetch_jwks(jwks_host.url).body
    configure(mode="production")
    assert refused_rule(jwks_host.url) == "jwks.url"
    assert jwks_host.visits == 1


@pytest.mark.requirement("KEYS-05", "T-11")
@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "017700000001", "127.1"])
def test_a_name_or_odd_spelling_of_a_private_address_is_refused_where_the_socket_is_made(host, configure: Configure):
    with run_jwks_host() as jwks_host:
        listed = frozenset({f"other.example.org:{jwks_host.port}"})
        configure(mode="production", jwks_allowed_hosts=listed)
        # Port 443 is the one such a URL may name; nothing listens there, and nothing may even try.
        assert refused_rule(f"https://{host}/jwks.json") == "jwks.address"
        assert jwks_host.visits == 0


@pytest.mark.requirement("KEYS-05", "T-11")
def test_redirects_are_not_followed(jwks_host: JwksHost):
    jwks_host.page = Page(status=302, headers=(("Location", jwks_host.url),))
    assert refused_rule(jwks_host.url) == "jwks.redirect"
    assert jwks_host.visits == 1


@pytest.mark.parametrize("status", [204, 401, 404, 500])
def test_only_200_counts(jwks_host: JwksHost, status):
    jwks_host.page = Page(status=status)
    assert refused_rule(jwks_host.url) == "jwks.status"


@pytest.mark.requirement("KEYS-05")
def test_a_body_may_have_256_kilobytes_and_not_one_more(jwks_host: JwksHost):
    jwks_host.page = Page(b" " * MAX_BYTES)
    assert len(fetch_jwks(jwks_host.url).body) == MAX_BYTES
    jwks_host.page = Page(b" " * (MAX_BYTES + 1))
    assert refused_rule(jwks_host.url) == "jwks.too_large"


@pytest.mark.requirement("KEYS-05")
def test_a_slow_host_is_given_up(jwks_host: JwksHost, monkeypatch):
    monkeypatch.setattr(jwks_fetch, "TOTAL_TIMEOUT", 200)
    jwks_host.page = Page(delay=0.5)
    assert refused_rule(jwks_host.url) == "jwks.timeout"


def test_a_closed_port_and_a_name_without_address_are_told_apart():
    with run_jwks_host() as jwks_host:
        url = jwks_host.url
    assert refused_rule(url) == "jwks.unreachable"
    assert refused_rule("https://nobody.invalid/jwks.json") == "jwks.dns"


@pytest.mark.requirement("KEYS-05")
def test_a_listed_private_host_works_with_a_trusted_certificate_only(tmp_path, configure: Configure, monkeypatch):
    context, certificate = self_signed(tmp_path)
    with run_jwks_host(context) as jwks_host:
        configure(mode="production", jwks_allowed_hosts=frozenset({f"127.0.0.1:{jwks_host.port}"}))
        assert refused_rule(jwks_host.url) == "jwks.tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch_jwks(jwks_host.url).body == b'{"keys": []}'
