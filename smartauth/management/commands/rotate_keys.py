"""Move our signing keys on by one step: publish the next key, or let a published one sign."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from smartauth import keys
from smartauth.context import new_context


class Command(BaseCommand):
    """`rotate_keys`: run it twice, at least ten minutes apart."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        keys.make_missing(now)
        for purpose, algs in keys.ALGORITHMS.items():
            for alg in algs:
                try:
                    row = keys.rotate(purpose, alg, context=new_context(), now=now)
                except ValueError as error:
                    raise CommandError(f"{purpose}: {error}.") from None
                self.stdout.write(f"{purpose} {row.alg} {row.kid} is now {row.state}")
