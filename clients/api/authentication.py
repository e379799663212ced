"""Who uses the portal's JSON interface: somebody signed in, or a program with a token made for it.

An access token of OAuth is never taken: an app that people signed in to must not manage how apps are registered.
"""

from typing import Any

from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from clients.api.errors import Forbidden
from clients.api_tokens import find_token, note_use
from clients.models import ApiToken
from clients.portal.access import may_use_portal
from smartauth import rates
from smartauth.context import context_of
from smartauth.errors import InvalidToken, Refusal

CHALLENGE = 'Bearer realm="smartauth"'
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class TokenAuthentication(BaseAuthentication):
    """A token of the developer API. Whoever sends an Authorization header is judged by it alone."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken(
                Refusal("api.scheme", "the Authorization header is not Bearer with a token", fix="Send Bearer TOKEN.")
            )
        row, now = find_token(token.strip()), timezone.now()
        if row is None:
            raise InvalidToken(
                Refusal(
                    "api.token_unknown",
                    "it is no token of the developer API, or it was withdrawn",
                    fix="Make a token in the portal. Access tokens of apps are not taken here.",
                )
            )
        if row.expires_at <= now:
            seen = f"expired at {row.expires_at:%Y-%m-%dT%H:%M:%SZ}"
            raise InvalidToken(Refusal("api.token_expired", "the token has expired", seen=seen, fix="Make another."))
        if not row.user.is_active:
            raise InvalidToken(Refusal("api.user_inactive", "the user of the token is not active"))
        rates.admit_user(context_of(request._request), row.user.pk)
        note_use(row, now)
        return row.user, row

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(BaseAuthentication):
    """The session of the portal's pages. What changes something needs their CSRF token, in the X-CSRFToken header."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user = getattr(request._request, "user", None)
        if user is None or not user.is_authenticated or not user.is_active:
            return None
        self._require_own_page(request)
        rates.admit_user(context_of(request._request), user.pk)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def _require_own_page(self, request: Request) -> None:
        if request._request.content_type in FORMS:
            # Looking for the token in a form would read the body, and no form is taken anyway.
            raise exceptions.UnsupportedMediaType(request._request.content_type)
        check = CSRFCheck(lambda _: None)
        check.process_request(request._request)
        reason = check.process_view(request._request, None, (), {})
        if reason:
            raise Forbidden(
                Refusal(
                    "api.csrf",
                    "the request does not show that a page of this site sent it",
                    seen=str(reason),
                    fix="Send the value of the csrftoken cookie as X-CSRFToken. Programs use a token instead.",
                )
            )


class MayUsePortal(BasePermission):
    """Whoever may register apps. Anybody else who is signed in is told so."""

    def has_permission(self, request: Request, view: object) -> bool:
        return may_use_portal(request.user)
