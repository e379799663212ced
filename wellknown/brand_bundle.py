"""Brands to the FHIR Bundle that apps read to find us. Pure: what a brand does not say is not in it.

Source: SMART 2.2 brands, its profiles user-access-brands-bundle, user-access-brand and user-access-endpoint, and the
extensions organization-brand, organization-portal and endpoint-fhir-version; FHIR R4 bundle, organization, endpoint.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clients.brand_details import Address, Affiliate, Identifier, Portal
from clients.brands import PublishedBrand
from smartauth.digests import digest

Json = dict[str, Any]
PROFILE = "http://hl7.org/fhir/smart-app-launch/StructureDefinition"
EXTENSION = "http://hl7.org/fhir/StructureDefinition"
CODES = "http://terminology.hl7.org/CodeSystem"
FHIR_VERSION = "4.0.1"


def bundle(brands: Sequence[PublishedBrand], *, changed_at: datetime, identity: str, root: str) -> Json:
    """Return a collection of the brands' Organizations, each tenant's followed by its Endpoint.

    identity: logical id of the bundle.    root: absolute URL below which entries have their `fullUrl`.
    """
    return {
        "resourceType": "Bundle",
        "id": identity,
        "meta": _meta("user-access-brands-bundle", changed_at),
        "type": "collection",
        "timestamp": _instant(changed_at),
        "entry": [
            {"fullUrl": f"{root}/{resource['resourceType']}/{resource['id']}", "resource": resource}
            for brand in brands
            for resource in _resources(brand)
        ],
    }


def identifier(one: Identifier) -> Json:
    """Return a FHIR Identifier; smart-configuration names the primary brand by it."""
    return _present({"system": one.system, "value": one.value})


def _resources(brand: PublishedBrand) -> Iterator[Json]:
    """Walk the primary brand, which has the Endpoint, its affiliates, which are part of it, and the Endpoint."""
    endpoint = {"reference": f"Endpoint/{brand.tenant}"}
    primary = {"reference": f"Organization/{brand.tenant}"}
    yield _organization(brand.details, brand.tenant, brand.changed_at, {"endpoint": [endpoint]}, endpoint)
    for one in brand.details.affiliates:
        # No place in a list: the id is to stay when another affiliate comes or goes.
        identity = f"{brand.tenant}.{digest(f'{one.known_as[0].system}|{one.known_as[0].value}')[:16]}"
        # Whoever has no portal is reached through the primary brand; who has one names its Endpoint, too (uab-1).
        links = {"partOf": primary} | ({"endpoint": [endpoint]} if one.portals else {})
        yield _organization(one, identity, brand.changed_at, links, endpoint)
    yield _endpoint(brand)


def _organization(one: Affiliate, identity: str, changed_at: datetime, links: Json, endpoint: Json) -> Json:
    logos = _extension(
        "organization-brand",
        ("brandLogo", "valueUrl", one.logo),
        ("brandLogoLicense", "valueUrl", one.logo_license),
        ("brandBundle", "valueUrl", one.brand_bundle),
    )
    kinds = [{"coding": [{"system": f"{CODES}/organization-type", "code": code}]} for code in one.categories]
    return _present(
        {
            "resourceType": "Organization",
            "id": identity,
            "meta": _meta("user-access-brand", changed_at),
            "extension": [*logos, *(part for portal in one.portals for part in _portal(portal, endpoint))],
            "identifier": [identifier(known) for known in one.known_as],
            "active": True,
            "type": kinds,
            "name": one.name,
            "alias": list(one.aliases),
            "telecom": [{"system": "url", "value": one.website}],
            "address": [_address(place) for place in one.addresses],
            **links,
        }
    )


def _endpoint(brand: PublishedBrand) -> Json:
    details = brand.details
    return {
        "resourceType": "Endpoint",
        "id": brand.tenant,
        "meta": _meta("user-access-endpoint", brand.changed_at),
        "extension": [{"url": f"{EXTENSION}/endpoint-fhir-version", "valueCode": FHIR_VERSION}],
        "status": "active",
        "connectionType": {"system": f"{CODES}/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "name": details.endpoint_name or f"FHIR R4 API of {details.name}",
        "contact": [{"system": "url", "value": url} for url in details.contacts],
        "payloadType": [{"coding": [{"system": f"{CODES}/endpoint-payload-type", "code": "none"}]}],
        "address": brand.fhir_base,
    }


def _portal(portal: Portal, endpoint: Json) -> list[Json]:
    return _extension(
        "organization-portal",
        ("portalName", "valueString", portal.name),
        ("portalDescription", "valueMarkdown", portal.description),
        ("portalUrl", "valueUrl", portal.url),
        ("portalLogo", "valueUrl", portal.logo),
        ("portalLogoLicense", "valueUrl", portal.logo_license),
        ("portalEndpoint", "valueReference", endpoint),
    )


def _extension(name: str, *parts: tuple[str, str, object]) -> list[Json]:
    """Return the extension of what is there, or none at all."""
    told = [{"url": url, kind: value} for url, kind, value in parts if value]
    return [{"url": f"{EXTENSION}/{name}", "extension": told}] if told else []


def _address(place: Address) -> Json:
    members = {"line": list(place.line), "city": place.city, "state": place.state}
    return _present({**members, "postalCode": place.postal_code, "country": place.country})


def _meta(profile: str, changed_at: datetime) -> Json:
    return {"lastUpdated": _instant(changed_at), "profile": [f"{PROFILE}/{profile}"]}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _present(members: Mapping[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value}
