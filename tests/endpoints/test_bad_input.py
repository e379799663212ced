"""Whatever is sent to a page of a launch ends on a clear page or goes where it should: nothing runs, nothing breaks.

RFC 9700 §4.16 and §4.11; RFC 9110 §9 and §15.5; RFC 6749 §10.14.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, urlsplit

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser

from smartauth.models import PendingAuthorization
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, authorize_params, begin, sign_in

pytestmark = pytest.mark.usefixtures("small")

FORM = "application/x-www-form-urlencoded"
MARKUP = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{ 7|add:7 }} %(x)s"
JUNK = {
    "unreadable": b"a\x00b\xed\xa0\x80\xff",
    "markup": MARKUP.encode() + "\u202e\u200b\U0001f4a9".encode(),
    "long": b"x" * 20_000,
    "lines": b"//evil.example\r\nSet-Cookie: x=1\r\n\r\n/\\evil.example",
    "script": b"javascript:alert(1)",
    "number": b"9" * 400,
}
SCOPE = "launch/patient launch/encounter openid patient/*.rs offline_access"


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the names of what it reads. `path` with PENDING is that of a launch which waits."""

    path: str
    query: tuple[str, ...] = ()
    form: tuple[str, ...] = ()


PAGES = [
    Page("PENDING", form=("page", "decision", "scope", "duration", "remember", "replace")),
    Page("PENDING/patient", form=("name", "birthdate", "identifier", "following", "patient")),
    Page("PENDING/visit", form=("day", "following", "visit")),
    Page("/auth/consent/00000000-0000-4000-8000-000000000000", form=("page",)),
    Page("/auth/refused/00000000-0000-4000-8000-000000000000"),
    Page("/account/login/", ("next",), ("login", "password", "next")),
    Page("/account/reauthenticate/", ("next",), ("password", "next")),
    Page("/account/logout/", ("next",), ("next",)),
    Page("/account/language", ("to", "next")),
    Page("/account/second-factor/authenticate/", ("next",), ("code", "credential")),
    Page("/account/second-factor/totp/activate/", (), ("code",)),
    Page("/account/second-factor/webauthn/login/", (), ("credential",)),
    Page("/account/upstream/", ("next", "prompt", "max_age")),
    Page("/account/upstream/callback", ("state", "code", "iss", "error", "error_description")),
    Page("/account/", ()),
    Page("/account/password/", (), ("oldpassword", "password1", "password2")),
    Page("/account/apps", ("app",)),
    Page("/account/apps/stop", (), ("client", "tenant")),
    Page("/auth/logout", ("client_id", "id_token_hint", "post_logout_redirect_uri", "state", "ui_locales")),
    Page("/auth/logout/confirm", ("request",)),
    Page(
        "/launcher/",
        ("client", "user", "fhir_context", "smart_style_url", "strange"),
        ("kind", "client", "user", "patient", "encounter", "intent", "fhir_context", "scope", "fault", "minutes", "do"),
    ),
    Page("/launcher/start", ("iss", "launch")),
    Page("/launcher/callback", ("code", "state", "error", "error_description")),
    Page("/launcher/app/launch", ("iss", "launch")),
]
REQUEST = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "aud", "launch", "nonce", "prompt", "max_age"),
    *("ui_locales", "code_challenge", "code_challenge_method", "request_uri", "resource", "dpop_jkt", "display"),
)


@pytest.fixture
def path(growth_chart: App, parent: User) -> str:
    """A launch that waits for an answer, in a browser nobody here has."""
    return begin(Browser(), growth_chart, scope=SCOPE)


@pytest.fixture
def here(path: str, parent: User) -> Browser:
    """The browser of the launch, with somebody signed in who chose a patient."""
    browser = Browser()
    browser.get(path)
    sign_in(browser, parent, then=path)
    browser.post(f"{path}/patient", {"patient": "ana"})
    return browser


def assert_clear(answer: HttpResponse, where: object) -> None:
    """Fail for an answer that breaks, runs something, leads away, or that nobody could explain afterwards."""
    body, target = answer.content.decode(), answer.headers.get("Location", "")
    assert answer.status_code < 500 or answer.status_code == 503, (where, answer.status_code)
    assert "x" not in answer.cookies, where
    for markup in ("<script>alert", "<img src=x", 'href="javascript', "Traceback"):
        assert markup not in body, (where, markup)
    parts = urlsplit(target.replace("\\", "/"))  # As browsers read it.
    ours = parts.netloc in ("", "127.0.0.1:8000", "cardio.example.org") and parts.scheme in ("", "http", "https")
    assert ours, (where, target[:200])
    number = re.search(r"If you report this, give the number <code>([0-9a-f-]{36})</code>", body)
    if number:  # A form that is shown again, with what is wrong at its fields, refuses nobody.
        assert number[1] == answer.headers["X-Trace-Id"], where
        assert Receipt.objects.filter(trace_id=number[1]).exists(), where
    assert answer.headers["X-Trace-Id"], where


