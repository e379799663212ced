"""The report card, line by line: what an app did, and how it is judged.

SMART 2.2 app-launch; RFC 7636 §4.2; RFC 9700 §2.1; OIDC Core §3.1.2.1.
"""

from typing import Any

import pytest

from smartauth.sandbox.launcher.habit_mark import of_habit
from smartauth.sandbox.launcher.kinds import BACKEND, PROVIDER, STANDALONE
from smartauth.sandbox.launcher.report_card import report_card
from smartauth.sandbox.launcher.seen import Seen

GOOD = {
    "scopes": "launch openid patient/Patient.rs",
    "pkce": "S256",
    "challenge_length": 43,
    "state_length": 22,
    "nonce": True,
    "aud_right": True,
    "launch": True,
}


def asks(**changes: Any) -> Seen:
    return Seen("authorize", 303, facts=GOOD | changes)


def token(scopes: str = "patient/Patient.rs", *, grant: str = "authorization_code", **more: Any) -> Seen:
    return Seen("token", 200, facts={"grant_type": grant, "scopes": scopes} | more)


def no_token(rule: str, fault: str = "", grant: str = "authorization_code") -> Seen:
    return Seen("token", 400, rule, fault, {"grant_type": grant})


def read(kind: str = "Patient", letter: str = "r") -> Seen:
    return Seen("fhir", 200, facts={"type": kind, "letter": letter})


def no_read(rule: str, status: int = 401, fault: str = "") -> Seen:
    return Seen("fhir", status, rule, fault, {"type": "Patient", "letter": "r"})


EXPIRED = no_read("token.expired")
ALTERED = Seen("consent", 303, fault="altered-state")
REFRESH = token(grant="refresh_token")
ASKED_IN_VAIN = [token("patient/Patient.rs patient/Goal.rs openid"), read()]

CASES = [
    # line       what was seen                                                    verdict  part of what it says
    ("pkce",     [],                                                              "open",  "No authorization request"),
    ("pkce",     [asks()],                                                        "good",  "Every request"),
    ("pkce",     [asks(pkce="")],                                                 "bad",   "no code_challenge"),
    ("pkce",     [asks(pkce="plain")],                                            "bad",   "plain"),
    ("pkce",     [asks(challenge_length=12)],                                     "bad",   "43"),
    ("pkce",     [asks(pkce="plain"), asks()],                                    "bad",   "plain"),
    ("state",    [asks()],                                                        "good",  "22"),
    ("state",    [asks(state_length=16)],                                         "look",  "122 random bits"),
    ("state",    [asks(state_length=0)],                                          "bad",   "without state"),
    ("state",    [],                                                              "open",  ""),
    ("state",    [asks(), ALTERED],                                               "good",  "was not used"),
    ("state",    [asks(state_length=16), ALTERED],                                "look",  "was not used"),
    ("state",    [asks(), ALTERED, token()],                                      "bad",   "exchanged its code"),
    ("state",    [asks(), token(), asks(), ALTERED],                              "good",  "was not used"),
    ("discovery", [],                                                             "open",  "No look was seen"),
    ("discovery", [Seen("discovery", 200)],                                       "good",  "asked where they are"),
    ("discovery", [Seen("discovery", 404)],                                       "open",  "No look was seen"),
    ("nonce",    [asks()],                                                        "good",  ""),
    ("nonce",    [asks(nonce=False)],                                             "look",  "ID token"),
    ("nonce",    [asks(nonce=False, scopes="launch patient/*.rs")],               "open",  "openid"),
    ("nonce",    [],                                                              "open",  "No authorization request"),
    ("aud",      [asks()],                                                        "good",  ""),
    ("aud",      [asks(aud_right=False), asks()],                                 "bad",   "first"),
    ("aud",      [asks(), asks(aud_right=False)],                                 "look",  "1 later"),
    ("aud",      [],                                                              "open",  ""),
    ("launch",   [asks()],                                                        "good",  "together"),
    ("launch",   [asks(launch=False)],                                            "bad",   "did not send"),
    ("launch",   [asks(scopes="openid")],                                         "bad",   "without asking"),
    ("launch",   [],                                                              "open",  ""),
    ("code",     [],                                                              "open",  ""),
    ("code",     [token()],                                                       "good",  "It was good"),
    ("code",     [token(), no_token("code.reused")],                              "bad",   "code.reused"),
    ("code",     [no_token("code.expired", "expired-code")],                      "good",  "on purpose"),
    ("code",     [no_token("refresh_token.rotated", grant="refresh_token")],      "open",  ""),
    ("unused",   [],                                                              "open",  "granted"),
    ("unused",   [token("openid")],                                               "open",  "granted"),
    ("unused",   [token()],                                                       "open",  "read yet"),
    ("unused",   [token(), read()],                                               "good",  ""),
    ("unused",   [token("patient/Patient.s"), read()],                            "look",  "patient/Patient.s"),
    ("unused",   [token("patient/*.rs"), read("Goal", "s")],                      "good",  ""),
    ("unused",   ASKED_IN_VAIN,                                                   "look",  "patient/Goal.rs"),
    ("unused",   [token(), no_read("scope", 403)],                                "open",  "read yet"),
    ("refused",  [],                                                              "open",  ""),
    ("refused",  [asks(), token(), read()],                                       "good",  "No request"),
    ("refused",  [no_read("scope", 403), no_read("scope", 403)],                  "look",  "scope × 2"),
    ("refused",  [no_read("", 500)],                                              "look",  "status 500"),
    ("refused",  [no_read("fault.fhir_fails", 503, "fhir-fails")],                "good",  "1 that met the fault"),
    ("refresh",  [asks()],                                                        "open",  "No token"),
    ("refresh",  [token()],                                                       "open",  "got none"),
    ("refresh",  [token(refresh_token=True)],                                     "open",  "did not need"),
    ("refresh",  [token(refresh_token=True), REFRESH],                            "good",  ""),
    ("refresh",  [token(refresh_token=True), no_token("x", grant="refresh_token")], "look", "refused: x"),
    ("expired",  [],                                                              "open",  ""),
    ("expired",  [token(), read()],                                               "good",  "None was shown"),
    ("expired",  [token(), EXPIRED],                                              "good",  "stopped"),
    ("expired",  [token(), *[EXPIRED] * 7],                                       "look",  "7 times"),
    ("expired",  [token(), *[EXPIRED] * 6, REFRESH, *[EXPIRED] * 6],              "good",  "stopped"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "seen", "verdict", "says"), CASES)
