"""Every word a patient reads is there in English and in Spanish, and which language a page speaks follows the person.

OIDC Core §3.1.2.1, `ui_locales`; RFC 9110 §12.5.4.
"""

import ast
import gettext
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.template.loader import get_template
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.test import Client as Browser
from django.utils.safestring import SafeString
from django.utils.translation import override, trim_whitespace

from clients.tenants import TenantInfo
from smartauth.models import PendingAuthorization
from smartauth.people.models import User
from smartauth.policy.wording import VERBS
from smartauth.templatetags.words import day_in_words
from tests.endpoints.app_launch import (
    App,
    ana,
    begin,
    calm,
    decide,
    dr_grey,
    growth_chart,
    load,
    parent,
    sign_in,
    small,
)
from tests.endpoints.conftest import no_flood, tenant
from tests.spanish import english_in

__all__ = ["ana", "calm", "dr_grey", "growth_chart", "load", "no_flood", "parent", "small", "tenant"]

ROOT = Path(settings.BASE_DIR)
CATALOG = ROOT / "smartauth" / "locale" / "es" / "LC_MESSAGES" / "django.po"
PAGES = sorted(
    str(path.relative_to(ROOT / "templates"))
    for pattern in (
        "*.html",
        "account/*.html",
        "consent/*.html",
        "mfa/**/*.html",
        "mfa/messages/*.txt",
        "people/*.html",
        "skin/*.html",
        "allauth/**/*.html",
    )
    for path in (ROOT / "templates").glob(pattern)
    # They speak to developers and operators.
    if path.name not in ("signup.html", "signup_closed.html")
)
NAMES = {"Smartauth"}  # the same in every language
MARKERS = {"_", "gettext", "gettext_noop"}
ENTRY = re.compile(
    r'^msgid "(?P<id>.*)"$(?:\n^msgid_plural "(?P<plural>.*)"$)?(?P<strings>(?:\n^msgstr(?:\[\d\])? ".*"$)+)', re.M
)
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
TAG = re.compile(r"<[^>]*>")
SPOKEN = re.compile(r'\b(?:aria-label|alt|placeholder|title)="([^"]*)"')


def unquoted(text: str) -> str:
    found = ast.literal_eval(f'"{text}"')
    assert isinstance(found, str)
    return found


