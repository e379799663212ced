"""How a hospital gives its pages their look: a form that names what is wrong, forgets nothing, and shows the result."""

import base64
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.test import Client as Browser

from clients.colours import contrast
from clients.models import Skin, Tenant
from clients.skin_form import SkinForm
from clients.tenants import TenantInfo, find_tenant
from smartauth.audit.models import AuditRecord
from smartauth.people.models import User
from tests.clients.picture_files import JPEG, png
from tests.clients.registry_site import act, change_url, errors_of
from tests.conftest import Configure
from tests.factories import make_tenant

ADD = "/admin/clients/skin/add/"
TRY = "/admin/clients/skin/preview/"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def north(db: None) -> TenantInfo:
    return make_tenant("north", name="North Hospital")


def form(tenant: TenantInfo, **changes: Any) -> dict[str, Any]:
    """Return what the page sends; a change to ... leaves one out."""
    good = {
        "tenant": tenant.pk,
        "is_active": "on",
        "name": "Northern Health",
        "picture": SimpleUploadedFile("logo.png", png(), "image/png"),
        "logo_alt": "A star",
        "accent_light": "#7A1F5C",
        "accent_dark": "#e58ac6",
        "greeting_en": "Welcome.",
        "greeting_es": "Bienvenida.",
        "phone_en": "+1 (617) 555-0100",
        "email_en": "portal@north.example.org",
        "privacy_url_en": "https://north.example.org/privacy",
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def saved(answer: Any) -> Skin:
    assert answer.status_code == 302, errors_of(answer)
    return Skin.objects.get()


def test_an_operator_gives_a_tenant_a_look_changes_it_and_takes_it_off(browser: Browser, north: TenantInfo) -> None:
    row = saved(browser.post(ADD, form(north)))
    assert (row.name, row.accent_light, row.logo_type, bytes(row.logo)) == (
        *("Northern Health", "#7a1f5c"),
        *("image/png", png()),
    )
    assert row.texts["es"] == {"greeting": "Bienvenida."}
    page = browser.get(change_url(row)).content.decode()
    assert 'value="Bienvenida."' in page
    assert base64.b64encode(png()).decode() in page
    # Without a new picture the old one stays.
    saved(browser.post(change_url(row), form(north, picture=..., greeting_es="", name="North")))
    row.refresh_from_db()
    assert (row.name, bytes(row.logo), "es" in row.texts) == ("North", png(), False)
    act(browser, "skin", "use_our_look", row)
    assert find_tenant("north").skin is None  # type: ignore[union-attr]
    saved(browser.post(change_url(row), form(north, picture=..., picture_removed="on")))
    row.refresh_from_db()
    assert (row.is_active, row.logo_digest, bytes(row.logo)) == (True, "", b"")
    browser.post(f"/admin/clients/skin/{row.pk}/our-look/", form(north))
    row.refresh_from_db()
    assert (row.is_active, row.name) == (False, "Northern Health")
    browser.post(f"/admin/clients/skin/{row.pk}/our-look/")  # No change, no record.
    records = AuditRecord.objects.order_by("pk")
    assert list(records.values_list("rule", "tenant")) == [("skin.added", "north")] + [("skin.changed", "north")] * 4
    off = {"fields": "is_active", "is_active": "False"}
    assert [one.details for one in records][2::2] == [off, off]
    assert EVIL not in str([one.details for one in records])


def long(count: int) -> str:
    return "x" * count


WRONG: list[tuple[str, Any, str]] = [
    ("name", "", "required"),
    ("name", long(61), "at most 60 characters"),
    ("name", "North\u202elatipsoH", "cannot be shown"),
    ("accent_light", "purple", "six hexadecimal digits, for example #0b6e6e"),
    ("accent_light", "#7a1f5c;} body{display:none", "six hexadecimal digits"),
    ("accent_light", "#fff;background:url(//e)", "six hexadecimal digits"),
    ("accent_light", "#ff8800", "contrast with the page (#f4f7f8) is 2.22 to 1, and 4.5 to 1 is needed. The nearest"),
    ("accent_dark", "#123456", "in dark mode: its contrast with the card (#1b242b) is 1.23 to 1"),
    ("greeting_en", long(201), "at most 200 characters"),
    ("greeting_es", "a\u0007b", "cannot be shown"),
    ("phone_en", "call us", "digits, with spaces"),
    ("email_es", "portal@north", "e-mail address"),
    ("email_en", "a?cc=b@north.example.org", "letters, digits"),
    ("privacy_url_en", "javascript:alert(1)", "Write a complete https URL"),
    ("privacy_url_es", "http://north.example.org/", "it is http; https is required"),
    ("help_url_en", "https://north.example.org/\">", "a character that is not allowed"),
    ("logo_says_name", "on", "There is no picture"),
    ("picture", SimpleUploadedFile("logo.png", b"<svg/>", "image/png"), "The file is not a PNG, JPEG or WebP picture"),
    ("picture", SimpleUploadedFile("logo.png", b"x" * 300_000, "image/png"), "has 300,000 bytes, and 262,144 are the"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "because"), WRONG, ids=[f"{one[0]}-{at}" for at, one in enumerate(WRONG)])
def test_what_is_wrong_is_named_with_what_would_be_right_and_nothing_is_lost(
    browser: Browser, north: TenantInfo, field: str, value: Any, because: str
) -> None:
    changes = {"picture": ...} if field == "logo_says_name" else {}
    answer = browser.post(ADD, form(north, **(changes | {field: value})))
    errors = errors_of(answer)
    assert errors.keys() == {field}
    assert because in errors[field][0]
    page = answer.content.decode()
    for name, sent in form(north, **{field: value}).items():
        if isinstance(sent, str) and name not in ("is_active", "logo_says_name"):
            found = re.search(rf'name="{name}"[^>]*? value="([^"]*)"', page)
            assert unescape(found[1] if found else "") == sent, name
    assert not Skin.objects.exists()


def test_a_picture_that_was_received_is_carried_along_until_the_rest_is_right(
    browser: Browser, north: TenantInfo
) -> None:
    def kept_in(answer: Any) -> str:
        found = re.search(r'name="picture_kept" value="([^"]+)"', answer.content.decode())
        assert found
        return found[1]

    first = browser.post(ADD, form(north, accent_light="purple"))
    assert b"You need not choose it again" in first.content
    # Another that is no picture does not take its place.
    worse = SimpleUploadedFile("logo.png", b"no picture", "image/png")
    second = browser.post(ADD, form(north, picture=worse, picture_kept=kept_in(first)))
    assert errors_of(second).keys() == {"picture"}
    row = saved(browser.post(ADD, form(north, picture=..., picture_kept=kept_in(second))))
    assert bytes(row.logo) == png()
    # What comes back is judged like an upload.
    for odd in ("%%%", base64.b64encode(b"<svg/>").decode()):
        answer = browser.post(change_url(row), form(north, picture=..., picture_kept=odd))
        assert errors_of(answer).keys() == {"picture"}


def test_a_picture_counts_by_its_bytes_and_not_by_what_it_is_called(browser: Browser, north: TenantInfo) -> None:
    called = SimpleUploadedFile("logo.svg", JPEG, "image/svg+xml")
    assert saved(browser.post(ADD, form(north, picture=called))).logo_type == "image/jpeg"


def test_it_can_be_looked_at_before_it_is_stored(browser: Browser, north: TenantInfo) -> None:
    answer = browser.post(TRY, form(north, greeting_en=EVIL))
    assert (answer.status_code, Skin.objects.count(), AuditRecord.objects.count()) == (200, 0, 0)
    page = answer.content.decode()
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 2  # in English, in light and dark
    assert page.count("Northern Health") >= 4
    assert page.count(f"data:image/png;base64,{base64.b64encode(png()).decode()}") == 4
    assert "Iniciar sesión" in page
    found = re.search(r'href="(/admin/clients/skin/preview\.css\?[^"]+)"', page)
    assert found
    css = browser.get(unescape(found[1]))
    assert css.headers["Content-Type"].startswith("text/css")
    light, dark = css.content.decode().splitlines()
    assert "--accent: #7a1f5c;" in light.rpartition("color-scheme: light;")[2]
    assert "--accent: #e58ac6;" in dark.rpartition("color-scheme: dark;")[2]
    assert browser.get("/admin/clients/skin/preview.css?light=red}*{x").status_code == 400
    wrong = browser.post(TRY, form(north, accent_light="#ff8800"))
    assert wrong.status_code == 400
    assert "Colour in light mode:" in wrong.content.decode()


def test_what_is_stored_and_what_is_being_changed_can_be_looked_at(browser: Browser, north: TenantInfo) -> None:
    row = saved(browser.post(ADD, form(north)))
    assert b"Northern Health" in browser.get(f"/admin/clients/skin/{row.pk}/preview/").content
    changed = browser.post(f"/admin/clients/skin/{row.pk}/preview/changed/", form(north, picture=..., name="Newer"))
    assert (changed.status_code, b"Newer" in changed.content, b"data:image/png" in changed.content) == (200, True, True)
    row.refresh_from_db()
    assert row.name == "Northern Health"


@pytest.mark.parametrize(("role", "sees", "changes"), [
    ("Registrar", 200, 302),
    ("Security officer", 200, 403),
    ("People", 403, 403),
    ("Keys", 403, 403),
])  # fmt: skip
def test_who_may_look_and_who_may_change_is_as_for_tenants(
    north: TenantInfo, role: str, sees: int, changes: int
) -> None:
    row = Skin.objects.create(tenant_id=north.pk, name="North", accent_light="#7a1f5c")
    user = User.objects.create_user("kim", password="not used here", is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    kim = Browser()
    kim.force_login(user)
    for path in ("/admin/clients/skin/", change_url(row), f"/admin/clients/skin/{row.pk}/preview/"):
        assert kim.get(path).status_code == sees, path
    assert kim.post(change_url(row), form(north)).status_code == changes
    assert kim.post(f"/admin/clients/skin/{row.pk}/our-look/").status_code == changes
    tried = kim.post(f"/admin/clients/skin/{row.pk}/preview/changed/", form(north))
    assert tried.status_code == (200 if changes == 302 else 403)
    assert Skin.objects.get().is_active is (changes == 403)


def test_the_database_takes_no_half_picture_and_nothing_that_is_no_colour(north: TenantInfo) -> None:
    row = Skin.objects.create(tenant_id=north.pk, name="North")
    for values in (
        {"accent_light": "red"},
        {"accent_dark": "#12345;"},
        {"logo": b"x"},
        {"logo": b"x", "logo_type": "image/gif", "logo_digest": "d"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Skin.objects.filter(pk=row.pk).update(**values)


def test_a_colour_that_cannot_be_read_is_not_shown_however_it_came_there(north: TenantInfo) -> None:
    Skin.objects.create(tenant_id=north.pk, name="North", accent_light="#ffff00", accent_dark="#e58ac6")
    found = find_tenant("north")
    assert found is not None
    assert found.skin is not None
    assert (found.skin.accent_light, found.skin.accent_dark) == ("", "#e58ac6")
    assert "--accent: #ffff00" not in found.skin.stylesheet
    assert contrast("#e58ac6", "#1b242b") > 4.5


def test_a_skin_goes_with_its_tenant(browser: Browser, north: TenantInfo) -> None:
    saved(browser.post(ADD, form(north)))
    assert browser.post(f"/admin/clients/tenant/{north.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Skin.objects.exists()
    assert not Tenant.objects.exists()


def test_links_are_https_but_on_ones_own_machine(north: TenantInfo, configure: Configure) -> None:
    local = form(north, privacy_url_en="http://127.0.0.1:1/privacy")
    assert SkinForm(local).is_valid()
    configure(mode="production")
    assert SkinForm(local).errors.keys() == {"privacy_url_en"}
