"""What an app may say in an authorization request.  AUTHZ-05, -06, -07, -13, -14, -17, -24, -25, -26, -27.

SMART 2.2 app-launch, "Obtain authorization code"; RFC 6749 §4.1.1, §4.1.2.1; RFC 7636 §4.4.1; OIDC Core §3.1.2.1.
"""

import re

import pytest

from smartauth.errors import OAuthError
from smartauth.policy.authorization_requests import (
    LONGEST_NONCE,
    LONGEST_STATE,
    AuthorizationRequest,
    parse_authorization_request,
)

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
GOOD = {
    "response_type": "code",
    "client_id": "growth-chart",
    "redirect_uri": "https://growth.example.org/cb",
    "scope": "launch/patient patient/Observation.rs",
    "state": "s-1",
    "aud": "https://fhir.example.org/r4",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
ECHO = 'MALLORY"\\é'  # what no description may contain, for its content and for its characters


def parse(**changes: str | None) -> AuthorizationRequest:
    """Parse the good request with some parameters changed; None leaves one out."""
    return parse_authorization_request({name: value for name, value in (GOOD | changes).items() if value is not None})


def test_a_good_request_is_read_as_it_was_sent() -> None:
    assert parse() == AuthorizationRequest(GOOD["scope"], "s-1", CHALLENGE)


def test_everything_an_openid_app_may_add_is_read() -> None:
    assert parse(nonce="n-1", prompt="login consent", max_age="300", launch="xyz") == AuthorizationRequest(
        scope=GOOD["scope"],
        state="s-1",
        code_challenge=CHALLENGE,
        nonce="n-1",
        prompts=frozenset({"login", "consent"}),
        max_age=300,
        launch="xyz",
    )


REFUSED = [
    # changed                                         error                         rule
    ({"response_type": None},                         "invalid_request",            "authorize.response_type_missing"),
    ({"response_type": "token"},                      "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": "id_token"},                   "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": "code token"},                 "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": "code id_token"},              "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": "code code"},                  "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": "CODE"},                       "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": " code"},                      "unsupported_response_type",  "authorize.response_type"),
    ({"response_type": ECHO},                         "unsupported_response_type",  "authorize.response_type"),
    ({"response_mode": "fragment"},                   "invalid_request",            "authorize.response_mode"),
    ({"response_mode": "form_post"},                  "invalid_request",            "authorize.response_mode"),
    ({"response_mode": ECHO},                         "invalid_request",            "authorize.response_mode"),
    ({"state": None},                                 "invalid_request",            "authorize.state_missing"),
    ({"state": "s" * (LONGEST_STATE + 1)},            "invalid_request",            "authorize.state_long"),
    ({"scope": None},                                 "invalid_scope",              "scope.missing"),
    ({"scope": ""},                                   "invalid_scope",              "scope.missing"),
    ({"scope": "   "},                                "invalid_scope",              "scope.missing"),
    ({"code_challenge": None},                        "invalid_request",            "pkce.missing"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request",    "pkce.missing"),
    ({"code_challenge_method": None},                 "invalid_request",            "pkce.method"),
    ({"code_challenge_method": "plain"},              "invalid_request",            "pkce.method"),
    ({"code_challenge_method": ECHO},                 "invalid_request",            "pkce.method"),
    ({"code_challenge": CHALLENGE + "="},             "invalid_request",            "pkce.challenge"),
    ({"nonce": "n" * (LONGEST_NONCE + 1)},            "invalid_request",            "authorize.nonce_long"),
    ({"prompt": "create"},                            "invalid_request",            "authorize.prompt"),
    ({"prompt": "LOGIN"},                             "invalid_request",            "authorize.prompt"),
    ({"prompt": f"login {ECHO}"},                     "invalid_request",            "authorize.prompt"),
    ({"prompt": "none login"},                        "invalid_request",            "authorize.prompt_none"),
    ({"prompt": "consent none"},                      "invalid_request",            "authorize.prompt_none"),
    ({"max_age": "-1"},                               "invalid_request",            "authorize.max_age"),
    ({"max_age": "+5"},                               "invalid_request",            "authorize.max_age"),
    ({"max_age": "5.0"},                              "invalid_request",            "authorize.max_age"),
    ({"max_age": " 5"},                               "invalid_request",            "authorize.max_age"),
    ({"max_age": "5\n"},                              "invalid_request",            "authorize.max_age"),
    ({"max_age": "٣"},                                "invalid_request",            "authorize.max_age"),
    ({"max_age": "1" * 10},                           "invalid_request",            "authorize.max_age"),
    ({"max_age": ECHO},                               "invalid_request",            "authorize.max_age"),
    ({"request": "eyJ"},                              "request_not_supported",      "authorize.request_object"),
    ({"request_uri": "https://mallory.example/r"},    "request_uri_not_supported",  "authorize.request_uri"),
    ({"request_uri": "urn:x", "response_type": None},   "request_uri_not_supported",  "authorize.request_uri"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "rule"), REFUSED)