def pairs() -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the catalog as it is written: every message with its translations, both by singular and plural."""
    found = []
    for one in ENTRY.finditer(CATALOG.read_text("utf-8").partition("\n\n")[2]):
        strings = tuple(unquoted(text) for text in re.findall(r'^msgstr(?:\[\d\])? "(.*)"$', one["strings"], re.M))
        found.append((tuple(unquoted(form) for form in (one["id"], one["plural"]) if form), strings))
    return found


CATALOG_ENTRIES = {form: strings for forms, strings in pairs() for form in forms}


def said_in_code() -> Iterator[str]:
    """Yield every text that some module marks for translation."""
    for folder in ("smartauth", "clients", "fhirproxy"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
                    match node.args:
                        case [ast.Constant(value=str(text))]:
                            yield text


def said_on(page: str) -> Iterator[str]:
    """Yield every text that a template translates."""
    nodes = get_template(page).template.nodelist  # type: ignore[attr-defined]
    for node in nodes.get_nodes_by_type(TranslateNode):
        yield str(node.filter_expression.var.literal)
    for node in nodes.get_nodes_by_type(BlockTranslateNode):
        for tokens in filter(None, (node.singular, node.plural)):
            text = node.render_token_list(tokens)[0]
            yield trim_whitespace(text) if node.trimmed else text


# Nothing is left out


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_nothing_that_cannot_be_translated(page: str) -> None:
    source = (ROOT / "templates" / page).read_text("utf-8")
    source = re.sub(r"{% comment %}.*?{% endcomment %}", "", source, flags=re.S)
    source = re.sub(r"{% blocktranslate.*?{% endblocktranslate %}", "", source, flags=re.S)
    source = re.sub(r"{%.*?%}|{{.*?}}", "", source, flags=re.S)
    texts = [*SPOKEN.findall(source), *re.split(r"<[^>]*>", source)]
    left = {re.sub(r"&\w+;", "", text).strip() for text in texts} - NAMES
    assert not [text for text in left if re.search(r"[A-Za-z]{2}", text)]


@pytest.mark.requirement("CONSENT-05")
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_is_there_in_spanish(page: str) -> None:
    assert [text for text in said_on(page) if text not in CATALOG_ENTRIES] == []


@pytest.mark.requirement("CONSENT-05")
def test_what_the_code_says_is_there_in_spanish() -> None:
    said = set(said_in_code())
    assert set(VERBS.values()) <= said
    assert sorted(said - CATALOG_ENTRIES.keys()) == []


def test_every_translation_says_something_and_keeps_what_is_put_in() -> None:
    for forms, strings in pairs():
        assert len(strings) == len(forms)
        assert all(strings), forms
        for form, text in zip(forms, strings, strict=True):
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(form)), form
            assert TAG.findall(text) == TAG.findall(form), form
    assert "fuzzy" not in CATALOG.read_text("utf-8")


def test_the_compiled_catalog_is_what_is_written() -> None:
    with CATALOG.with_suffix(".mo").open("rb") as compiled:
        spanish = gettext.GNUTranslations(compiled)
    for name, strings in CATALOG_ENTRIES.items():
        assert (spanish.gettext(name) in strings) or len(strings) > 1, name
    assert spanish.ngettext("%(number)s person.", "%(number)s people.", 2) == "%(number)s personas."
    messages = {name if isinstance(name, str) else name[0] for name in spanish._catalog}  # type: ignore[attr-defined]
    assert messages - {""} <= CATALOG_ENTRIES.keys()


# Pages as they are shown


@pytest.fixture
def browser() -> Browser:
    return Browser(headers={"Accept-Language": "es-US,es;q=0.9,en;q=0.5"})


def assert_spanish(page: HttpResponse) -> str:
    markup = page.content.decode()
    assert '<html lang="es">' in markup
    assert page.headers["Content-Language"] == "es"
    assert {"Accept-Language", "Cookie"} <= {one.strip() for one in page.headers["Vary"].split(",")}
    assert english_in(markup) == []
    return markup


@pytest.mark.usefixtures("small")
def test_a_whole_launch_speaks_spanish(browser: Browser, growth_chart: App, dr_grey: User) -> None:
    scope = "launch/patient launch/encounter openid fhirUser offline_access patient/*.cruds user/ImagingStudy.rs"
    path = begin(browser, growth_chart, scope=scope)
    login = browser.get(path).headers["Location"]
    assert "Iniciar sesión" in assert_spanish(browser.get(login))
    bad = browser.post("/account/login/", {"login": "nobody", "password": "wrong"})
    assert "Password" not in assert_spanish(bad)
    sign_in(browser, dr_grey, then=path)
    assert "¿De quién es la historia clínica que usará" in assert_spanish(browser.get(f"{path}/patient"))
    assert_spanish(browser.post(f"{path}/patient", {"name": "nobody at all", "birthdate": "", "identifier": ""}))
    browser.post(f"{path}/patient", {"patient": "ana"})
    assert "¿Con qué visita usará usted" in assert_spanish(browser.get(f"{path}/visit"))
    browser.post(f"{path}/visit", {"visit": ""})
    page = browser.get(path)
    markup = assert_spanish(page)
    for words in ("a usar la historia clínica de Ana Lindqvist?", "Radiografías e imágenes", "Femenino", "Autorizar"):
        assert words in markup, words
    assert re.search(r"El \d+ de [a-z]+ de 20\d\d", markup)
    decide(browser, path, page)
    assert "Ya ha respondido" in assert_spanish(browser.get(path))
    assert "Detener ahora" in assert_spanish(browser.get("/account/apps"))
    stopped = browser.post("/account/apps/stop", {"client": growth_chart.client_id, "tenant": "sandbox"}, follow=True)
    assert "Growth Chart está detenida" in assert_spanish(stopped)
    assert_spanish(browser.get("/account/logout/"))


@pytest.mark.parametrize("path", ["/", "/nowhere", "/auth/sandbox/authorize?client_id=nobody", "/account/login/"])
def test_pages_without_anybody_speak_spanish_too(browser: Browser, tenant: TenantInfo, path: str) -> None:
    assert_spanish(browser.get(path))


def test_the_pages_of_an_account_speak_spanish(browser: Browser, tenant: TenantInfo, dr_grey: User) -> None:
    sign_in(browser, dr_grey)
    assert "Su cuenta" in assert_spanish(browser.get("/account/"))
    for path in ("password/", "second-factor/", "second-factor/totp/activate/", "second-factor/webauthn/add/"):
        assert_spanish(browser.get(f"/account/{path}", follow=True))
    assert "su contraseña actual" in assert_spanish(browser.post("/account/password/", {"oldpassword": "wrong"}))


@pytest.mark.parametrize("path", ["/account/upstream/", "/account/upstream/callback?state=x"])
def test_pages_without_an_identity_provider_speak_spanish(browser: Browser, tenant: TenantInfo, path: str) -> None:
    assert "Esta página no existe" in assert_spanish(browser.get(path))


def test_the_administration_speaks_english(browser: Browser, tenant: TenantInfo) -> None:
    assert "es" not in browser.get("/developers").headers.get("Content-Language", "en")


DAYS = [
    # FHIR date     English             Spanish
    ("2026-05-03",  "3 May 2026",       "3 de mayo de 2026"),
    ("2026-05",     "May 2026",         "mayo de 2026"),
    ("2026",        "2026",             "2026"),
]  # fmt: skip


@pytest.mark.parametrize(("day", "english", "spanish"), DAYS)
def test_a_day_of_the_records_is_written_out_as_far_as_it_is_known(day: str, english: str, spanish: str) -> None:
    for language, words in (("en", english), ("es", spanish)):
        with override(language):
            assert day_in_words(day) == f'<time datetime="{day}">{words}</time>'


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-05-03T10:00:00Z", "<b>", "20260503", "1-2-3-4"])
def test_what_is_no_day_is_shown_as_it_is(text: str) -> None:
    assert day_in_words(text) == text
    assert not isinstance(day_in_words(text), SafeString)


# Which language


WISHES: list[tuple[str, str, str, str]] = [
    # Accept-Language       ui_locales        chosen   spoken
    ("",                    "",               "",      "en"),
    ("fr",                  "",               "",      "en"),
    ("es",                  "",               "",      "es"),
    ("en-GB,es;q=0.9",      "",               "",      "en"),
    ("fr,es-419;q=0.8",     "",               "",      "es"),
    ("en",                  "es-MX en",       "",      "es"),
    ("es",                  "fr EN",          "",      "en"),
    ("es",                  "fr de",          "",      "es"),
    ("es",                  "es",             "en",    "en"),
    ("en",                  "",               "es",    "es"),
    ("en",                  "",               "fr",    "en"),
    ("x" * 10_000,          "",               "",      "en"),
    (";;q=,,-",             "-- \u2028",      "",      "en"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "wished", "chosen", "spoken"), WISHES)
def test_the_person_s_choice_comes_first_then_the_app_s_wish_then_the_browser_s(
    growth_chart: App, header: str, wished: str, chosen: str, spoken: str
) -> None:
    browser = Browser(headers={"Accept-Language": header})
    if chosen:
        browser.get("/account/language", {"to": chosen, "next": "/"})
    path = begin(browser, growth_chart, **({"ui_locales": wished} if wished else {}))
    login = browser.get(path).headers["Location"]
    assert f'<html lang="{spoken}">' in browser.get(login).content.decode()


def test_the_wish_of_one_app_is_not_the_next_one_s(growth_chart: App) -> None:
    browser = Browser()
    begin(browser, growth_chart, ui_locales="es")
    path = begin(browser, growth_chart)
    assert '<html lang="en">' in browser.get(browser.get(path).headers["Location"]).content.decode()
    assert PendingAuthorization.objects.latest("created_at").ui_locale == ""


def test_the_switch_comes_back_to_the_page(tenant: TenantInfo) -> None:
    browser = Browser()
    here = "/account/login/?next=/auth/consent/x"
    links = re.findall(r'<a href="([^"]*)" lang="es" hreflang="es">Español</a>', browser.get(here).content.decode())
    assert len(links) == 1
    answer = browser.get(unescape(links[0]))
    assert (answer.status_code, answer.headers["Location"]) == (302, here)
    cookie: Any = answer.cookies["smartauth_language"]
    assert (cookie.value, cookie["httponly"], cookie["samesite"]) == ("es", True, "Lax")
    page = browser.get(here).content.decode()
    assert '<html lang="es">' in page
    assert 'lang="en" hreflang="en">English</a>' in page


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", "", "\x00"]
)
def test_the_switch_leads_nowhere_else(tenant: TenantInfo, target: str) -> None:
    assert Browser().get("/account/language", {"to": "es", "next": target}).headers["Location"] == "/"


@pytest.mark.parametrize("language", ["", "xx", "en; Path=/", "es\r\nX: y"])
def test_a_language_that_is_not_there_is_not_kept(tenant: TenantInfo, language: str) -> None:
    assert "smartauth_language" not in Browser().get("/account/language", {"to": language}).cookies
