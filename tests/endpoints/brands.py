"""Brands for tests: the least that can be published, and one with everything that can be said."""

import base64
from typing import Any

from clients.brands import read_brand, set_brand
from clients.models import Brand, Tenant

Json = dict[str, Any]

LEAST: Json = {
    "name": "North Hospital",
    "website": "https://www.north.example.org/welcome",
    "contacts": ["https://developers.north.example.org"],
}
SVG = "data:image/svg+xml;base64," + base64.b64encode(b'<svg viewBox="0 0 24 24"/>').decode()
PORTAL: Json = {
    "name": "North Portal",
    "description": "For everybody who is\nat least **18**.",
    "url": "https://portal.north.example.org",
    "logo": "https://north.example.org/portal.png",
    "logo_license": "https://north.example.org/portal-license",
}
FULL: Json = LEAST | {
    "aliases": ["St. North", "Northern Infirmary"],
    "identifiers": [
        {"system": "urn:ietf:rfc:3986", "value": "https://north.example.org"},
        {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"},
    ],
    "categories": ["prov", "laboratory"],
    "addresses": [
        {"line": ["1 North Street"], "city": "Boston", "state": "MA", "postal_code": "02111", "country": "US"},
        {"postal_code": "02139"},
    ],
    "logo": SVG,
    "logo_license": "https://north.example.org/license",
    "brand_bundle": "https://north.example.org/more.json",
    "portals": [PORTAL, {"name": "For children", "url": "https://children.north.example.org"}],
    "contacts": ["https://developers.north.example.org", "https://help.north.example.org"],
    "endpoint_name": "The API of North",
    "affiliates": [
        {"name": "South Clinic", "website": "https://south.example.org", "categories": ["imaging"]},
        {
            "name": "West Clinic",
            "website": "https://west.example.org",
            "portals": [{"name": "West Portal", "url": "https://portal.west.example.org"}],
        },
    ],
}


def publish(slug: str, members: Json = LEAST) -> Brand:
    """Publish the brand of a tenant that is there."""
    tenant = Tenant.objects.get(slug=slug)
    set_brand(tenant, read_brand(members))
    return Brand.objects.get(tenant=tenant)
