"""What is known of clients' keys, in the admin site: copies, findings and spent assertions."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from clients.key_finding_words import WORDS
from clients.key_watch import Kind
from clients.models import AssertionId, KeyFinding, KeySet
from clients.traced_admin import TracedAdmin
from smartauth.readonly_admin import ReadOnlyAdmin


@admin.register(KeySet)
class KeySetAdmin(ReadOnlyAdmin, TracedAdmin):
    """Copies of what clients publish. Deleting one is safe: no worker goes on with it, and it is fetched anew."""

    list_display = ("jwks_uri", "kids", "fetched_at", "expires_at", "attempted_at", "last_problem")
    search_fields = ("jwks_uri",)
    ordering = ("jwks_uri",)

    @admin.display(description="keys")
    def kids(self, row: KeySet) -> str:
        return ", ".join(key["kid"] for key in (row.document or {"keys": []})["keys"])

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(KeyFinding)
class KeyFindingAdmin(ReadOnlyAdmin):
    """What the watch over key sets found. It resolves its findings itself, once they are mended."""

    list_display = ("client_name", "what", "first_seen_at", "last_seen_at", "resolved_at", "details")
    list_select_related = ("client",)
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "kind", ("client", admin.RelatedOnlyFieldListFilter))
    search_fields = ("client__client_id",)
    ordering = ("-last_seen_at",)

    readonly_fields = ("what", "what_it_means", "what_to_do")

    @admin.display(description="client", ordering="client__name")
    def client_name(self, row: KeyFinding) -> str:
        return row.client.name or row.client.client_id

    @admin.display(description="what", ordering="kind")
    def what(self, row: KeyFinding) -> str:
        """Say it in words, with the kind that the log names."""
        return f"{WORDS[Kind(row.kind)].title} ({row.kind})"

    @admin.display(description="What it means")
    def what_it_means(self, row: KeyFinding) -> str:
        return WORDS[Kind(row.kind)].explanation

    @admin.display(description="What the partner does")
    def what_to_do(self, row: KeyFinding) -> str:
        return WORDS[Kind(row.kind)].fix

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The site asks here too before it deletes a client, whose findings go along with it.
        match = request.resolver_match
        return match is not None and "keyfinding" not in (match.url_name or "")


@admin.register(AssertionId)
class AssertionIdAdmin(ReadOnlyAdmin):
    """Spent assertion ids. Deleting one would let the assertion be used again, so nobody does it here."""

    list_display = ("client", "jti_digest", "expires_at")
    list_select_related = ("client",)
    search_fields = ("client__client_id", "jti_digest")
    ordering = ("-expires_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The site asks here too before it deletes a client, whose ids may go along with it.
        match = request.resolver_match
        return match is not None and "assertionid" not in (match.url_name or "")
