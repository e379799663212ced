"""Good authorization requests with something wrong, by somebody signed in who allows everything: no code comes of them.

And nobody is ever sent to where no app is registered.
"""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from django.test import Client as Browser
from hypothesis import strategies as st

from smartauth.models import AuthorizationCode, PendingAuthorization
from tests.endpoints.app_launch import AUTHORIZE, authorize_params
from tests.fuzz.exploring import explore
from tests.fuzz.good import Cast
from tests.fuzz.sending import MARKUP, Sent, require_an_answer, send

# A field, and what becomes of it; None for leaving it out. Each alone makes a request that must not be granted.
WRONG: dict[str, tuple[str, Callable[[str], str | None]]] = {
    **{f"no {name}": (name, lambda _: None) for name in (
        "response_type", "client_id", "redirect_uri", "scope", "state", "aud", "code_challenge",
        "code_challenge_method",
    )},
    "empty state": ("state", lambda _: ""),
    "NUL in the state": ("state", lambda value: f"{value}\x00"),
    "token": ("response_type", lambda _: "token"),
    "code and token": ("response_type", lambda _: "code id_token"),
    "unknown client": ("client_id", lambda _: "nobody-here"),
    "client in capitals": ("client_id", str.upper),
    "redirect URI of another": ("redirect_uri", lambda _: "https://other.example.org/callback"),
    "redirect URI with a slash": ("redirect_uri", lambda value: f"{value}/"),
    "redirect URI with a query": ("redirect_uri", lambda value: f"{value}?next=//evil.example"),
    "redirect URI with a fragment": ("redirect_uri", lambda value: f"{value}#x"),
    "redirect URI below": ("redirect_uri", lambda value: f"{value}/../evil"),
    "redirect host in capitals": ("redirect_uri", lambda value: value.replace("cardio", "CARDIO")),
    "redirect URI of a script": ("redirect_uri", lambda _: "javascript:alert(1)"),
    "redirect URI elsewhere": ("redirect_uri", lambda _: "https://evil.example/callback"),
    "user in the redirect URI": ("redirect_uri", lambda value: value.replace("https://", "https://cardio@")),
    "unregistered scope": ("scope", lambda _: "system/*.cruds"),
    "unreadable scope": ("scope", lambda _: "patient/*.sr"),
    "other base": ("aud", lambda _: "https://evil.example/fhir"),
    "longer base": ("aud", lambda value: f"{value}/Patient"),
    "base in capitals": ("aud", str.upper),
    "plain": ("code_challenge_method", lambda _: "plain"),
    "unknown method": ("code_challenge_method", lambda _: "S512"),
    "short challenge": ("code_challenge", lambda value: value[:-1]),
    "padded challenge": ("code_challenge", lambda value: f"{value}="),
}  # fmt: skip
ADDED: dict[str, tuple[tuple[str, str], ...]] = {
    "state twice": (("state", "again"),),
    "client twice": (("client_id", "growth-chart"),),
    "redirect URI twice": (("redirect_uri", "https://evil.example/callback"),),
    "request object": (("request", "eyJhbGciOiJub25lIn0.e30."),),
    "request by reference": (("request_uri", "https://evil.example/request"),),
    "another resource": (("resource", "https://evil.example/fhir"),),
    "none and login": (("prompt", "none login"),),
    "fragment": (("response_mode", "fragment"),),
    "no launch of that name": (("launch", "nothing-here"),),
}
ODD: dict[str, tuple[tuple[str, str], ...]] = {
    "unknown field": (("utm_source", MARKUP),),
    "empty resource": (("resource", ""),),
    "hints": (("login_hint", MARKUP), ("ui_locales", "xx-YY"), ("display", "page"), ("acr_values", "1")),
    "hint that is no token": (("id_token_hint", "a.b.c"),),
}


class Case(NamedTuple):
    wrong: tuple[str, ...]
    odd: tuple[str, ...]
    by_post: bool
    state: str


def _field(name: str) -> str:
    """Return what a mistake is about: of two about one field, the second could mend the first."""
    return WRONG[name][0] if name in WRONG else ADDED[name][0][0]


CASES = st.builds(
    Case,
    st.lists(st.sampled_from((*WRONG, *ADDED)), max_size=3, unique_by=_field).map(tuple),
    st.lists(st.sampled_from(sorted(ODD)), max_size=2, unique=True).map(tuple),
    st.booleans(),
    st.one_of(st.just("s" * 2048), st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1)),
)


def test_only_good_requests_are_kept_and_nobody_is_led_away(cast: Cast) -> None:
    registered = urlsplit(cast.public.redirect_uri)

    def check_request(case: Case) -> None:
        sent = _request(cast, case)
        browser = Browser()
        browser.force_login(cast.user)
        answer = send(browser, sent)
        require_an_answer(sent, answer)
        target = urlsplit(answer.headers.get("Location", ""))
        if target.netloc or target.scheme:
            assert (target.scheme, target.netloc, target.path) == registered[:3], (case, target)
        assert PendingAuthorization.objects.exists() is not bool(case.wrong), (case, answer.status_code, target)
        assert not AuthorizationCode.objects.exists()

    explore(CASES, check_request, part=0.25)


def _request(cast: Cast, case: Case) -> Sent:
    fields = authorize_params(cast.public, state=case.state)
    for name in case.wrong:
        if name in WRONG:
            field, change = WRONG[name]
            changed = change(fields.pop(field, ""))
            fields |= {} if changed is None else {field: changed}
    more = [pair for name in (*case.wrong, *case.odd) for pair in (ADDED | ODD).get(name, ())]
    return Sent(AUTHORIZE, method="POST" if case.by_post else "GET", fields=(*fields.items(), *more))
