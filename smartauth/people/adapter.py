"""How django-allauth behaves here."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from smartauth.browser import PageRefused, error_page
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal
from smartauth.people import messages, wrong_passwords
from smartauth.people.models import User
from smartauth.sealing import decrypt, encrypt

PURPOSE = "second factor"


class Accounts(DefaultAccountAdapter):
    """Accounts are made by the operator; in the sandbox also by whoever comes along to register an app."""

    error_messages = DefaultAccountAdapter.error_messages | messages.OF_ACCOUNTS

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return True in the sandbox only: in production nobody signs up by themselves."""
        return config().is_sandbox

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        """Return the partner portal: nobody else signs up."""
        return reverse("developers")

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the caller's own address, so that a trusted proxy does not share one sign-in limit among everybody."""
        address: str = context_of(request).remote_address or super().get_client_ip(request)
        return address

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt. Raises ValidationError when there were too many."""
        self._login_failed_rl_usage = wrong_passwords.admit(request, str(credentials.get("username", "")).lower())
        if self._login_failed_rl_usage is None:
            raise self.validation_error("too_many_login_attempts")

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return the user, who must be active: to a deactivated one the right password looks like a wrong one."""
        user: User | None = super().authenticate(request, **credentials)
        if user is not None and not user.is_active:
            self.authentication_failed(request, **credentials)
            return None
        return user

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Say no to a deactivated user who proved who they are with a passkey."""
        refusal = Refusal("sign-in.deactivated", "the user of this passkey is deactivated")
        advice = (_("It has been deactivated."), _("Ask the operator of this server."))
        return error_page(request, PageRefused(refusal, title=_("Your account is closed"), advice=advice, status=403))


class SealedSecondFactors(DefaultMFAAdapter):
    """Keeps the secrets of second factors sealed: a copy of the database is no copy of somebody's authenticator."""

    error_messages = DefaultMFAAdapter.error_messages | messages.OF_SECOND_FACTORS

    def encrypt(self, text: str) -> str:
        """Seal a secret with the keys from the environment."""
        return encrypt(text.encode(), purpose=PURPOSE)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return to whom passkeys belong: the configured host, not the one in the address bar.  WebAuthn §5.4.2."""
        host = urlsplit(config().base_url).hostname or ""
        return {"id": host, "name": host}

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's name.
        """Return a first name for a passkey; the person may give it another."""
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        name = gettext("Passkey")
        return name if count == 0 else f"{name} {count + 1}"

    def decrypt(self, encrypted_text: str) -> str:
        """Open a sealed secret."""
        return decrypt(encrypted_text, purpose=PURPOSE).decode()
