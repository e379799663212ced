"""End what was granted: to a client, by a user, about a patient, or with a signing key that may have leaked."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from clients.models import Client, Tenant
from smartauth import compromise, tokens
from smartauth.context import new_context
from smartauth.people.models import User


class Command(BaseCommand):
    """`revoke [--client ID] [--user NAME] [--patient ID] [--tenant SLUG]`, all must fit; or `revoke --key KID`"""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--client", default="", help="client_id")
        parser.add_argument("--user", default="", help="the name somebody signs in with")
        parser.add_argument("--patient", default="", help="logical id at --tenant")
        parser.add_argument("--tenant", default="", help="slug; without it at every tenant")
        parser.add_argument("--key", default="", help="kid of a signing key, which is withdrawn at once")

    def handle(self, *args: Any, **options: Any) -> None:
        client, user, patient, tenant = (options[name] for name in ("client", "user", "patient", "tenant"))
        if options["key"]:
            if client or user or patient or tenant:
                raise CommandError("--key stands alone.")
            self.stdout.write(self._withdraw(options["key"]))
            return
        for name, given, exists in (
            ("client", client, Client.objects.filter(client_id=client)),
            ("user", user, User.objects.filter(username=user)),
            ("tenant", tenant, Tenant.objects.filter(slug=tenant)),
        ):
            if given and not exists.exists():
                raise CommandError(f"There is no {name} {given!r}.")
        try:
            count = tokens.revoke_all(
                client_id=client,
                username=user,
                patient=patient,
                tenant=tenant,
                by="administrator",
                now=timezone.now(),
                context=new_context(),
            )
        except ValueError as error:
            raise CommandError(f"{error}.") from None
        self.stdout.write(f"{count} authorizations revoked")

    def _withdraw(self, kid: str) -> str:
        try:
            count = compromise.withdraw_key(kid, context=new_context())
        except LookupError as error:
            raise CommandError(f"{error}.") from None
        return f"{kid} withdrawn, {count} access tokens revoked"