def test_what_an_app_did_is_judged(line: str, seen: list[Seen], verdict: str, says: str) -> None:
    [mark] = [mark for mark in report_card(seen, kind=PROVIDER) if mark.id == line]
    assert (mark.verdict, says in mark.says) == (verdict, True), mark
    assert bool(mark.fix) == (verdict in ("look", "bad"))


def test_every_line_is_judged_in_more_than_one_way() -> None:
    lines = {mark.id for mark in report_card([], kind=PROVIDER)}
    assert {line for line in lines if len({case[2] for case in CASES if case[0] == line} - {"open"}) < 2} == {
        "discovery"
    }


def test_an_app_that_begins_itself_has_no_launch_to_hand_on() -> None:
    for scopes, verdict in (("launch/patient openid", "good"), ("launch openid", "look")):
        marks = report_card([asks(launch=False, scopes=scopes)], kind=STANDALONE)
        assert {mark.id: mark.verdict for mark in marks}["launch"] == verdict


def test_a_refresh_token_that_would_have_helped_is_missed() -> None:
    seen = [token(refresh_token=True), no_read("token.expired", fault="expired-token")]
    marks = {mark.id: mark.verdict for mark in report_card(seen, kind=PROVIDER, fault="expired-token")}
    assert marks["refresh"] == "bad"


def test_a_pushed_request_counts_once() -> None:
    pushed = Seen("par", 201, facts=GOOD)
    seen = [pushed, Seen("authorize", 303, facts={"pushed": True})]
    marks = {mark.id: mark.verdict for mark in report_card(seen, kind=PROVIDER)}
    assert {marks[line] for line in ("pkce", "state", "nonce", "aud", "launch")} == {"good"}


def test_a_service_is_judged_by_what_it_does() -> None:
    marks = report_card([token("system/Patient.rs", grant="client_credentials"), read()], kind=BACKEND)
    assert {mark.id: mark.verdict for mark in marks} == {
        "discovery": "open",
        "unused": "good",
        "refused": "good",
        "expired": "good",
    }


GONE = asks(gone="patient/*.rs")
HABITS_MET = [
    # habit          what was seen                                     verdict  part of what it says
    ("no-refresh",   [],                                               "open",  "No request met it"),
    ("exact-scopes", [asks(), token(), read()],                        "open",  "changed nothing"),
    ("exact-scopes", [GONE],                                           "open",  "It took away: patient/*.rs."),
    ("exact-scopes", [GONE, token(), read()],                          "good",  "went on with the rest"),
    ("exact-scopes", [GONE, token(), no_read("scope", 403)],           "look",  "1 requests were refused"),
    ("v1-scopes",    [GONE, token("launch openid")],                   "look",  "nothing that reaches records"),
    ("v1-scopes",    [token(grant="client_credentials", gone="a b")],  "good",  "It took away: a b."),
    ("short-tokens", [asks()],                                         "open",  "No token"),
    ("short-tokens", [asks(), token()],                                "open",  "Wait for 60 seconds"),
    ("short-tokens", [asks(), token(), EXPIRED],                       "look",  "no new one"),
    ("short-tokens", [asks(), token(), EXPIRED, REFRESH],              "good",  "a new token"),
]  # fmt: skip


@pytest.mark.parametrize(("habit", "seen", "verdict", "says"), HABITS_MET)
def test_the_report_says_what_a_habit_did(habit: str, seen: list[Seen], verdict: str, says: str) -> None:
    (mark,) = of_habit(seen, habit)
    assert (mark.verdict, says in mark.says) == (verdict, True), mark


def test_without_a_habit_there_is_no_line_on_it() -> None:
    assert of_habit([asks(), token()], "") == ()
