"""Authorizations, tokens and keys in the admin: to look at and to end, never to make or to read a value.

The toolkit registers the classes named in its settings for the five swapped models; its own "revoke" deletes rows,
which would make a revoked token look unknown.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils import timezone

from smartauth import compromise, keys, tokens
from smartauth.administration.grants import revoke_client
from smartauth.administration.pages import confirmation, goes_back, is_confirmed, routes
from smartauth.context import context_of
from smartauth.models import AccessToken, Authorization, AuthorizationCode, RefreshToken, SigningKey
from smartauth.readonly_admin import ReadOnlyAdmin

admin.site.site_header = "Smartauth administration"
admin.site.site_title = "Smartauth"
admin.site.index_title = "Administration"


def _asked(request: HttpRequest, queryset: QuerySet[Any], says: str, button: str) -> HttpResponse | None:
    """Return the page that asks once more about the selected rows, or None once it was answered.

    Whoever goes back comes to the list again.
    """
    if is_confirmed(request):
        return None
    if goes_back(request):
        return HttpResponseRedirect(request.get_full_path())
    count = queryset.count()
    title = f"{button}: {count} selected?"
    return confirmation(request, title, says=[f"Selected: {count}.", says], button=button, is_grave=True)


class _Revocable(ReadOnlyAdmin):
    """Rows that an administrator may end."""

    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return True for those who may end what a client was granted."""
        return request.user.has_perm("smartauth.change_authorization")

    def done(self, request: HttpRequest) -> None:
        """Say that it worked, and when."""
        self.message_user(request, "Revoked; the tokens stop working within a second.")


@admin.register(Authorization)
class AuthorizationAdmin(_Revocable):
    """What was granted to whom."""

    list_display = (
        *("id", "kind", "client", "tenant", "user", "patient"),
        *("created_at", "expires_at", "revoked_at", "revoked_by"),
    )
    list_filter = ("kind", "tenant", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "client__client_id", "user__username", "context__patient")
    search_help_text = "A client id, the name of a user, or the logical id of a patient"
    list_select_related = ("client", "tenant", "user")

    def get_urls(self) -> list[URLPattern]:
        """Add the page that ends all a client was granted."""
        own = [("of/<int:pk>/revoke/", revoke_client, "smartauth_revoke_client")]
        return [*routes(self.admin_site, own), *super().get_urls()]

    @admin.display(description="patient")
    def patient(self, authorization: Authorization) -> str:
        return str(authorization.context.get("patient", ""))

    @admin.action(description="Revoke, with every token", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Authorization]) -> HttpResponse | None:
        says = "They end with every token under them, within a second."
        if asked := _asked(request, queryset, says, "Revoke"):
            return asked
        for authorization in queryset:
            _revoke(request, authorization.pk)
        self.done(request)
        return None


class AccessTokenAdmin(_Revocable):
    """Access tokens by what they allow; the value is not stored, so it cannot be shown."""

    list_display = ("id", "application", "authorization", "scope", "created", "expires", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "expires")
    search_fields = ("application__client_id", "authorization__id")
    list_select_related = ("application", "authorization")
    exclude = ("token_checksum",)

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> HttpResponse | None:
        says = "They stop working within a second."
        if asked := _asked(request, queryset, says, "Revoke"):
            return asked
        context, now = context_of(request), timezone.now()
        for token in queryset:
            tokens.revoke_access_token(token.token_checksum, context=context, now=now, administrator=request.user.pk)
        self.done(request)
        return None


class RefreshTokenAdmin(_Revocable):
    """Refresh tokens; ending one ends its whole Authorization."""

    list_display = ("id", "application", "authorization", "created", "expires", "rotated_at", "revoked")
    search_fields = ("application__client_id", "authorization__id")
    list_select_related = ("application", "authorization")
    exclude = ("token_checksum",)

    @admin.action(description="Revoke, with the whole authorization", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[RefreshToken]) -> HttpResponse | None:
        says = "Each ends its whole authorization, with every token under it, within a second."
        if asked := _asked(request, queryset, says, "Revoke"):
            return asked
        for token in queryset:
            _revoke(request, token.authorization_id)
        self.done(request)
        return None


class AuthorizationCodeAdmin(ReadOnlyAdmin):
    """Authorization codes, spent or not, without the code."""

    list_display = ("id", "application", "authorization", "created", "expires", "spent_at")
    list_select_related = ("application", "authorization")
    exclude = ("code", "code_challenge", "nonce", "claims")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthorizationCode]:
        return super().get_queryset(request).defer("code_challenge", "nonce")


@admin.register(SigningKey)
class SigningKeyAdmin(ReadOnlyAdmin):
    """Our signing keys; the private part never leaves its seal."""

    list_display = ("kid", "purpose", "alg", "state", "created_at", "activated_at", "retired_at")
    list_filter = ("purpose", "state")
    exclude = ("sealed_private_key",)
    actions = ("rotate", "withdraw")

    def has_rotate_permission(self, request: HttpRequest) -> bool:
        """Return True for those who may change which key signs."""
        return request.user.has_perm("smartauth.change_signingkey")

    @admin.action(description="Move the keys of this use on by one step", permissions=["rotate"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[SigningKey]) -> HttpResponse | None:
        says = "The keys of each selected use move on by one step."
        if asked := _asked(request, queryset, says, "Rotate"):
            return asked
        context, now = context_of(request), timezone.now()
        for purpose, alg in set(queryset.values_list("purpose", "alg")):
            try:
                row = keys.rotate(purpose, alg, context=context, now=now, administrator=request.user.pk)
            except ValueError as error:
                self.message_user(request, f"{purpose} {alg}: {error}.", level="warning")
            else:
                self.message_user(request, f"{purpose} {alg}: {row.kid} is now {row.state}.")
        return None

    @admin.action(description="Withdraw: somebody else may have it. Ends what it signed", permissions=["rotate"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[SigningKey]) -> HttpResponse | None:
        says = "Every token they signed ends, and another key signs at once. It cannot be undone."
        if asked := _asked(request, queryset, says, "Withdraw"):
            return asked
        for kid in queryset.values_list("kid", flat=True):
            count = compromise.withdraw_key(kid, context=context_of(request), administrator=request.user.pk)
            self.message_user(request, f"{kid} is gone; {count} access tokens were revoked.")
        return None


def _revoke(request: HttpRequest, pk: UUID) -> None:
    tokens.revoke_authorization(
        pk, by="administrator", context=context_of(request), now=timezone.now(), administrator=request.user.pk
    )
