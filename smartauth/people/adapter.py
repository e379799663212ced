"""How django-allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from smartauth.context import context_of


class ClosedAccounts(DefaultAccountAdapter):
    """Accounts are made by the operator, never by whoever comes along."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return False: nobody signs up by themselves."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the caller's own address, so that a trusted proxy does not share one sign-in limit among everybody."""
        address: str = context_of(request).remote_address or super().get_client_ip(request)
        return address
