"""Upstreams in the admin, where the secret goes in and never comes out, and the simulator of requests."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clients.traced_admin import Subject, TracedAdmin
from fhirproxy.models import AppStateTrust, BulkJob, Upstream
from fhirproxy.policy.app_state import UNASKABLE
from fhirproxy.simulating import Question, answer
from fhirproxy.simulation_text import as_lines
from fhirproxy.tenancy import UnusableUpstream, require_file_host, require_usable, seal_secret
from smartauth.conf import config
from smartauth.readonly_admin import ReadOnlyAdmin
from smartauth.tokens.hypothetical import Unimaginable


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


class SimulationForm(forms.Form):
    """Whose token, and which request."""

    client = forms.CharField(label="Client id")
    tenant = forms.CharField()
    user = forms.CharField(required=False, label="User name", help_text="Who would be signed in; empty for nobody.")
    patient = forms.CharField(required=False, help_text="Logical id of the patient in context.")
    scope = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 90, "spellcheck": "false"}),
        help_text="As granted. Empty: all the client may have.",
    )
    reach = forms.CharField(
        required=False,
        help_text="Patients that Groups, relatives and panels read upstream would give: logical ids, with commas.",
    )
    line = forms.CharField(
        label="Request",
        widget=forms.TextInput(attrs={"size": 90, "spellcheck": "false"}),
        help_text="Method and path below the FHIR base: GET Observation?code=718-7",
    )

    def question(self) -> Question:
        """Return what a filled-in form asks."""
        values = self.cleaned_data
        return Question(
            client_id=values["client"],
            tenant=values["tenant"],
            line=values["line"],
            username=values["user"],
            patient=values["patient"],
            scope=" ".join(values["scope"].split()),
            reach=tuple(one.strip() for one in values["reach"].split(",") if one.strip()),
        )


@admin.register(Upstream)
class UpstreamAdmin(admin.ModelAdmin):
    """Where each tenant's FHIR server is."""

    form = UpstreamForm
    change_list_template = "admin/fhirproxy/upstream/change_list.html"
    list_display = ("tenant", "base_url", "credential", "timeout_seconds", "created_at")
    search_fields = ("tenant__slug", "base_url")

    def get_urls(self) -> list[URLPattern]:
        simulate = self.admin_site.admin_view(self.simulate)
        return [path("simulate/", simulate, name="fhirproxy_simulate"), *super().get_urls()]

    def simulate(self, request: HttpRequest) -> HttpResponse:
        """Say what the proxy would decide about a request. Nothing is sent and nothing stored, so a look will do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = SimulationForm(request.POST or None, initial={"tenant": config().default_tenant, "line": "GET "})
        lines: list[str] = []
        if form.is_valid():
            try:
                lines = list(as_lines(answer(form.question(), now=timezone.now())))
            except Unimaginable as why:
                form.add_error(None, str(why))
        context = {**self.admin_site.each_context(request), "title": "Simulate a request", "form": form, "lines": lines}
        context["trail"] = (("Upstreams", reverse("admin:fhirproxy_upstream_changelist")),)
        page = TemplateResponse(request, "admin/fhirproxy/upstream/simulate.html", context)
        page["Cache-Control"] = "no-store"
        return page

    def get_readonly_fields(self, request: HttpRequest, obj: Upstream | None = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()


@admin.register(BulkJob)
class BulkJobAdmin(ReadOnlyAdmin):
    """Which exports clients have started. Where the files are is not shown."""

    list_display = ("id", "tenant", "client_id", "level", "group", "created_at", "completed_at", "cancelled_at")
    list_filter = ("tenant", "level")
    search_fields = ("id", "client_id", "group")


class AppStateTrustForm(forms.ModelForm):
    """Which state codes a client may use beside its own, as lists to tick."""

    queries = forms.MultipleChoiceField(
        choices=AppStateTrust.Kind.choices, required=False, widget=forms.CheckboxSelectMultiple
    )
    modifies = forms.MultipleChoiceField(
        choices=AppStateTrust.Kind.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="About nobody: for administrative apps alone, everybody reads what they write.",
    )

    class Meta:
        model = AppStateTrust
        fields = ("tenant", "client", "system", "code", "queries", "modifies")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        for name in ("system", "code"):
            if UNASKABLE.search(values.get(name) or ""):
                self.add_error(name, "Write it without blanks, commas, bars and backslashes: no state has such a one.")
        if not (values.get("queries") or values.get("modifies")):
            self.add_error("queries", "Tick something here or below: without it the row says nothing.")
        return values


@admin.register(AppStateTrust)
class AppStateTrustAdmin(TracedAdmin):
    """Who may use state codes of others. What is kept under them is not shown."""

    form = AppStateTrustForm
    list_display = ("client", "tenant", "system", "code", "queries", "modifies")
    list_filter = ("tenant",)
    search_fields = ("client__client_id", "system", "code")

    @staticmethod
    def subject(row: AppStateTrust) -> Subject:
        return Subject("app_state_trust", client_id=row.client.client_id, tenant=row.tenant.slug)
