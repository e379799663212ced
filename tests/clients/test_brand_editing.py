"""How an operator publishes a brand: in the admin, with `create_tenant`, and what the sandbox has from the start."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.test import Client as Browser

from clients.brands import read_brand
from clients.models import Brand, Tenant
from smartauth.audit.models import AuditRecord
from smartauth.sandbox import seed
from tests.clients.registry_site import change_url, errors_of
from tests.endpoints.brands import FULL, LEAST, publish
from tests.factories import make_tenant

Json = dict[str, Any]


@pytest.mark.requirement("BRAND-11")
def test_an_operator_publishes_changes_and_withdraws_a_brand(browser: Browser) -> None:
    tenant = make_tenant("north")
    form = {"tenant": tenant.pk, "is_published": "on", "details": json.dumps(LEAST)}
    assert browser.post("/admin/clients/brand/add/", form).status_code == 302
    brand = Brand.objects.get()
    assert brand.details == LEAST
    assert b"North Hospital" in browser.get("/admin/clients/brand/").content
    assert b"north.example.org" in browser.get(change_url(brand)).content
    assert browser.post(change_url(brand), form | {"details": json.dumps(FULL)}).status_code == 302
    brand.refresh_from_db()
    assert brand.details == FULL
    assert Browser().get("/brands/north.json").json()["entry"][0]["resource"]["alias"] == FULL["aliases"]
    browser.post(change_url(brand), {"details": json.dumps(FULL)})
    assert Browser().get("/brands/north.json").status_code == 404
    rules = list(AuditRecord.objects.order_by("pk").values_list("rule", "tenant"))
    assert rules == [("brand.added", "north"), ("brand.changed", "north"), ("brand.changed", "north")]
    assert AuditRecord.objects.latest("pk").details == {"fields": "is_published", "is_published": "False"}


REFUSED: list[tuple[str, str]] = [
    ("{", "Enter a valid JSON."),
    ('["North"]', "Expected `object`, got `array`."),
    (json.dumps(LEAST | {"website": "http://north.example.org"}), "$.website is not acceptable: it is http;"),
    (json.dumps(LEAST | {"addresses": [{"city": "London", "country": "UK"}]}), "country is not two letters"),
]


@pytest.mark.requirement("BRAND-11")
@pytest.mark.parametrize(("details", "because"), REFUSED)
def test_what_cannot_be_published_is_refused_beside_the_field(browser: Browser, details: str, because: str) -> None:
    form = {"tenant": make_tenant("north").pk, "is_published": "on", "details": details}
    (error,) = errors_of(browser.post("/admin/clients/brand/add/", form))["details"]
    assert error.startswith(because)
    assert not Brand.objects.exists()


def test_a_brand_goes_with_its_tenant_only(browser: Browser) -> None:
    make_tenant("north")
    brand = publish("north")
    assert browser.post(f"/admin/clients/brand/{brand.pk}/delete/", {"post": "yes"}).status_code == 403
    tenant = Tenant.objects.get()
    assert browser.post(f"/admin/clients/tenant/{tenant.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Brand.objects.exists()


WORDS = ("create_tenant", "--slug", "north", "--upstream", "https://ehr.example.org")


@pytest.mark.requirement("BRAND-11")
def test_create_tenant_takes_a_brand_from_a_file(db: None, tmp_path: Path) -> None:
    file = tmp_path / "brand.json"
    file.write_text(json.dumps(FULL))
    call_command(*WORDS, "--brand", str(file), stdout=StringIO())
    assert Brand.objects.get(tenant__slug="north").details == FULL


@pytest.mark.parametrize("text", ["{", "[]", "null", json.dumps(LEAST | {"name": ""}), json.dumps({"name": "North"})])
def test_create_tenant_refuses_what_is_no_brand_and_stores_nothing(db: None, tmp_path: Path, text: str) -> None:
    file = tmp_path / "brand.json"
    file.write_text(text)
    with pytest.raises(CommandError, match="is not a brand: "):
        call_command(*WORDS, "--brand", str(file))
    assert not Tenant.objects.exists()


def test_the_sandbox_has_a_brand_that_stays_as_it_is(db: None, tmp_path: Path, configure: Any) -> None:
    configure(var=tmp_path)
    upstream = {"upstream_url": "http://127.0.0.1:1/r4", "upstream_bearer": "x"}
    seed.seed(**upstream)
    brand = Brand.objects.get(tenant__slug="sandbox")
    details = read_brand(brand.details)
    assert [one.url for one in details.portals] == ["http://127.0.0.1:8000/account/apps"]
    # What is below /static/ is served by its name.
    assert finders.find(details.logo.removeprefix("http://127.0.0.1:8000/static/"))
    seed.seed(**upstream)
    assert Brand.objects.get().changed_at == brand.changed_at
    Brand.objects.update(is_published=False)
    seed.seed(**upstream)
    assert not Brand.objects.get().is_published
