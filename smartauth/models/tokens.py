"""Codes and tokens as the toolkit's models, with our columns. Values are never stored, only their SHA-256 digests.

The toolkit's indexes that no query of ours uses are overridden away: these tables are written on every token request.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from oauth2_provider.models import AbstractAccessToken, AbstractGrant, AbstractIDToken, AbstractRefreshToken

from smartauth.models.authorizations import Authorization


class AuthorizationCode(AbstractGrant):
    """An authorization code. It stays, spent, until what it issued is dead, so that a second use is seen."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    application = models.ForeignKey("clients.Client", on_delete=models.CASCADE, related_name="+", db_index=False)
    code = models.CharField(max_length=64, help_text="SHA-256 of the code")
    nonce = models.TextField(blank=True, default="")
    authorization = models.ForeignKey(Authorization, on_delete=models.CASCADE, related_name="codes")
    spent_at = models.DateTimeField(null=True)
    dpop_jkt = models.CharField(
        max_length=43, blank=True, default="", help_text="Thumbprint of the only key that may exchange it"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code"], name="authorization_code_is_unique"),
            models.CheckConstraint(
                name="authorization_code_lives_ten_minutes_at_most",  # RFC 6749 §4.1.2
                condition=Q(expires__lte=F("created") + timedelta(minutes=10)),
            ),
        ]


class AccessToken(AbstractAccessToken):
    """An access token, found by digest. What it carries is frozen here; whether it still counts is looked up."""

    token = None
    source_refresh_token = None
    id_token = None
    resource = None
    updated = None

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    application = models.ForeignKey(
        "clients.Client", on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    token_checksum = models.CharField(max_length=64, help_text="SHA-256 of the token")
    authorization = models.ForeignKey(Authorization, on_delete=models.CASCADE, related_name="access_tokens")
    claims = models.JSONField(help_text="What introspection tells: sub, aud, scope, patient, fhirUser, context, …")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_checksum"], name="access_token_is_unique")]
        indexes = [models.Index(fields=["expires"], name="access_token_expiry")]

    def is_valid(self, scopes: Iterable[str] | None = None) -> bool:
        """Return True while the token counts: asks its Authorization, client, activation and user, not only the clock.

        The toolkit's own authentication classes call this, so a hospital's views that use them see revocation too.
        They read bearer tokens only and check no proofs, so what is bound to a key does not count there.
        """
        from smartauth import tokens  # Late, here and below: it writes these rows, and the toolkit asks them.

        return (
            "cnf" not in self.claims
            and tokens.is_live(self.token_checksum, now=timezone.now())
            and self.allow_scopes(scopes)
        )

    def revoke(self) -> None:
        """Revoke this token; the row stays, so that it is known as revoked and not as unknown."""
        from smartauth import tokens

        tokens.revoke_access_token(self.token_checksum, now=timezone.now())


class RefreshToken(AbstractRefreshToken):
    """A refresh token. A rotated one stays until its family is dead, so that reuse is seen (RFC 9700 §4.14.2).

    At most one token of an Authorization is live: neither rotated nor `revoked`, which here means that a sibling took
    its place before it was ever used.
    """

    token = None
    token_family = None
    resource = None
    updated = None

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    application = models.ForeignKey("clients.Client", on_delete=models.CASCADE, related_name="+", db_index=False)
    access_token = None  # The Authorization links them; a key here would cost every purged token a look-up.
    token_checksum = models.CharField(max_length=64, help_text="SHA-256 of the token")
    authorization = models.ForeignKey(Authorization, on_delete=models.CASCADE, related_name="refresh_tokens")
    scope = models.TextField(blank=True, default="")
    expires = models.DateTimeField(null=True, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True)
    dpop_jkt = models.CharField(
        max_length=43, blank=True, default="", help_text="Thumbprint of the only key that may use it"
    )
    # Both rows live and die with their Authorization, so the database need not watch over it.
    predecessor = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_checksum"], name="refresh_token_is_unique"),
            models.UniqueConstraint(
                fields=["authorization"],
                name="one_live_refresh_token_per_authorization",
                condition=Q(rotated_at__isnull=True, revoked__isnull=True),
            ),
        ]

    def revoke(self) -> None:
        """Revoke the Authorization behind this token, and so every token of the family (RFC 7009 §2.1)."""
        from smartauth import tokens

        tokens.revoke_authorization(self.authorization_id, by="administrator", now=timezone.now())


class IDToken(AbstractIDToken):
    """Swapped because the toolkit's models move together; nothing is written here: an ID token is a signed fact."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    application = models.ForeignKey(
        "clients.Client", on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
