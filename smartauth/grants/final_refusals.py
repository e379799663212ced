"""Refusals that leave a mark: what was spent or revoked on the way stays so."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from smartauth.errors import OAuthError


@contextmanager
def committing_refusals() -> Iterator[None]:
    """Run a block in a transaction that an OAuthError ends without undoing; it is raised once that is committed.

    An exception in the transaction would give a spent code back, or the family of a stolen token its life.
    """
    refused: OAuthError | None = None
    with transaction.atomic():
        try:
            yield
        except OAuthError as error:
            refused = error
    if refused is not None:
        raise refused
