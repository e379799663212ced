"""What changes at the very moment of an answer: either the change is seen, or it ends what the answer gave.

Each change is made on a connection of its own and is still to be committed while the request is on its way.
RFC 9700 §4.14; 45 CFR §170.315(g)(10)(vi).
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.acting import operator
from clients.lifecycle import take_step
from clients.models import Activation, Client, Tenant
from smartauth import tokens
from smartauth.context import new_context
from smartauth.models import AccessToken, Authorization, PendingAuthorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, answer_form, begin, launch, open_consent
from tests.endpoints.test_changed_midway import (
    CALLBACK,
    change_password,
    close_tenant,
    delete_relation,
    lock_user,
    mark_sensitive,
    remove_redirect_uri,
    sign_out_elsewhere,
    switch_off,
)
from tests.endpoints.token_requests import Ask, body_of, redemption

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signing_key", "small")]

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
PATIENCE = 10  # seconds
KEPT = (Client, Activation, Tenant, User, FhirUser, ProxyRelation, Session)
T = TypeVar("T")


@contextmanager
def elsewhere() -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Give a function that makes calls in threads with database connections of their own."""

    def make(call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        yield lambda call: pool.submit(make, call)


def wait_for(*calls: Future[T]) -> None:
    """Wait until a call waits for this transaction, or one has ended without."""
    until = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while not any(one.done() for one in calls):
            cursor.execute(WAITS)
            if cursor.fetchone() == (True,):
                return
            assert time.monotonic() < until, "nobody waits for anybody"
            time.sleep(0.005)


def meanwhile(change: Callable[[], object], request: Callable[[], T]) -> T:
    """Return what the request is answered that comes while a change is made, which is committed only then."""
    with elsewhere() as call:
        with transaction.atomic():
            change()
            asked = call(request)
            wait_for(asked)
        return asked.result(PATIENCE)


def suspend() -> None:
    take_step("growth-chart", "suspended", by=operator(None), context=new_context(), reason="Because.")


def stop() -> None:
    user = User.objects.get().pk
    names = {"client_id": "growth-chart", "tenant": "sandbox"}
    tokens.revoke_app(user=user, by="user", now=timezone.now(), context=new_context(), **names)


def rule_of(answer: HttpResponse) -> str:
    return Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule


@contextmanager
def undone() -> Iterator[None]:
    """Put everything back that a change touches, apart from what was granted and revoked."""
    kept = [row for model in KEPT for row in model.objects.all()]
    yield
    for row in kept:
        row.save()


ALLOWING = [
    *(suspend, remove_redirect_uri, switch_off, close_tenant, mark_sensitive),
    *(lock_user, change_password, sign_out_elsewhere, delete_relation),
]


@pytest.mark.requirement("TOK-24", "REVOKE-11")
def test_allow_grants_nothing_on_ground_that_is_being_taken_away(
    browser: Browser, growth_chart: App, parent: User
) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, parent, patient="ben"))
    for change in ALLOWING:
        with undone():
            answer = meanwhile(change, partial(browser.post, path, form))
        assert (answer.status_code, answer.headers["Location"]) == (302, path), change
        assert rule_of(answer) == "consent.changed_meanwhile"
        assert not Authorization.objects.exists()
    # With everything as it was, the form is good.
    assert browser.post(path, form).headers["Location"].startswith(f"{CALLBACK}?code=")


@pytest.mark.requirement("TOK-24", "REVOKE-11")
def test_a_change_that_came_a_moment_late_ends_what_allow_granted(
    browser: Browser, growth_chart: App, parent: User
) -> None:
    for change, by in ((suspend, "operator"), (lock_user, "lock"), (delete_relation, "relation")):
        path = begin(browser, growth_chart)
        form = answer_form(open_consent(browser, path, parent, patient="ben"))
        with undone(), elsewhere() as call:
            with transaction.atomic():
                # Holds the answer up, after it has looked around.
                PendingAuthorization.objects.select_for_update().latest("created_at")
                asked = call(partial(browser.post, path, form))
                wait_for(asked)
                changed = call(change)
                time.sleep(0.1)
                assert not changed.done()
            assert "code=" in asked.result(PATIENCE).headers["Location"]
            changed.result(PATIENCE)
        assert Authorization.objects.latest("created_at").revoked_by == by


@pytest.mark.requirement("REVOKE-09")
def test_an_answer_that_is_being_stopped_lets_nobody_in(browser: Browser, growth_chart: App, ana: User) -> None:
    scope = "openid patient/Goal.rs"
    path = begin(browser, growth_chart, scope=scope)
    browser.post(path, answer_form(open_consent(browser, path, ana)) | {"remember": "yes"})
    for prompt, goes_to in ((..., "/auth/consent/"), ("none", f"{CALLBACK}?error=consent_required&")):
        Authorization.objects.update(revoked_at=None)
        path = begin(browser, growth_chart, scope=scope, prompt=prompt)
        answer = meanwhile(stop, partial(browser.get, path))
        assert answer.headers["Location"].startswith(goes_to)
        assert rule_of(answer) == "consent.changed_meanwhile"
        assert Authorization.objects.count() == 1


REDEEMING = [
    # change            rule
    (change_password,   "grant.revoked"),
    (lock_user,         "grant.user_inactive"),
    (delete_relation,   "grant.relation_ended"),
]  # fmt: skip


@pytest.mark.requirement("TOK-24", "REFRESH-17")
def test_neither_code_nor_refresh_token_is_good_for_what_is_being_ended(
    browser: Browser, ask: Ask, growth_chart: App, parent: User
) -> None:
    for change, rule in REDEEMING:
        given, spent = (launch(browser, growth_chart, parent, patient="ben") for _ in range(2))
        token = body_of(ask(growth_chart, redemption(spent)))["refresh_token"]
        issued = AccessToken.objects.count()
        forms = redemption(given), {"grant_type": "refresh_token", "refresh_token": token}
        with undone(), elsewhere() as call:
            with transaction.atomic():
                change()
                asked = [call(partial(ask, growth_chart, form)) for form in forms]
                wait_for(*asked)
                time.sleep(0.1)
            answers = [one.result(PATIENCE) for one in asked]
        assert [(one.status_code, rule_of(one)) for one in answers] == [(400, rule)] * 2
        assert AccessToken.objects.count() == issued


def test_a_client_is_suspended_while_it_refreshes_and_neither_waits_for_the_other_for_ever(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    token = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))["refresh_token"]
    with elsewhere() as call:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE smartauth_accesstoken IN SHARE MODE")  # Holds the refresh up, half done.
            refreshed = call(partial(ask, growth_chart, {"grant_type": "refresh_token", "refresh_token": token}))
            wait_for(refreshed)
            suspended = call(suspend)
            time.sleep(0.2)
            assert not suspended.done()
        assert refreshed.result(PATIENCE).status_code == 200
        suspended.result(PATIENCE)
    assert Authorization.objects.get().revoked_by == "operator"
