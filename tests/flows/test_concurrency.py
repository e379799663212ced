"""Many requests at once, on two worker processes and one PostgreSQL.

RFC 6749 §4.1.2 and §10.5; RFC 7009 §2.1; RFC 7523 §3; RFC 9126 §4; RFC 9449 §11.1; RFC 9700 §4.14.2.
"""

import http.client
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any, TypeVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from django.utils import timezone
from joserfc import jwt

from clients.models import Activation, AssertionId, Client
from smartauth import tokens
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization, AuthorizationCode, Launch, RefreshToken
from smartauth.people.models import User
from tests.endpoints.app_launch import Pkce
from tests.factories import ASSERTION_TYPE, claims_at
from tests.flows.test_backend_service import MARK_TIME
from tests.person import OF_A_FORM, Page, Person
from tests.proofs import Holder
from tests.world import LAUNCH_SCOPE, App, MakeApp, MakePartner, MakePerson, Partner, World, make_app, make_person

__all__ = ["make_app", "make_person"]

STAMPEDE = 50  # requests
ROUNDS = 8  # of a race that can go either way
T = TypeVar("T")
Answer = tuple[int, dict[str, Any]]


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at the same moment, each in a thread of its own; return what they return, in order."""
    barrier = Barrier(len(calls))

    def make(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def post(url: str, params: dict[str, str], **headers: str) -> Answer:
    """Post a form on a connection of its own; return the status and the members of the answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", parts.path, urlencode(params), form | headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def assertion(world: World, partner: Partner, **claims: Any) -> str:
    """Return a fresh assertion of the partner."""
    mine = {"iss": partner.client_id, "sub": partner.client_id, "aud": world.token_url} | claims
    header = {"alg": partner.alg, "kid": partner.key.kid, "typ": "JWT"}
    return jwt.encode(header, claims_at(datetime.now(UTC), **mine), partner.key, algorithms=[partner.alg])


def ask_for_token(world: World, signed: str, *, scope: str = "system/Patient.rs", **headers: str) -> Answer:
    """Ask for a token with an assertion."""
    params = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    asked = {"grant_type": "client_credentials", "scope": scope, **params}
    return post(world.token_url, asked, **headers)


def post_token(world: World, signed: str) -> int:
    """Ask for a token with an assertion; return the status."""
    return ask_for_token(world, signed)[0]


@pytest.mark.requirement("ASYM-17", "T-04")
def test_the_same_assertion_fifty_times_at_once_gives_exactly_one_token(
    world: World, make_partner: MakePartner
) -> None:
    partner = make_partner("stampede")
    signed = assertion(world, partner)
    statuses = at_once(*[lambda: post_token(world, signed)] * STAMPEDE)
    assert sorted(statuses) == [200] + [401] * (STAMPEDE - 1)
    pk = Client.objects.get(client_id="stampede").pk
    assert AccessToken.objects.filter(application_id=pk).count() == 1
    assert AssertionId.objects.filter(client_id=pk).count() == 1


