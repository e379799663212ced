"""Create a tenant: a protected FHIR base and the server behind it."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from clients.brand_details import BrandDetails
from clients.brands import read_brand, set_brand
from clients.models import Tenant
from clients.switches import MEANINGS, stored
from clients.tenants import parse_policy
from fhirproxy.tenancy import UnusableUpstream, set_upstream
from smartauth import endpoints, slugs


class Command(BaseCommand):
    """One JSON object on standard output: slug, fhir_base, upstream."""

    help = "Create a tenant in front of a FHIR R4 server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", required=True, help="part of public URLs; lower-case letters, digits and -")
        parser.add_argument("--upstream", required=True, metavar="URL", help="FHIR base URL of the server behind")
        parser.add_argument("--upstream-bearer-file", type=Path, metavar="FILE", help="holds our credential there")
        parser.add_argument("--name", default="", help="how people call it")
        parser.add_argument(
            "--policy", type=Path, metavar="FILE", help="policy switches as a JSON object, and file_hosts"
        )
        parser.add_argument("--brand", type=Path, metavar="FILE", help="how it presents itself, as a JSON object")

    def handle(
        self,
        *,
        slug: str,
        upstream: str,
        upstream_bearer_file: Path | None,
        name: str,
        policy: Path | None,
        brand: Path | None,
        **_: Any,
    ) -> None:
        if slugs.TENANT_SLUG.fullmatch(slug) is None:
            raise CommandError("A slug is 1 to 32 lower-case letters, digits and hyphens, and begins with no hyphen.")
        if slug in slugs.RESERVED_SLUGS:
            raise CommandError(f"The slug {slug} is reserved.")
        switches, file_hosts = _policy(policy)
        details = _brand(brand)
        bearer = _read(upstream_bearer_file).strip() if upstream_bearer_file else ""
        if upstream_bearer_file and not bearer:
            raise CommandError(f"{upstream_bearer_file} is empty.")
        with transaction.atomic():
            tenant, is_new = Tenant.objects.get_or_create(slug=slug, defaults={"name": name, "policy": switches})
            if not is_new:
                raise CommandError(f"A tenant with the slug {slug} exists already.")
            try:
                stored = set_upstream(tenant, base_url=upstream, bearer=bearer, file_hosts=file_hosts)
            except UnusableUpstream as why:
                raise CommandError(str(why)) from None
            if details is not None:
                set_brand(tenant, details)
        described = {"slug": slug, "fhir_base": endpoints.fhir_base(slug), "upstream": stored.base_url}
        self.stdout.write(json.dumps(described, indent=2))
        for name in parse_policy(switches).weakened:
            self.stderr.write(f"The policy loosens a rule with {name}: {MEANINGS[name]}")


def _policy(path: Path | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the switches in a file, and beside them the hosts of export files, which belong to the upstream."""
    if path is None:
        return {}, ()
    try:
        switches = json.loads(_read(path))
        hosts = switches.pop("file_hosts", []) if isinstance(switches, dict) else []
        return stored(parse_policy(switches)), msgspec.convert(hosts, tuple[str, ...])
    except ValueError as why:
        raise CommandError(f"{path} is not a policy: {why}.") from None


def _brand(path: Path | None) -> BrandDetails | None:
    if path is None:
        return None
    try:
        return read_brand(json.loads(_read(path)))
    except ValueError as why:
        raise CommandError(f"{path} is not a brand: {why}.") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8 text.") from None
