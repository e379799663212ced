"""Upstreams in the admin. The secret goes in and never comes out."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from fhirproxy.models import BulkJob, Upstream
from fhirproxy.tenancy import UnusableUpstream, require_file_host, require_usable, seal_secret
from smartauth.readonly_admin import ReadOnlyAdmin


class UpstreamForm(forms.ModelForm):
    """Holds a new secret for as long as it takes to seal it."""

    secret = forms.CharField(
        required=False,
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="A bearer token, or user:password. Empty keeps what is stored.",
    )

    class Meta:
        model = Upstream
        fields = ("tenant", "base_url", "aliases", "file_hosts", "credential", "secret", "timeout_seconds")

    def clean_base_url(self) -> str:
        return _usable(self.cleaned_data["base_url"])

    def clean_aliases(self) -> list[str]:
        return [_usable(url) for url in self.cleaned_data["aliases"] or []]

    def clean_file_hosts(self) -> list[str]:
        try:
            return [require_file_host(url) for url in self.cleaned_data["file_hosts"] or []]
        except UnusableUpstream as why:
            raise forms.ValidationError(str(why)) from None

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        credential, secret = values.get("credential"), values.get("secret")
        if credential == Upstream.Credential.NONE:
            self.instance.sealed_secret = ""
        elif secret:
            self.instance.sealed_secret = _sealed(credential, secret)
        elif not self.instance.sealed_secret:
            self.add_error("secret", "This kind of credential needs a secret.")
        elif "credential" in self.changed_data:
            self.add_error("secret", "Another kind of credential needs its own secret.")
        return values


def _usable(url: str) -> str:
    try:
        return require_usable(url)
    except UnusableUpstream as why:
        raise forms.ValidationError(str(why)) from None


def _sealed(credential: str | None, secret: str) -> str:
    if credential == Upstream.Credential.BASIC and ":" not in secret:
        raise forms.ValidationError({"secret": "Write user and password with a colon between them."})
    try:
        return seal_secret(secret)
    except UnusableUpstream as why:
        raise forms.ValidationError({"secret": str(why)}) from None


@admin.register(Upstream)
class UpstreamAdmin(admin.ModelAdmin):
    """Where each tenant's FHIR server is."""

    form = UpstreamForm
    list_display = ("tenant", "base_url", "credential", "timeout_seconds", "created_at")
    search_fields = ("tenant__slug", "base_url")

    def get_readonly_fields(self, request: HttpRequest, obj: Upstream | None = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()


@admin.register(BulkJob)
class BulkJobAdmin(ReadOnlyAdmin):
    """Which exports clients have started. Where the files are is not shown."""

    list_display = ("id", "tenant", "client_id", "level", "group", "created_at", "completed_at", "cancelled_at")
    list_filter = ("tenant", "level")
    search_fields = ("id", "client_id", "group")