def test_one_wrong_parameter_refuses_the_request(changes: dict[str, str | None], code: str, rule: str) -> None:
    with pytest.raises(OAuthError) as refused:
        parse(**changes)
    assert (refused.value.code, refused.value.refusal.rule) == (code, rule)
    assert DESCRIPTION.fullmatch(refused.value.description)
    assert "MALLORY" not in refused.value.description


def test_the_first_thing_to_mend_is_the_one_that_is_told() -> None:
    wrong = {"response_type": None, "state": None, "scope": None, "code_challenge": None, "max_age": "x"}
    mended = ("response_type", "state", "scope", "code_challenge")
    rules = []
    for name in mended:
        with pytest.raises(OAuthError) as refused:
            parse(**wrong)
        rules.append(refused.value.refusal.rule)
        wrong[name] = GOOD[name]
    assert rules == ["authorize.response_type_missing", "authorize.state_missing", "scope.missing", "pkce.missing"]


STATES = ["x", " ", " s ", "a+b%20c&d=e#f", "é漢🙂", "{}", '"\\', "s" * 2_048, "s" * LONGEST_STATE]


@pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state[:12]} of {len(state)}")
def test_any_state_of_reasonable_length_is_kept_exactly(state: str) -> None:
    assert parse(state=state).state == state


PROMPTS = [
    (None, set()),
    ("", set()),
    ("none", {"none"}),
    ("login", {"login"}),
    ("consent", {"consent"}),
    ("select_account", {"select_account"}),
    ("login  consent login", {"login", "consent"}),
]


@pytest.mark.parametrize(("prompt", "prompts"), PROMPTS)
def test_prompts_are_a_set_in_which_none_stands_alone(prompt: str | None, prompts: set[str]) -> None:
    assert parse(prompt=prompt).prompts == prompts


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, None), ("", None), ("0", 0), ("007", 7), ("999999999", 999999999)]
)
def test_max_age_is_whole_seconds_and_zero_is_not_absent(text: str | None, seconds: int | None) -> None:
    assert parse(max_age=text).max_age == seconds


def test_the_longest_nonce_is_still_a_nonce() -> None:
    assert parse(nonce="n" * LONGEST_NONCE).nonce == "n" * LONGEST_NONCE


SCOPES = [
    "openid",
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
    "launch/imagingstudy?role=https://example.org/prior  openid openid",
    "unreadable",
]


@pytest.mark.parametrize("scope", SCOPES)
def test_scopes_are_handed_on_unread(scope: str) -> None:
    assert parse(scope=scope).scope == scope


IGNORED = [
    {"response_mode": "query"},
    {"display": "popup"},
    {"claims_locales": "fr"},
    {"login_hint": "ana"},
    {"acr_values": "gold"},
    {"id_token_hint": "eyJ"},
    {"claims": "{}"},
    {"something": "new"},
]


@pytest.mark.parametrize("extra", IGNORED, ids=lambda extra: next(iter(extra)))
def test_parameters_that_change_nothing_cause_no_error(extra: dict[str, str]) -> None:
    assert parse(**extra) == parse()
