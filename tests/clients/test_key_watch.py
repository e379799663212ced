"""The watch over partners' key sets: what a finding says, when it ends, and that the watch does no harm.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 9111 §4.2.
"""

import io
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from clients import key_sets
from clients.assertions import parse_assertion, verify_assertion
from clients.key_pairs import KeyPair
from clients.key_watching import Round, watch
from clients.models import Client, KeyFinding, KeySet, KeyUse
from clients.registered import RegisteredClient, find_client
from smartauth import alarms
from tests.certificates import self_signed
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.clients.verification import find_verification_key
from tests.conftest import Configure
from tests.factories import AUDIENCES, NOW, claims_at, make_client, service, signed, weak_rsa


@pytest.fixture(autouse=True)
def no_alarm_yet(db) -> Iterator[None]:
    alarms._raised.clear()
    yield
    key_sets._copies.clear()


@pytest.fixture
def partner(jwks_host: JwksHost) -> RegisteredClient:
    return register(jwks_host.url)


def register(jwks_uri: str, client_id: str = "bulk-loader") -> RegisteredClient:
    make_client(service(client_id=client_id, jwks_uri=jwks_uri))
    found = find_client(client_id)
    assert found is not None
    return found


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def look(minutes: float = 0) -> Round:
    return watch(lambda: after(minutes), pause=0)


def open_kinds() -> list[str]:
    return sorted(KeyFinding.objects.filter(resolved_at=None).values_list("kind", flat=True))


def sign_in(pair: KeyPair, minutes: float = 0) -> None:
    """Have the partner's assertion verified, as the token endpoint does."""
    now = after(minutes)
    assertion, client_id = parse_assertion(signed(pair, claims_at(now)))
    client = find_client(client_id)
    assert client is not None
    verify_assertion(assertion, client, audiences=AUDIENCES, now=now)


