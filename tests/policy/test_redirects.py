"""Where an answer may go, and how it is written there.  AUTHZ-04, -06, -15, -31; RFC 8252 §7.1, §7.3; RFC 9700 §2.1."""

from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartauth.policy.redirects import form_action_source, is_registered, nearest, with_parameters

WEB = "https://growth.example.org/app/cb"

EXACT = [
    # requested                                        registered                                   the same
    (WEB,                                              WEB,                                         True),
    ("https://growth.example.org/app/cb?tenant=a%20b", "https://growth.example.org/app/cb?tenant=a%20b", True),
    ("https://growth.example.org/app/c",               WEB,                                         False),
    ("https://growth.example.org/app/cb2",             WEB,                                         False),
    ("https://growth.example.org/app/cb/",             WEB,                                         False),
    ("https://growth.example.org/app/cb/deeper",       WEB,                                         False),
    ("https://growth.example.org/app/../app/cb",       WEB,                                         False),
    ("https://growth.example.org/app/./cb",            WEB,                                         False),
    ("https://growth.example.org//app/cb",             WEB,                                         False),
    ("https://growth.example.org/app/%63b",            WEB,                                         False),
    ("https://growth.example.org/app/cb?",             WEB,                                         False),
    ("https://growth.example.org/app/cb?x=1",          WEB,                                         False),
    ("https://growth.example.org/app/cb?tenant=a b",   "https://growth.example.org/app/cb?tenant=a%20b", False),
    ("https://growth.example.org/app/cb?b=2&a=1",      "https://growth.example.org/app/cb?a=1&b=2", False),
    ("https://growth.example.org/app/cb#",             WEB,                                         False),
    ("https://growth.example.org/app/cb#x",            WEB,                                         False),
    ("https://growth.example.org/App/cb",              WEB,                                         False),
    ("https://GROWTH.example.org/app/cb",              WEB,                                         False),
    ("HTTPS://growth.example.org/app/cb",              WEB,                                         False),
    ("http://growth.example.org/app/cb",               WEB,                                         False),
    ("https://growth.example.org:443/app/cb",          WEB,                                         False),
    ("https://growth.example.org:8443/app/cb",         WEB,                                         False),
    ("https://growth.example.org./app/cb",             WEB,                                         False),
    ("https://mallory@growth.example.org/app/cb",      WEB,                                         False),
    ("https://growth.example.org@mallory.example/app/cb", WEB,                                      False),
    ("https://growth.example.org.mallory.example/app/cb", WEB,                                      False),
    ("https://mallory.example/?https://growth.example.org/app/cb", WEB,                             False),
    ("https:\\\\growth.example.org\\app\\cb",          WEB,                                         False),
    (" https://growth.example.org/app/cb",             WEB,                                         False),
    ("https://growth.example.org/app/cb\n",            WEB,                                         False),
    ("https://growth.exam\tple.org/app/cb",            WEB,                                         False),
    ("//growth.example.org/app/cb",                    WEB,                                         False),
    ("/app/cb",                                        WEB,                                         False),
    ("javascript:alert(1)",                            WEB,                                         False),
    ("",                                               WEB,                                         False),
    ("https://[growth",                                WEB,                                         False),
    ("org.example.growth:/cb",                         "org.example.growth:/cb",                    True),
    ("org.example.growth:/cb/",                        "org.example.growth:/cb",                    False),
    ("org.example.growth://cb",                        "org.example.growth:/cb",                    False),
    ("org.example.growth:/CB",                         "org.example.growth:/cb",                    False),
    ("org.example.growth:81/cb",                       "org.example.growth:80/cb",                  False),
    ("org.example.growth2:/cb",                        "org.example.growth:/cb",                    False),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-04", "T-25")
@pytest.mark.parametrize("native", [False, True], ids=["web", "native"])
@pytest.mark.parametrize(("requested", "registered", "same"), EXACT)
def test_a_redirect_uri_is_registered_character_for_character(
    requested: str, registered: str, same: bool, native: bool
) -> None:
    assert is_registered(requested, [registered], native=native) is same


LOOPBACK = [
    # requested                               registered                            for a native app
    ("http://127.0.0.1:51004/cb",             "http://127.0.0.1/cb",                True),
    ("http://127.0.0.1:51004/cb",             "http://127.0.0.1:8000/cb",           True),
    ("http://127.0.0.1/cb",                   "http://127.0.0.1:8000/cb",           True),
    ("http://[::1]:51004/cb",                 "http://[::1]/cb",                    True),
    ("http://[::1]/cb",                       "http://[::1]:8000/cb",               True),
    ("http://localhost:51004/cb",             "http://localhost:3000/cb",           True),
    ("http://127.0.0.1:51004/cb?x=1",         "http://127.0.0.1/cb?x=1",            True),
    ("http://127.0.0.1:51004",                "http://127.0.0.1",                   True),
    # Only the port is free.
    ("http://127.0.0.1:51004/cb/",            "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004/",               "http://127.0.0.1",                   False),
    ("http://127.0.0.1:51004/CB",             "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004/cb?x=1",         "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004/cb?x=1",         "http://127.0.0.1/cb?x=2",            False),
    ("http://127.0.0.1:51004/cb#x",           "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004/cb#",            "http://127.0.0.1/cb",                False),
    ("http://mallory@127.0.0.1:51004/cb",     "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004@mallory.example/cb", "http://127.0.0.1/cb",            False),
    ("http://127.0.0.1:51004\\@mallory.example/cb", "http://127.0.0.1/cb",          False),
    ("https://127.0.0.1:51004/cb",            "http://127.0.0.1/cb",                False),
    ("https://127.0.0.1:51004/cb",            "https://127.0.0.1/cb",               False),
    ("HTTP://127.0.0.1:51004/cb",             "http://127.0.0.1/cb",                False),
    ("http://LOCALHOST:51004/cb",             "http://localhost/cb",                False),
    # Names of loopback are not each other, and what only looks like loopback is none.
    ("http://localhost:51004/cb",             "http://127.0.0.1/cb",                False),
    ("http://[::1]:51004/cb",                 "http://127.0.0.1/cb",                False),
    ("http://127.0.0.2:51004/cb",             "http://127.0.0.2/cb",                False),
    ("http://127.1:51004/cb",                 "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1.mallory.example:51004/cb", "http://127.0.0.1/cb",            False),
    ("http://[::1].mallory.example:51004/cb", "http://[::1]/cb",                    False),
    ("http://localhost.:51004/cb",            "http://localhost/cb",                False),
    ("http://growth.example.org:51004/cb",    "http://growth.example.org/cb",       False),
    ("http://[0:0:0:0:0:0:0:1]:51004/cb",     "http://[::1]/cb",                    False),
    # Ports that are none.
    ("http://127.0.0.1:/cb",                  "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:65536/cb",             "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:-1/cb",                "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:80:90/cb",             "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:x/cb",                 "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:٣/cb",                 "http://127.0.0.1/cb",                False),
    # What a URL parser quietly removes is not removed from a comparison.
    (" http://127.0.0.1:51004/cb",            "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:5\t1004/cb",           "http://127.0.0.1/cb",                False),
    ("http://127.0.0.1:51004/c\nb",           "http://127.0.0.1/cb",                False),
    ("ht\ttp://127.0.0.1:51004/cb",           "http://127.0.0.1/cb",                False),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-04")
@pytest.mark.parametrize(("requested", "registered", "permitted"), LOOPBACK)
def test_the_port_of_a_native_app_on_loopback_is_free_and_nothing_else(
    requested: str, registered: str, permitted: bool
) -> None:
    assert is_registered(requested, [registered], native=True) is permitted


@pytest.mark.parametrize(("requested", "registered", "_"), LOOPBACK)
def test_the_port_of_a_web_app_is_never_free(requested: str, registered: str, _: bool) -> None:
    assert not is_registered(requested, [registered], native=False)


def test_any_one_of_several_registered_uris_will_do() -> None:
    registered = iter([WEB, "org.example.growth:/cb", "http://127.0.0.1/cb"])
    assert is_registered("http://127.0.0.1:7/cb", registered, native=True)


def test_a_client_without_redirect_uris_has_nowhere_to_go() -> None:
    assert not is_registered("", [], native=True)
    assert nearest(WEB, []) == ""


NEAREST = [
    ("https://growth.example.org/app/cb/", WEB),
    ("http://127.0.0.1:3000/cb", "http://127.0.0.1:3000/callback"),
    ("https://growth.example.org/app/cb" + "/x" * 50_000, WEB),
]


@pytest.mark.parametrize(("requested", "closest"), NEAREST)
def test_the_owner_is_shown_the_registered_uri_most_like_the_one_requested(requested: str, closest: str) -> None:
    assert nearest(requested, [WEB, "http://127.0.0.1:3000/callback"]) == closest


WRITTEN = [
    # redirect_uri                       parameters                        the answer
    (WEB,                                {"code": "c", "state": "s"},      f"{WEB}?code=c&state=s"),
    (f"{WEB}?tenant=a%20b&x=1+2",        {"code": "c"},                    f"{WEB}?tenant=a%20b&x=1+2&code=c"),
    (f"{WEB}?code=own",                  {"code": "c"},                    f"{WEB}?code=own&code=c"),
    ("org.example.growth:/cb",           {"code": "c"},                    "org.example.growth:/cb?code=c"),
    ("http://[::1]:51004/cb",            {"code": "c"},                    "http://[::1]:51004/cb?code=c"),
    (WEB,                                {"state": "a+b &c=d#%2/?"},      f"{WEB}?state=a%2Bb%20%26c%3Dd%23%252%2F%3F"),
    (WEB,                                {"state": "é"},                   f"{WEB}?state=%C3%A9"),
    (WEB,                                {"state": "\r\nLocation: x"},     f"{WEB}?state=%0D%0ALocation%3A%20x"),
]  # fmt: skip


@pytest.mark.parametrize(("uri", "parameters", "written"), WRITTEN)
def test_parameters_follow_the_query_the_app_registered(uri: str, parameters: dict[str, str], written: str) -> None:
    assert with_parameters(uri, parameters) == written


@pytest.mark.requirement("AUTHZ-06", "T-31")
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_every_state_comes_back_exactly_and_alone(state: str) -> None:
    answer = urlsplit(with_parameters(f"{WEB}?tenant=a", {"code": "c", "state": state}))
    assert parse_qsl(answer.query, keep_blank_values=True) == [("tenant", "a"), ("code", "c"), ("state", state)]
    assert not answer.fragment
    # Apps that do not read "+" as a blank get the same.
    assert "+" not in answer.query


def test_an_empty_query_of_the_apps_own_stays_readable() -> None:
    assert parse_qs(urlsplit(with_parameters(f"{WEB}?", {"code": "c"})).query) == {"code": ["c"]}


SOURCES = [
    # redirect_uri                            what a policy may name
    (f"{WEB}?x=1;y=2",                        "https://growth.example.org"),
    ("https://growth.example.org:8443/cb",    "https://growth.example.org:8443"),
    ("http://127.0.0.1:51004/cb",             "http://127.0.0.1:51004"),
    ("http://localhost:3000/",                "http://localhost:3000"),
    ("http://[::1]:51004/cb",                 "http:"),
    ("https://[2001:db8::1]/cb",              "https:"),
    ("org.example.growth:/cb",                "org.example.growth:"),
    ("org.example.growth://cb/x",             "org.example.growth:"),
]  # fmt: skip


@pytest.mark.parametrize(("uri", "source"), SOURCES)
def test_the_page_may_send_its_form_to_the_app_and_as_little_else_as_can_be_said(uri: str, source: str) -> None:
    assert form_action_source(uri) == source