def test_first_requests_at_once_make_one_standing_authorization(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("newcomer")
    signed = [assertion(world, partner) for _ in range(20)]
    statuses = at_once(*(partial(post_token, world, one) for one in signed))
    assert statuses == [200] * 20
    assert Authorization.objects.filter(client__client_id="newcomer").count() == 1
    assert AccessToken.objects.filter(application__client_id="newcomer").count() == 20


@pytest.mark.requirement("ASYM-17")
def test_an_assertion_stays_spent_when_the_request_fails_afterwards(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("narrow-minded", scope="system/Observation.r")
    signed = assertion(world, partner)
    assert post_token(world, signed) == 400
    assert post_token(world, signed) == 401


@pytest.mark.requirement("EXT-05")
def test_the_same_proof_fifty_times_at_once_gives_exactly_one_token(world: World, make_partner: MakePartner) -> None:
    partner = make_partner("proof-stampede", dpop_bound_access_tokens=True)
    proof = Holder().proof("POST", world.token_url)
    signed = [assertion(world, partner) for _ in range(STAMPEDE)]
    answers = at_once(*(partial(ask_for_token, world, one, DPoP=proof) for one in signed))
    assert sorted(status for status, _ in answers) == [200] + [400] * (STAMPEDE - 1)
    assert {body["error"] for status, body in answers if status == 400} == {"invalid_dpop_proof"}
    assert AccessToken.objects.filter(application__client_id="proof-stampede").count() == 1


@pytest.mark.requirement("EXT-05", "EXT-06")
def test_the_same_proof_fifty_times_at_once_reads_once(world: World, make_partner: MakePartner) -> None:
    partner, holder = make_partner("reading-stampede", dpop_bound_access_tokens=True), Holder()
    url = f"{world.fhir_base}/Patient/ana"
    _, body = ask_for_token(world, assertion(world, partner), DPoP=holder.proof("POST", world.token_url))
    token = body["access_token"]

    def show(proof: str) -> int:
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        return requests.get(url, headers=headers, timeout=30).status_code

    # With proofs of their own both workers come to know the token.
    assert at_once(*(partial(show, holder.proof("GET", url, token)) for _ in range(8))) == [200] * 8
    for _ in range(2):
        statuses = at_once(*[partial(show, holder.proof("GET", url, token))] * STAMPEDE)
        assert sorted(statuses) == [200] + [401] * (STAMPEDE - 1)


@pytest.mark.requirement("EXT-03")
def test_a_pushed_request_opens_in_one_of_many_browsers(world: World, make_app: MakeApp) -> None:
    app = make_app("pushed-stampede")
    endpoint = f"{world.base_url}/auth/{world.tenant}/par"
    asked = dict(parse_qsl(urlsplit(authorize_url(world, app, LAUNCH_SCOPE, Pkce().challenge)).query))
    status, body = post(endpoint, asked)
    assert status == 201, body
    query = {"client_id": app.client_id, "request_uri": body["request_uri"]}

    def visit() -> int:
        url = f"{world.base_url}/auth/{world.tenant}/authorize"
        return requests.get(url, query, allow_redirects=False, timeout=30).status_code

    assert sorted(at_once(*[visit] * 20)) == [303] + [400] * 19


def authorize_url(world: World, app: App, scope: str, challenge: str) -> str:
    parameters = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "scope": scope,
        "state": "of no use to anybody here",
        "aud": world.fhir_base,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{world.base_url}/auth/{world.tenant}/authorize?{urlencode(parameters)}"


def launch(world: World, app: App, person: Person, scope: str = LAUNCH_SCOPE) -> dict[str, str]:
    """Launch a public app and return with what it exchanges the code."""
    pkce = Pkce()
    callback = person.launch(authorize_url(world, app, scope, pkce.challenge), patient="ana")
    return {
        "grant_type": "authorization_code",
        "client_id": app.client_id,
        "code": parse_qs(urlsplit(callback).query)["code"][0],
        "redirect_uri": app.redirect_uri,
        "code_verifier": pkce.verifier,
    }


def tokens_of(world: World, app: App, person: Person, scope: str = LAUNCH_SCOPE) -> dict[str, Any]:
    """Launch a public app and exchange the code."""
    status, body = post(world.token_url, launch(world, app, person, scope))
    assert status == 200, body
    return body


def refresh(world: World, app: App, token: str) -> Answer:
    params = {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": token}
    return post(world.token_url, params)


def and_use(world: World, answer: Answer) -> Answer:
    """Read with the access token of an answer at once, so that a worker remembers it; return the answer."""
    status, body = answer
    if status == 200:
        assert read(world, body["access_token"]) in (200, 401)
    return answer


def read(world: World, access_token: str) -> int:
    """Read a record on a new connection; return the status."""
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(f"{world.fhir_base}/Patient/ana", headers=headers, timeout=30).status_code


def assert_dead(world: World, app: App, issued: list[dict[str, Any]]) -> None:
    """Make sure that nothing of what was issued is worth anything: in the database now, at every worker in a second."""
    now = timezone.now()
    assert not [one for one in issued if tokens.is_live(digest(one["access_token"]), now=now)]
    time.sleep(MARK_TIME)
    # Several times each, so that both workers are asked.
    assert {read(world, one["access_token"]) for one in issued for _ in range(4)} == {401}
    answers = [refresh(world, app, one["refresh_token"]) for one in issued]
    assert {(status, body["error"]) for status, body in answers} == {(400, "invalid_grant")}


@pytest.mark.clocked
@pytest.mark.requirement("AUTHZ-21", "AUTHZ-20")
def test_the_same_code_fifty_times_at_once_gives_tokens_once_and_ends_them(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    app = make_app("code-stampede")
    exchange = launch(world, app, make_person("ana-code-stampede", "Patient/ana"))

    answers = at_once(*[lambda: and_use(world, post(world.token_url, exchange))] * STAMPEDE)

    assert sorted(status for status, _ in answers) == [200] + [400] * (STAMPEDE - 1)
    assert {body["error"] for status, body in answers if status == 400} == {"invalid_grant"}
    authorization = Authorization.objects.get(client__client_id=app.client_id)
    assert authorization.revoked_at is not None
    assert authorization.revoked_by == "reuse"
    assert AccessToken.objects.filter(authorization=authorization).count() == 1
    assert RefreshToken.objects.filter(authorization=authorization).count() == 1
    assert_dead(world, app, [body for status, body in answers if status == 200])


def test_different_codes_at_once_do_not_get_in_each_others_way(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    app = make_app("code-crowd")
    ana = make_person("ana-code-crowd", "Patient/ana")
    exchanges = [launch(world, app, ana) for _ in range(10)]
    answers = at_once(*(partial(post, world.token_url, one) for one in exchanges))
    assert [status for status, _ in answers] == [200] * 10
    assert {read(world, body["access_token"]) for _, body in answers} == {200}
    again = at_once(*(partial(refresh, world, app, body["refresh_token"]) for _, body in answers))
    assert [status for status, _ in again] == [200] * 10


@pytest.mark.requirement("REFRESH-21")
def test_the_same_refresh_token_fifty_times_at_once_leaves_exactly_one_live(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    app = make_app("refresh-stampede")
    first = tokens_of(world, app, make_person("ana-refresh-stampede", "Patient/ana"))

    answers = at_once(*[lambda: refresh(world, app, first["refresh_token"])] * STAMPEDE)

    # One rotates it; all the others seem to have lost its answer a moment ago.
    assert [status for status, _ in answers] == [200] * STAMPEDE
    given = {digest(body["refresh_token"]): body for _, body in answers}
    assert len(given) == STAMPEDE
    authorization = Authorization.objects.get(client__client_id=app.client_id)
    live = RefreshToken.objects.get(authorization=authorization, rotated_at=None, revoked=None)
    winner = given.pop(live.token_checksum)
    assert authorization.revoked_at is None

    losers = at_once(*(partial(refresh, world, app, body["refresh_token"]) for body in given.values()))
    assert {(status, body["error"]) for status, body in losers} == {(400, "invalid_grant")}
    authorization.refresh_from_db()
    assert authorization.revoked_at is None
    assert read(world, winner["access_token"]) == 200
    status, successor = refresh(world, app, winner["refresh_token"])
    assert status == 200
    assert refresh(world, app, successor["refresh_token"])[0] == 200


@pytest.mark.parametrize("decisions", [("allow", "allow"), ("allow", "deny")])
def test_one_consent_answered_in_two_windows_at_once_is_answered_once(
    world: World, make_app: MakeApp, make_person: MakePerson, decisions: tuple[str, str]
) -> None:
    app = make_app(f"two-windows-{'-'.join(decisions)}")
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")
    launch(world, app, ana)  # From here on she is signed in.
    codes = AuthorizationCode.objects.filter(application__client_id=app.client_id)
    for _ in range(ROUNDS):
        before = codes.count()
        page = Page.read(ana._browser.get(authorize_url(world, app, LAUNCH_SCOPE, Pkce().challenge), timeout=30))
        answers = at_once(*(partial(decide, ana, page, decision) for decision in decisions))
        late = [answer.text for answer in answers if answer.status_code == 409]
        assert len(late) == len(set(decisions)) - 1  # A form that is pressed twice is answered twice the same.
        for text in late:
            assert "You have already answered" in text
            assert "Nothing was shared" not in text  # It may well have been.
        (told,) = {answer.headers["Location"] for answer in answers if answer.status_code == 303}
        parameters = parse_qs(urlsplit(told).query)
        assert parameters.keys() & {"code", "error"}
        assert codes.count() - before == ("code" in parameters)


def decide(person: Person, page: Page, decision: str) -> requests.Response:
    """Answer the consent page; where that leads to is not visited."""
    form = page.form("decision")
    entries = urlencode(form.entries(form.find("decision", decision)))
    return person._browser.post(page.url, entries, headers=OF_A_FORM, allow_redirects=False, timeout=30)


def keep_refreshing(world: World, app: App, first: dict[str, Any], issued: list[dict[str, Any]]) -> None:
    """Refresh with each new refresh token until one is refused; everything that came is added to `issued`."""
    issued.append(first)
    while (answer := and_use(world, refresh(world, app, issued[-1]["refresh_token"])))[0] == 200:
        issued.append(answer[1])
    assert (answer[0], answer[1]["error"]) == (400, "invalid_grant")


@pytest.mark.clocked
def test_after_a_revocation_nothing_is_live_that_a_refresh_gave_at_the_same_moment(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    app = make_app("revoke-race")
    ana = make_person("ana-revoke-race", "Patient/ana")
    issued = []
    for turn in range(ROUNDS):
        first, family = tokens_of(world, app, ana), []

        def revoke_soon(token: str = first["refresh_token"], wait: float = turn * 0.007) -> None:
            time.sleep(wait)
            url = f"{world.base_url}/auth/{world.tenant}/revoke"
            assert post(url, {"client_id": app.client_id, "token": token}) == (200, {})

        at_once(partial(keep_refreshing, world, app, first, family), revoke_soon)
        issued += family
    assert len(issued) > ROUNDS, "no refresh ever came before the revocation"
    ended = Authorization.objects.filter(client__client_id=app.client_id)
    assert set(ended.values_list("revoked_by", flat=True)) == {"client"}
    assert_dead(world, app, issued)


@pytest.mark.clocked
@pytest.mark.requirement("OIDC-19")
def test_after_signing_out_nothing_is_live_that_a_refresh_gave_at_the_same_moment(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    scope = LAUNCH_SCOPE.replace("offline_access", "online_access")
    app = make_app("sign-out-race", scope=scope)
    ana = make_person("ana-sign-out-race", "Patient/ana")
    issued = []
    for turn in range(ROUNDS // 2):
        families: list[list[dict[str, Any]]] = [[], [], []]
        refreshing = [partial(keep_refreshing, world, app, tokens_of(world, app, ana, scope), one) for one in families]

        def sign_out_soon(wait: float = turn * 0.01) -> None:
            time.sleep(wait)
            assert sign_out(world, ana) == 302

        at_once(*refreshing, sign_out_soon)
        issued += [one for family in families for one in family]
    assert len(issued) > 3 * ROUNDS // 2, "no refresh ever came before the end of the session"
    ended = Authorization.objects.filter(client__client_id=app.client_id)
    assert set(ended.values_list("revoked_by", flat=True)) == {"session"}
    assert_dead(world, app, issued)


def sign_out(world: World, person: Person) -> int:
    """Press the button of the page for signing out; return the status."""
    browser = person._browser
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    url = f"{world.base_url}/account/logout/"
    return browser.post(url, form, headers=OF_A_FORM, allow_redirects=False, timeout=30).status_code


@pytest.mark.requirement("LAUNCH-05", "T-67")
def test_one_launch_of_an_ehr_in_two_windows_at_once_gives_one_code(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    scope = "launch openid patient/Patient.rs"
    app = make_app("two-requests", scope=scope, launch_urls=["https://app.example.org/launch"])
    doctor = make_person("dr-two-requests", "Practitioner/dr-grey")
    codes = AuthorizationCode.objects.filter(application__client_id=app.client_id)
    for turn in range(ROUNDS):
        handle = begin_launch(app, doctor.username)
        url = f"{authorize_url(world, app, scope, Pkce().challenge)}&launch={handle}"
        if turn == 0:
            assert "code=" in doctor.launch(url)  # From here on they are signed in.
            continue
        before = codes.count()
        pages = [Page.read(doctor._browser.get(url, timeout=30)) for _ in range(2)]
        answers = at_once(*(partial(decide, doctor, page, "allow") for page in pages))
        told = [parse_qs(urlsplit(answer.headers["Location"]).query) for answer in answers]
        assert sorted("code" in parameters for parameters in told) == [False, True], told
        assert [parameters["error"] for parameters in told if "code" not in parameters] == [["invalid_request"]]
        assert codes.count() - before == 1


def begin_launch(app: App, username: str) -> str:
    """Begin a launch about ana, as the endpoint does for an EHR, and return its handle."""
    handle, now = secrets.token_urlsafe(32), timezone.now()
    client = Client.objects.get(client_id=app.client_id)
    Launch.objects.create(
        handle=digest(handle),
        client=client,
        tenant=Activation.objects.get(client=client).tenant,
        user=User.objects.get(username=username),
        begun_by="ehr",
        context={"patient": "ana", "need_patient_banner": True},
        created_at=now,
        expires_at=now + timedelta(minutes=5),
    )
    return handle