def test_a_healthy_key_set_has_no_finding(partner, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=120")
    sign_in(ec)
    for minutes in (1, 3, 6):
        look(minutes)
    assert not KeyFinding.objects.exists()


def test_two_keys_of_one_name_are_a_finding(partner, jwks_host, ec: KeyPair, ec256: KeyPair):
    jwks_host.publish(ec.public_jwk, {**ec256.public_jwk, "kid": "ec-1"})
    look()
    assert open_kinds() == ["kid-clash"]
    assert KeyFinding.objects.get().details == {"kids": ["ec-1"], "count": 1}


def test_a_weak_key_is_a_finding(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, weak_rsa())
    look()
    assert KeyFinding.objects.get().details == {"rules": {"weak": "jwks.weak_key"}}


def test_a_key_in_use_that_vanished_is_a_finding_until_another_is_used(partner, jwks_host, rsa, ec, ec256):
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=60")
    sign_in(ec)
    look()
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    look(300)
    assert open_kinds() == ["key-in-use-vanished"]
    assert KeyFinding.objects.get().details["kids"] == ["ec-1"]
    sign_in(rsa, 302)
    look(304)
    assert open_kinds() == []


def test_a_key_nobody_used_may_go(partner, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, ec.public_jwk, cache_control="max-age=60")
    sign_in(ec)
    look()
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    look(10)
    assert open_kinds() == []


def test_a_key_that_is_gone_for_a_moment_locks_nobody_out(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    sign_in(ec)
    jwks_host.publish(cache_control="max-age=600")
    assert look(5).fetched == 0
    assert open_kinds() == []
    assert find_verification_key(partner, "ec-1", "ES384", now=after(9)).key_type == "EC"
    assert jwks_host.visits == 1
    jwks_host.publish(ec.public_jwk, cache_control="max-age=600")
    assert look(11).fetched == 1
    assert open_kinds() == []


def test_a_failing_host_takes_no_copy_away(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    look()
    jwks_host.page = Page(status=503)
    look(2)
    assert KeySet.objects.get().document["keys"][0]["kid"] == "ec-1"


def test_a_rotation_without_overlap_is_a_finding_until_the_set_is_steady(partner, jwks_host, rsa, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk, cache_control="max-age=60")
    look()
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    look(5)
    assert open_kinds() == ["rotation-without-overlap"]
    assert KeyFinding.objects.get().details == {"gone": ["rsa-1"], "came": ["ec-1"]}
    look(5.5)  # The same copy says nothing new.
    assert open_kinds() == ["rotation-without-overlap"]
    look(10)
    assert open_kinds() == []


def test_a_rotation_with_overlap_is_healthy(partner, jwks_host, rsa: KeyPair, ec: KeyPair):
    for step, keys in enumerate(([rsa], [rsa, ec], [ec])):
        jwks_host.publish(*(pair.public_jwk for pair in keys), cache_control="max-age=60")
        look(step * 5)
    assert not KeyFinding.objects.exists()


def test_copies_far_apart_say_nothing_about_overlap(partner, jwks_host, rsa: KeyPair, ec: KeyPair):
    jwks_host.publish(rsa.public_jwk)
    look()
    jwks_host.publish(ec.public_jwk)
    look(24 * 60)
    assert not KeyFinding.objects.exists()


def test_a_clock_that_goes_back_ends_nothing_before_it_began(partner, jwks_host, ec: KeyPair):
    jwks_host.page = Page(status=404)
    look(60)
    look(0)
    finding = KeyFinding.objects.get()
    assert (finding.first_seen_at, finding.last_seen_at) == (after(60), after(60))
    jwks_host.publish(ec.public_jwk, cache_control="max-age=60")
    look(-60)
    assert KeyFinding.objects.get().resolved_at == after(60)
    look(-120)
    look(120)
    assert KeyFinding.objects.count() == 1


def test_the_certificate_of_a_host_is_dated_and_its_distrust_is_a_finding(
    tmp_path, ec: KeyPair, configure: Configure, monkeypatch
):
    context, certificate = self_signed(tmp_path)
    with run_jwks_host(context) as host:
        host.publish(ec.public_jwk, cache_control="max-age=60")
        configure(mode="production", jwks_allowed_hosts=frozenset({f"127.0.0.1:{host.port}"}))
        register(host.url)
        look()
        assert open_kinds() == ["unreachable"]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        look(2)
        ends_at = KeySet.objects.get().certificate_ends_at
        assert ends_at is not None
        KeySet.objects.update(certificate_ends_at=after(3 * 24 * 60), expires_at=after(60))
        look(3)
    assert open_kinds() == ["certificate-ends"]
    assert KeyFinding.objects.get(resolved_at=None).details == {"days_left": 2}


def test_a_url_is_fetched_once_a_minute_at_most_and_once_for_all_its_clients(partner, jwks_host, ec: KeyPair):
    register(jwks_host.url, "second-loader")
    jwks_host.publish(cache_control="no-store")
    assert look() == Round(key_sets=1, fetched=1, new_findings=2)
    assert look(0.5).fetched == 0
    assert look(1).fetched == 1
    assert jwks_host.visits == 2


@pytest.mark.parametrize("status", ["draft", "suspended", "retired"])
def test_only_approved_clients_are_watched_and_findings_about_others_end(partner, jwks_host, status):
    look()
    assert open_kinds() == ["empty"]
    Client.objects.update(status=status)
    assert look(10) == Round(key_sets=0, fetched=0, new_findings=0)
    assert open_kinds() == []


def test_a_round_is_never_inside_a_transaction(partner, jwks_host):
    with transaction.atomic(), pytest.raises(RuntimeError):
        look()
    assert jwks_host.visits == 0


def test_using_a_key_costs_no_statement_of_its_own(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    sign_in(ec, 1)
    with CaptureQueriesContext(connection) as asked:
        sign_in(ec, 4)
    [spending] = [one["sql"] for one in asked.captured_queries if "INSERT" in one["sql"]]
    assert "clients_keyuse" in spending
    assert "clients_assertionid" in spending
    assert list(KeyUse.objects.values_list("kid", "used_at")) == [("ec-1", NOW)]
    sign_in(ec, 14)
    assert KeyUse.objects.count() == 2


def test_a_key_registered_by_value_leaves_no_trace_of_use(ec: KeyPair):
    make_client(service(jwks=ec.jwks))
    sign_in(ec)
    assert not KeyUse.objects.exists()


def test_the_command_does_one_round(partner, jwks_host, ec: KeyPair):
    jwks_host.publish(ec.public_jwk)
    printed = io.StringIO()
    call_command("watch_jwks", "--once", stdout=printed)
    assert printed.getvalue() == "1 key sets, 1 fetched, 0 new findings\n"
    assert not connection.needs_rollback


def test_findings_are_shown_to_the_administration_and_changed_by_nobody(partner, jwks_host, browser):
    look()
    finding = KeyFinding.objects.get()
    listed = browser.get("/admin/clients/keyfinding/", {"kind": "empty", "client__id__exact": partner.pk})
    assert "Bulk Loader" in listed.content.decode()
    page = f"/admin/clients/keyfinding/{finding.pk}"
    assert browser.get(f"{page}/change/").status_code == 200
    assert browser.post(f"{page}/change/", {"kind": "empty"}).status_code == 403
    assert browser.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert KeyFinding.objects.count() == 1


def test_findings_and_uses_go_along_with_their_client(partner, jwks_host, ec: KeyPair):
    look()
    KeyUse.objects.create(client_id=partner.pk, kid="ec-1", used_at=NOW)
    Client.objects.get(pk=partner.pk).delete()
    assert not KeyFinding.objects.exists()
    assert not KeyUse.objects.exists()
