"""What may be published as a brand, and what may not.  SMART 2.2 brands, "Brand Information"; FHIR R4 datatypes."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from clients.brand_details import BrandDetails, parse_brand, stored
from clients.countries import ALPHA_2
from tests.endpoints.brands import FULL, LEAST, PORTAL, SVG

Json = dict[str, Any]


def read(members: object) -> BrandDetails:
    return parse_brand(members, http_on_loopback=False)


def picture(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def png(width: int, height: int) -> str:
    begin = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
    return picture("png", begin + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x06\x00\x00\x00")


@pytest.mark.requirement("BRAND-11")
@pytest.mark.parametrize("members", [LEAST, FULL], ids=["least", "full"])
def test_what_is_stored_is_what_was_said(members: Json) -> None:
    assert stored(read(members)) == members


TAKEN: list[Json] = [
    {"logo": SVG},
    {"logo": png(1024, 1024)},
    {"logo": "https://north.example.org/logo.svg"},
    {"addresses": [{"state": "MA"}]},
    {"addresses": [{"postal_code": "02139", "country": "GB"}]},
    {"identifiers": [{"value": "1234567893"}]},
    {"identifiers": [{"system": "urn:oid:2.16.840.1.113883.4.6", "value": "1234567893"}]},
]


@pytest.mark.requirement("BRAND-11", "BRAND-12")
@pytest.mark.parametrize("members", TAKEN, ids=str)
def test_it_is_taken(members: Json) -> None:
    assert read(LEAST | members)


REFUSED: list[tuple[Json, str]] = [
    # what is wrong                                                    what is said of it
    ({"name": ""}, r"\$.name"),
    ({"name": " North"}, r"\$.name .*blanks"),
    ({"name": "North\nHospital"}, r"\$.name .*cannot be shown"),
    ({"name": "North\x00"}, r"\$.name .*cannot be shown"),
    ({"name": "North\ud800"}, "surrogates|cannot be shown"),
    ({"name": "\u202eNorth"}, r"\$.name .*cannot be shown"),
    ({"name": None}, r"\$.name"),
    ({"website": "http://north.example.org"}, r"\$.website .*https is required"),
    ({"website": "north.example.org"}, r"\$.website"),
    ({"website": "javascript:alert(1)"}, r"\$.website .*not an https URL"),
    ({"contacts": []}, r"\$.contacts"),
    ({"contacts": ["mailto:kim@north.example.org"]}, r"\$.contacts\[0\] .*not an https URL"),
    ({"contact": "Kim"}, "unknown field"),
    ({"categories": ["hospital"]}, r"\$.categories\[0\]"),
    ({"addresses": [{"country": "US"}]}, "names a city, a state or a postal code"),
    ({"addresses": [{"line": ["1 North Street"], "state": "MA"}]}, "names the city"),
    ({"addresses": [{"city": "London", "country": "UK"}]}, "ISO 3166-1"),
    ({"addresses": [{"city": "Boston", "country": "USA"}]}, "ISO 3166-1"),
    ({"identifiers": [{"system": "npi", "value": "1"}]}, "absolute URI"),
    ({"identifiers": [{"system": "urn:x:y"}]}, "value"),
    ({"identifiers": [{"value": "1"}, {"value": "1"}]}, "twice"),
    ({"affiliates": [{"name": "Ward", "website": "https://north.example.org/ward"}]}, "twice"),
    ({"affiliates": [{"name": "Ward", "website": "https://a.example", "affiliates": []}]}, "unknown field"),
    ({"portals": [{"name": "Portal"}]}, "url"),
    ({"portals": [{"url": "https://portal.north.example.org"}]}, "name"),
    ({"portals": [PORTAL | {"url": "http://127.0.0.1/x"}]}, r"\$.portals\[0\].url .*https is required"),
    ({"portals": [PORTAL | {"logo": "ftp://a.example/logo.png"}]}, r"\$.portals\[0\].logo"),
    ({"logo": png(512, 512)}, "512 by 512 pixels"),
    ({"logo": picture("png", b"GIF89a")}, "not a PNG"),
    ({"logo": picture("svg+xml", b'<svg viewBox="0 0 24 12"/>')}, "not square"),
    ({"logo": picture("svg+xml", b"<html/>")}, "not an SVG"),
    ({"logo": "data:text/html;base64,PGh0bWw+"}, r"\$.logo"),
    ({"logo": "data:image/png;base64,A"}, "not base64"),
    ({"logo": picture("png", b"x" * 200_000)}, "longer than"),
    ({"affiliates": [{"name": "n" * 255, "website": f"https://{n}.example"} for n in range(2_000)]}, "larger than"),
]


@pytest.mark.requirement("BRAND-06", "BRAND-08", "BRAND-09", "BRAND-11", "BRAND-12")
@pytest.mark.parametrize(("members", "because"), REFUSED, ids=lambda part: str(part)[:60].encode("ascii", "replace"))
def test_it_is_refused_in_one_sentence(members: Json, because: str) -> None:
    with pytest.raises(ValueError, match=because):
        read(LEAST | members)


@pytest.mark.requirement("BRAND-11")
@pytest.mark.parametrize("member", LEAST)
def test_what_the_profile_requires_is_not_left_out(member: str) -> None:
    with pytest.raises(ValueError, match=member):
        read({name: value for name, value in LEAST.items() if name != member})


def test_the_example_of_the_guide_is_taken_and_every_member_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "publish-a-brand.md").read_text()
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    assert read(json.loads(example[1])).identifier.value == "https://north.example.org"
    assert {name for name in BrandDetails.__struct_fields__ if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("members", [None, [], "North", 1])
def test_it_is_an_object(members: object) -> None:
    with pytest.raises(ValueError, match="Expected `object`"):
        read(members)


def test_a_sandbox_may_name_pages_of_this_machine() -> None:
    local = LEAST | {"contacts": ["http://127.0.0.1:8000"], "logo": "http://127.0.0.1:8000/static/icon.svg"}
    assert parse_brand(local, http_on_loopback=True)
    with pytest.raises(ValueError, match="https is required"):
        read(local)


WEBSITES = [
    ("https://www.childrenshospital.org/", "https://childrenshospital.org"),
    ("https://North.Example.org/for/people?x=y", "https://north.example.org"),
    ("https://wwwnorth.example.org", "https://wwwnorth.example.org"),
    ("https://north.example.org:8443/a", "https://north.example.org:8443"),
]


@pytest.mark.requirement("BRAND-10")
@pytest.mark.parametrize(("website", "value"), WEBSITES)
def test_the_identifier_of_a_website_is_its_origin_without_www(website: str, value: str) -> None:
    known = read(LEAST | {"website": website}).identifier
    assert (known.system, known.value) == ("urn:ietf:rfc:3986", value)


@pytest.mark.requirement("BRAND-12")
def test_countries_are_those_of_the_standard() -> None:
    assert len(ALPHA_2) == 249
    assert {"US", "GB", "DE", "XK", "UK", "EU"} & ALPHA_2 == {"US", "GB", "DE"}
