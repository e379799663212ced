"""Make someone who can sign in, and say which FHIR resource they are at a tenant."""

import re
import sys
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from clients.tenants import find_tenant
from smartauth.administration.roles import OUTSIDE, ROLES
from smartauth.conf import config
from smartauth.people.models import FHIR_USER, FhirUser, UpstreamIdentity, User


class Command(BaseCommand):
    """`create_user --username NAME [--tenant SLUG --fhir-user Type/id]`, with the password on standard input.

    With `--upstream-subject` there is none: the person signs in at the identity provider.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--tenant", help="slug of the tenant where the user is --fhir-user")
        parser.add_argument("--fhir-user", help="for example Patient/ana or Practitioner/dr-grey")
        parser.add_argument("--upstream-subject", help="who the user is at the identity provider; then no password")
        parser.add_argument("--staff", action="store_true", help="may use the administration, all of it")
        parser.add_argument(
            "--role",
            action="append",
            default=[],
            choices=sorted(ROLES),
            help="may use that part of it, or the partner portal",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        username, slug, reference = options["username"], options["tenant"], options["fhir_user"]
        if bool(slug) != bool(reference):
            raise CommandError("--tenant and --fhir-user go together.")
        tenant = find_tenant(slug) if slug else None
        if slug and tenant is None:
            raise CommandError(f"There is no active tenant {slug!r}.")
        if reference and re.fullmatch(FHIR_USER, reference) is None:
            raise CommandError(
                "--fhir-user must be Patient, Practitioner, PractitionerRole, RelatedPerson or Person/id."
            )
        if User.objects.filter(username=username).exists():
            raise CommandError(f"There is a user {username!r} already.")
        idp, subject = config().upstream_idp, options["upstream_subject"]
        if subject and idp is None:
            raise CommandError("--upstream-subject needs an identity provider; set SMARTAUTH_UPSTREAM_IDP_ISSUER.")
        if subject and UpstreamIdentity.objects.filter(issuer=idp.issuer, subject=subject).exists():
            raise CommandError(f"{subject!r} at the identity provider is another user already.")
        password = None if subject else sys.stdin.readline().rstrip("\n")
        user = User(
            username=username,
            is_staff=options["staff"] or bool(set(options["role"]) - OUTSIDE),
            is_superuser=options["staff"],
        )
        try:
            user.full_clean(exclude=["password"])
            if password is not None:
                validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.set_password(password)  # None makes one that nothing matches.
        with transaction.atomic():
            user.save()
            user.groups.set(Group.objects.filter(name__in=options["role"]))
            if tenant is not None:
                FhirUser.objects.create(user=user, tenant_id=tenant.pk, reference=reference)
            if subject:
                UpstreamIdentity.objects.create(user=user, issuer=idp.issuer, subject=subject)
        self.stdout.write(f"{username} may sign in")
