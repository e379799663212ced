"""Who has proven more than a password: what the administration asks for outside the sandbox.

The second factor itself (time-based codes, recovery codes, passkeys) is django-allauth's.
"""

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest

from smartauth.conf import config

PASSKEY = Authenticator.Type.WEBAUTHN


def is_proven(request: HttpRequest) -> bool:
    """Return True when the user of this session has shown a second factor in it."""
    return any(proof["method"] == "mfa" for proof in get_authentication_records(request, request.user))


def admits_staff(request: HttpRequest) -> bool:
    """Return True when this session may use the administration as far as second factors go: always in the sandbox."""
    return config().is_sandbox or is_proven(request)


def page_to_prove(request: HttpRequest) -> str:
    """Return the name of the page where the user shows a second factor, or sets up the first."""
    if not is_mfa_enabled(request.user):
        return "mfa_activate_totp"
    by_passkey = PASSKEY in settings.MFA_SUPPORTED_TYPES and is_mfa_enabled(request.user, types=[PASSKEY])
    return "mfa_reauthenticate_webauthn" if by_passkey else "mfa_reauthenticate"
