"""Clients in the admin site: found, looked at, and their members edited under the rules of registration."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse

from clients import client_secrets
from clients.acting import is_own, operator
from clients.admin_forms import ClientForm
from clients.administration.at_tenant import at_tenant
from clients.administration.client_page import client_page
from clients.administration.key_look import look_at_keys
from clients.administration.queue import queue
from clients.administration.review import review
from clients.administration.secrets import secret, show_once
from clients.administration.steps import step
from clients.lifecycle import take_step
from clients.metadata import STATEMENTS
from clients.models import WITH_SECRET, Client
from clients.risk_hints import Neighbours
from clients.traced_admin import TracedAdmin, leave_trace
from smartauth.administration.pages import routes
from smartauth.context import context_of


class ClientList(ChangeList):
    """The list, whose rows lead to everything known about a client and not to the form of its members."""

    def get_results(self, request: HttpRequest) -> None:
        """Read every name once, and not anew for each row."""
        super().get_results(request)
        neighbours = Neighbours.load()
        for client in self.result_list:
            client.name_warning = neighbours.name_warning(client.pk, client.name)

    def url_for_result(self, result: Client) -> str:
        """Return the page of a client."""
        return reverse("admin:clients_client_page", args=[result.pk])


# Registered by the toolkit, whose settings name this class for its swapped application model.
class ClientAdmin(TracedAdmin):
    """Secrets are stored as digests and are on no page; a new one is shown once, in the answer that made it."""

    form = ClientForm
    view_on_site = False  # The toolkit names a page of its own, which is not mounted here.
    list_display = (
        *("shown_name", "client_id", "status", "publisher", "name_check", "active_at"),
        *("token_endpoint_auth_method", "created"),
    )
    list_filter = ("status", "kind", "token_endpoint_auth_method", "is_operator_verified", "activations__tenant")
    search_fields = ("client_id", "name", "publisher", "software_id", "user__username")
    search_help_text = "A client id, a name, a publisher, or the user name of an owner"
    ordering = ("client_id",)
    readonly_fields = ("name_check", "status", "registration_source", "created", "updated")
    raw_id_fields = ("user",)
    fieldsets = (
        (None, {"fields": ("client_id", "name", "name_check", "status", "is_operator_verified", "user", "seen")}),
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
                    "access_token_lifetime",
                    "refresh_token_days",
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

    def get_urls(self) -> list[URLPattern]:
        pages = (
            ("review/", queue, "clients_review_queue"),
            ("<int:pk>/", client_page, "clients_client_page"),
            ("<int:pk>/review/", review, "clients_client_review"),
            ("<int:pk>/at/<tenant:slug>/", at_tenant, "clients_client_at"),
            ("<int:pk>/keys/", look_at_keys, "clients_client_keys"),
            ("<int:pk>/secret/", secret, "clients_client_secret"),
            ("<int:pk>/step/<slug:name>/", step, "clients_client_step"),
        )
        return [*routes(self.admin_site, pages), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ClientList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        return super().get_queryset(request).prefetch_related("activations__tenant")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Client | None:
        found: Client | None = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST":
            # Held until it is saved, so that of two who save at once the second is told (the form compares `updated`).
            Client.objects.select_for_update(no_key=True).get(pk=found.pk)
            found.refresh_from_db()
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        # Partners have written the client_id down; it never changes (SMART 2.2 app-launch, "Register App with EHR").
        return (*self.readonly_fields, *(("client_id",) if obj else ()))

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        if obj.token_endpoint_auth_method not in WITH_SECRET:
            client_secrets.forget_secrets(obj)
        elif not obj.client_secret:
            obj.secret_in_clear = client_secrets.give_secret(obj, expires_at=None)
        if not change:
            obj.status = Client.Status.SUBMITTED
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not change and is_own(request.user.pk, obj.user_id):
                messages.warning(request, "It is an app of yours, so somebody else approves it.")
            elif not change:  # Whoever adds it vouches for it; the step says so where its owner reads it.
                by = operator(request.user.pk)
                obj.status = take_step(obj.client_id, "approved", by=by, context=context_of(request)).status
            if hasattr(obj, "secret_in_clear"):
                leave_trace(request, "secret_issued", obj)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._secret_of(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._secret_of(request, obj) or super().response_change(request, obj)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:clients_client_page", args=[obj.pk]))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A client_id is never given again (SMART 2.2 app-launch, "Register App with EHR"), so its row stays: retire it.
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Editing goes past every review, so nobody edits what is theirs.
        return bool(super().has_change_permission(request, obj)) and not (obj and is_own(request.user.pk, obj.user_id))

    @admin.display(description="look at the name")
    def name_check(self, client: Client) -> str:
        """Say when people may take the name for that of another app."""
        if not hasattr(client, "name_warning"):
            client.name_warning = Neighbours.load().name_warning(client.pk, client.name)
        return str(client.name_warning)

    @admin.display(description="name", ordering="name")
    def shown_name(self, client: Client) -> str:
        return client.name or client.client_id

    @admin.display(description="active at")
    def active_at(self, client: Client) -> str:
        return ", ".join(sorted(one.tenant.slug for one in client.activations.all() if one.is_active))

    def _secret_of(self, request: HttpRequest, client: Client) -> HttpResponse | None:
        secret = getattr(client, "secret_in_clear", "")
        return show_once(request, client, secret) if secret else None