def spoilt(names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Return each name with each kind of junk, and the encoded fields: the name once, twice, and beside a good one."""
    for name in names:
        for kind, junk in JUNK.items():
            value = quote_from_bytes(junk)
            yield name, kind, f"{name}={value}"
        yield name, "twice", f"{name}=a&{name}={quote_from_bytes(JUNK['markup'])}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_no_parameter_breaks_a_page(here: Browser, path: str, parent: User, page: Page) -> None:
    url = page.path.replace("PENDING", path)
    for browser in (here, Browser()):
        for name, kind, fields in spoilt(page.query):
            assert_clear(browser.get(f"{url}?{fields}"), (url, name, kind))
        for name, kind, fields in spoilt(page.form):
            cache.clear()  # Whoever is told to wait is told nothing else.
            if page.path == "PENDING":  # Its form counts only with the number of the page.
                fields += f"&page={PendingAuthorization.objects.get().page}" if name != "page" else ""
            assert_clear(browser.generic("POST", url, fields, FORM), (url, name, kind))


@pytest.mark.parametrize("name", REQUEST)
def test_no_parameter_breaks_an_authorization_request(growth_chart: App, name: str) -> None:
    good = "&".join(f"{key}={quote_from_bytes(value.encode())}" for key, value in _good(growth_chart, name))
    for _, kind, fields in spoilt((name,)):
        for answer in (
            Browser().get(f"/auth/authorize?{good}&{fields}"),
            Browser().generic("POST", "/auth/sandbox/authorize", f"{good}&{fields}", FORM),
        ):
            assert_clear(answer, (name, kind))


def _good(app: App, but: str) -> list[tuple[str, str]]:
    return [(key, value) for key, value in authorize_params(app).items() if key != but]


BODIES = [
    (b'{"decision": "allow"}', "application/json"),
    (b"decision=allow", "text/plain"),
    (b"decision=allow", ""),
    (b"decision=allow", "multipart/form-data"),
    (b'--x\r\nContent-Disposition: form-data; name="decision"\r\n\r\nallow\r\n', "multipart/form-data; boundary=x"),
    (b"decision=allow", f"{FORM}; charset=utf-16"),
    (b"decision=allow", f"{FORM}; charset=nonsense"),
    (b"&".join(b"scope=a" for _ in range(1_500)), FORM),
    (b"\xff" * 50, FORM),
    (b"scope=" + b"x" * 3_000_000, FORM),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_no_method_and_no_body_breaks_a_page(here: Browser, path: str, page: Page) -> None:
    url = page.path.replace("PENDING", path)
    for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"):
        answer = here.generic(method, url)
        assert_clear(answer, (url, method))
        assert answer.status_code != 405 or answer.headers["Allow"], (url, method)
    for body, kind in BODIES:
        cache.clear()
        assert_clear(here.generic("POST", url, body, kind), (url, kind, body[:20]))
    assert not PendingAuthorization.objects.filter(answered_at__isnull=False).exists()


HEADERS = (
    *("Accept-Language", "User-Agent", "X-Request-ID", "Referer", "Accept", "Origin", "Authorization"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "Sec-Fetch-Dest"),
)
COOKIES = ("sessionid", "csrftoken", "smartauth_browser", "smartauth_language", "smartauth_ui_locales", "messages")


@pytest.mark.parametrize("page", [*PAGES[:7], Page("/account/apps")], ids=lambda page: page.path)
def test_no_header_and_no_cookie_breaks_a_page(path: str, page: Page) -> None:
    url = page.path.replace("PENDING", path)
    for kind in ("unreadable", "markup", "long"):
        junk = JUNK[kind].decode("latin-1")
        cookies = "; ".join(f"{name}={junk}" for name in COOKIES)
        for headers in (dict.fromkeys(HEADERS, junk), {"Cookie": cookies}):
            assert_clear(Browser().get(url, headers=headers), (url, kind))


def test_what_the_caller_calls_a_request_is_kept_only_when_it_can_be_shown(path: str, here: Browser) -> None:
    url = path.replace(path[-12:], "000000000000")
    for said, kept in (
        ("abc-1.2_3", "abc-1.2_3"),
        ("x" * 65, ""),
        (MARKUP, ""),
        ("a b", ""),
        ("a\u00e9", ""),
        ("", ""),
    ):
        answer = here.get(url, headers={"X-Request-ID": said})
        receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
        assert (answer.status_code, receipt.correlation_id) == (404, kept)
