"""The registry in the admin site: what an operator approves, activates, suspends and looks up."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from clients import lookalikes, switch_fields
from clients.admin_forms import ActivationForm, BrandForm, ClientForm, TenantForm
from clients.metadata import STATEMENTS
from clients.models import (
    WITH_SECRET,
    Activation,
    AssertionId,
    Brand,
    Client,
    InitialAccessToken,
    KeyFinding,
    KeySet,
    Tenant,
)
from clients.tenants import parse_policy
from clients.traced_admin import TracedAdmin, leave_trace
from smartauth.digests import digest, new_secret
from smartauth.readonly_admin import ReadOnlyAdmin


class ActivationInline(admin.TabularInline):
    model = Activation
    form = ActivationForm
    extra = 0
    fields = ("tenant", "is_active", "allowed_scope", "skips_consent", "activated_at")
    readonly_fields = ("activated_at",)


# Registered by the toolkit, whose settings name this class for its swapped application model.
class ClientAdmin(TracedAdmin):
    """Secrets are stored as digests and are on no page; a new one is shown once, in the answer that made it."""

    form = ClientForm
    view_on_site = False  # The toolkit names a page of its own, which is not mounted here.
    list_display = (
        *("client_id", "name", "name_check", "status", "token_endpoint_auth_method"),
        *("grants", "active_at", "created"),
    )
    list_filter = ("status", "token_endpoint_auth_method", "application_type", "is_operator_verified")
    search_fields = ("client_id", "name", "software_id")
    ordering = ("client_id",)
    readonly_fields = ("name_check", "registration_source", "created", "updated")
    raw_id_fields = ("user",)
    inlines = (ActivationInline,)
    actions = ("approve", "suspend", "activate_everywhere", "issue_new_secret")
    fieldsets = (
        (None, {"fields": ("client_id", "name", "name_check", "status", "is_operator_verified", "user")}),
        (
            "How it authenticates",
            {
                "fields": (
                    "application_type",
                    "token_endpoint_auth_method",
                    "token_endpoint_auth_signing_alg",
                    "client_jwks_uri",
                    "client_jwks",
                )
            },
        ),
        (
            "What it may ask for",
            {
                "fields": (
                    "grant_types",
                    "scope",
                    "restrictions",
                    "id_token_signed_response_alg",
                    "smart_version",
                    "require_pushed_authorization_requests",
                    "dpop_bound_access_tokens",
                    "require_dpop_nonce",
                )
            },
        ),
        ("Its URLs", {"fields": ("redirect_uris", "post_logout_redirect_uris", "launch_urls", "allowed_origins")}),
        (
            "About it",
            {
                "classes": ("collapse",),
                "fields": (
                    "kind",
                    *STATEMENTS,
                    "client_uri",
                    "logo_uri",
                    "tos_uri",
                    "policy_uri",
                    "contacts",
                    "software_id",
                    "software_version",
                    "registration_source",
                    "created",
                    "updated",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        return super().get_queryset(request).prefetch_related("activations__tenant")

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        # Partners have written the client_id down; it never changes (SMART 2.2 app-launch, "Register App with EHR").
        return (*self.readonly_fields, *(("client_id",) if obj else ()))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        if obj.token_endpoint_auth_method not in WITH_SECRET:
            obj.client_secret = obj.previous_client_secret = ""
        elif not obj.client_secret:
            obj.secret_in_clear = new_secret()
            obj.client_secret = digest(obj.secret_in_clear)
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if hasattr(obj, "secret_in_clear"):
                leave_trace(request, "secret_issued", obj)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._secret_of(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._secret_of(request, obj) or super().response_change(request, obj)

    @admin.display(description="name")
    def name_check(self, client: Client) -> str:
        """Say when people may take the name for that of another app."""
        others = Client.objects.exclude(pk=client.pk).values_list("name", flat=True)
        return lookalikes.warning(client.name, others) if client.name else ""

    @admin.display(description="grant types")
    def grants(self, client: Client) -> str:
        return ", ".join(client.grant_types)

    @admin.display(description="active at")
    def active_at(self, client: Client) -> str:
        return ", ".join(sorted(one.tenant.slug for one in client.activations.all() if one.is_active))

    @admin.action(description="Approve the selected clients", permissions=["change"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_status(request, queryset, Client.Status.APPROVED)

    @admin.action(description="Suspend the selected clients at once", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_status(request, queryset, Client.Status.SUSPENDED)

    @admin.action(description="Activate the selected clients at every tenant that knows them", permissions=["change"])
    def activate_everywhere(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        with transaction.atomic():
            rows = Activation.objects.select_for_update().filter(client__in=queryset, is_active=False)
            waiting = list(rows.select_related("client", "tenant"))
            rows.filter(pk__in=[row.pk for row in waiting]).update(is_active=True)
            leave_trace(request, "activated", *waiting)
        self.message_user(request, f"{len(waiting)} activations are active now.", messages.SUCCESS)

    @admin.action(description="Issue a new secret; the present one stays good beside it", permissions=["change"])
    def issue_new_secret(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        issued = []
        with transaction.atomic():
            for client in queryset.select_for_update().filter(token_endpoint_auth_method__in=WITH_SECRET):
                secret = new_secret()
                client.previous_client_secret, client.client_secret = client.client_secret, digest(secret)
                client.save(update_fields=["client_secret", "previous_client_secret", "updated"])
                leave_trace(request, "secret_issued", client)
                issued.append((client.client_id, secret))
        if not issued:
            self.message_user(request, "None of the selected clients authenticates with a secret.", messages.WARNING)
            return None
        return self._show_once(request, issued)

    def _set_status(self, request: HttpRequest, queryset: QuerySet[Client], status: Client.Status) -> None:
        with transaction.atomic():
            changed = list(queryset.exclude(status=status))
            Client.objects.filter(pk__in=[client.pk for client in changed]).update(status=status)
            leave_trace(request, status.value, *changed)
        for client in changed:
            if status == Client.Status.APPROVED and (why := self.name_check(client)):
                self.message_user(request, f"The name of {client.client_id} {why}.", messages.WARNING)
        self.message_user(request, f"{len(changed)} clients are {status.label.lower()} now.", messages.SUCCESS)

    def _secret_of(self, request: HttpRequest, client: Client) -> HttpResponse | None:
        secret = getattr(client, "secret_in_clear", "")
        return self._show_once(request, [(client.client_id, secret)]) if secret else None

    def _show_once(self, request: HttpRequest, issued: Sequence[tuple[str, str]]) -> HttpResponse:
        """Answer with secrets in this very page: a message would put them into a cookie or a session row first."""
        context = {**self.admin_site.each_context(request), "title": "New client secret", "issued": issued}
        page = TemplateResponse(request, "admin/clients/client/new_secret.html", context | {"opts": self.opts})
        page["Cache-Control"] = "no-store"
        return page


@admin.register(Tenant)
class TenantAdmin(TracedAdmin):
    form = TenantForm
    list_display = ("slug", "name", "is_active", "loosened", "created_at")
    list_filter = ("is_active",)
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("created_at",)
    fieldsets = ((None, {"fields": ("slug", "name", "is_active", "created_at")}), *switch_fields.fieldsets())

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("slug",) if obj else ()))  # Part of public URLs, and of tokens.

    @admin.display(description="loosened switches")
    def loosened(self, tenant: Tenant) -> str:
        try:
            return ", ".join(parse_policy(tenant.policy).weakened)
        except ValueError as why:
            return f"not a policy: {why}"


@admin.register(Brand)
class BrandAdmin(TracedAdmin):
    """How tenants present themselves. A brand is withdrawn here, and goes for good with its tenant only."""

    form = BrandForm
    list_display = ("tenant", "brand_name", "is_published", "changed_at")
    list_filter = ("is_published",)
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "details__name")
    ordering = ("tenant__slug",)
    readonly_fields = ("changed_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("tenant",) if obj else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The site asks here too before it deletes a tenant, whose brand goes along with it.
        match = request.resolver_match
        here = match is None or (match.url_name or "").startswith("clients_brand")
        return not here and super().has_delete_permission(request, obj)

    @admin.display(description="name")
    def brand_name(self, brand: Brand) -> str:
        return str(brand.details.get("name", ""))


@admin.register(Activation)
class ActivationAdmin(TracedAdmin):
    form = ActivationForm
    list_display = ("client", "tenant", "is_active", "allowed_scope", "skips_consent", "activated_at")
    list_filter = ("is_active", "skips_consent", "tenant")
    search_fields = ("client__client_id", "client__name", "tenant__slug")
    list_select_related = ("client", "tenant")
    raw_id_fields = ("client",)
    readonly_fields = ("activated_at",)
    actions = ("activate", "deactivate")

    def get_readonly_fields(self, request: HttpRequest, obj: Activation | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("client", "tenant") if obj else ()))

    @admin.action(description="Activate the selected clients", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Activation]) -> None:
        self._set_active(request, queryset, active=True)

    @admin.action(description="Deactivate the selected clients", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Activation]) -> None:
        self._set_active(request, queryset, active=False)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[Activation], *, active: bool) -> None:
        with transaction.atomic():
            changed = list(queryset.exclude(is_active=active).select_related("client", "tenant"))
            Activation.objects.filter(pk__in=[row.pk for row in changed]).update(is_active=active)
            leave_trace(request, "activated" if active else "deactivated", *changed)
        self.message_user(request, f"{len(changed)} activations changed.", messages.SUCCESS)


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

    list_display = ("client", "kind", "first_seen_at", "last_seen_at", "resolved_at", "details")
    list_select_related = ("client",)
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "kind", ("client", admin.RelatedOnlyFieldListFilter))
    search_fields = ("client__client_id",)
    ordering = ("-last_seen_at",)

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


@admin.register(InitialAccessToken)
class InitialAccessTokenAdmin(ReadOnlyAdmin, TracedAdmin):
    """Who may register clients by protocol. `create_initial_access_token` makes one; deleting it withdraws it."""

    list_display = ("__str__", "at", "expires_at", "uses_left", "created_at")
    search_fields = ("label",)
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[InitialAccessToken]:
        return super().get_queryset(request).prefetch_related("tenants")

    @admin.display(description="tenants")
    def at(self, row: InitialAccessToken) -> str:
        return ", ".join(sorted(tenant.slug for tenant in row.tenants.all()))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
