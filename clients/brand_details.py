"""What a tenant may tell people who look for it: names, places, portals, and where developers turn to. Pure.

There is no member for a person: contacts are websites, so nothing personal can be published by filling this in.
Source: SMART 2.2 brands, "Brand Information" and "Conformance Overview"; its profiles user-access-brand and
user-access-endpoint, of which every must-support element has its member here.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from clients.countries import ALPHA_2
from clients.logos import logo_problem
from clients.uri_rules import web_url_problem

URI = "urn:ietf:rfc:3986"  # the system of identifiers that are URIs
ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
LARGEST = 500_000  # bytes of one tenant's brand: everybody may fetch it, at any time

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
# What is shown to people, and what is followed. In the first only a description may have several lines.
LOGOS = ("logo",)
URLS = ("website", "url", "logo_license", "brand_bundle")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Members that are left out are not published."""


class Identifier(_Part):
    """A name for machines. `system` says who gives out such values: an absolute URI."""

    value: Text
    system: str = ""

    def __post_init__(self) -> None:
        if self.system and ABSOLUTE_URI.fullmatch(self.system) is None:
            raise ValueError("system is not an absolute URI")


class Address(_Part):
    """A place, as far as it is told. `country`: ISO 3166-1, two letters."""

    line: tuple[Text, ...] = ()
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""

    def __post_init__(self) -> None:
        if not (self.line or self.city or self.state or self.postal_code):
            raise ValueError("an address names a city, a state or a postal code")
        if self.line and not self.city:
            raise ValueError("an address with a line names the city, too")
        if self.country and self.country not in ALPHA_2:
            raise ValueError("country is not two letters of ISO 3166-1")


class Portal(_Part):
    """Where people look after their account."""

    name: Text
    url: Url
    description: Annotated[str, msgspec.Meta(max_length=2_000)] = ""  # Markdown
    logo: str = ""
    logo_license: str = ""


class Affiliate(_Part):
    """An organisation as people know it. `website` is the one for everybody, not the portal."""

    name: Text
    website: Url
    aliases: tuple[Text, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    categories: tuple[
        Literal[
            "prov", "ins", "laboratory", "imaging", "pharmacy", "health-information-network", "health-data-aggregator"
        ],
        ...,
    ] = ()
    addresses: tuple[Address, ...] = ()
    logo: str = ""
    logo_license: str = ""
    brand_bundle: str = ""  # a bundle elsewhere that tells more of this brand
    portals: tuple[Portal, ...] = ()

    @property
    def known_as(self) -> tuple[Identifier, ...]:
        """Return the identifiers to publish: those given, else the one that SMART recommends."""
        return self.identifiers or (website_identifier(self.website),)


class BrandDetails(Affiliate, kw_only=True):
    """The primary brand of one tenant. Affiliates are people's other names for a part of it; their data is here, too.

    contacts: websites where developers arrange access.    endpoint_name: for developers, not for people.
    """

    contacts: Annotated[tuple[Url, ...], msgspec.Meta(min_length=1)]
    endpoint_name: str = ""
    affiliates: tuple[Affiliate, ...] = ()

    def __post_init__(self) -> None:
        counts = Counter(one for brand in (self, *self.affiliates) for one in brand.known_as)
        twice = next((one for one, count in counts.items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"the identifier {twice.value} is there twice; each organisation needs its own")

    @property
    def identifier(self) -> Identifier:
        """Return what smart-configuration calls this brand by."""
        return self.known_as[0]


def website_identifier(website: str) -> Identifier:
    """Return the identifier that SMART recommends: the https URL of the site, without `www.` and without a path."""
    return Identifier(system=URI, value=f"https://{urlsplit(website).netloc.lower().removeprefix('www.')}")


def parse_brand(members: object, *, http_on_loopback: bool) -> BrandDetails:
    """Return written or stored members as a brand. Raises ValueError, in one sentence, for what cannot be published.

    http_on_loopback: whether URLs may be http on this machine, as those of a sandbox are.
    """
    details = msgspec.convert(members, BrandDetails)
    if len(msgspec.json.encode(details)) > LARGEST:
        raise ValueError(f"the brand is larger than {LARGEST} bytes")
    for where, name, text in _texts(msgspec.to_builtins(details), "$", ""):
        problem = _text_problem(name, text, http_on_loopback)
        if problem:
            raise ValueError(f"{where} is not acceptable: {problem}")
    return details


def stored(details: BrandDetails) -> dict[str, object]:
    """Return the members as they are stored: those that say something."""
    members: dict[str, object] = msgspec.json.decode(msgspec.json.encode(details))
    return members


def _texts(value: object, where: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Walk every text with its place and the name of the member it belongs to."""
    match value:
        case str():
            yield where, name, value
        case dict():
            for key, inner in value.items():
                yield from _texts(inner, f"{where}.{key}", key)
        case list() | tuple():
            for at, inner in enumerate(value):
                yield from _texts(inner, f"{where}[{at}]", name)


def _text_problem(name: str, text: str, http_on_loopback: bool) -> str:
    shown = text.replace("\n", " ") if name == "description" else text
    if text != text.strip() or not shown.isprintable():
        return "it has blanks around it, or characters that cannot be shown"
    if name in LOGOS:
        return logo_problem(text, http_on_loopback=http_on_loopback)
    if name in URLS or name == "contacts":
        return web_url_problem(text, http_on_loopback=http_on_loopback)
    return ""
