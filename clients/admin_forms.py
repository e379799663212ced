"""Forms of the admin site: an operator's edit obeys the same rules as registration, and says so beside the field."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from clients import switch_fields
from clients.brand_details import stored
from clients.brands import read_brand
from clients.metadata import GRANT_TYPES, OPERATORS_OWN, ClientMetadata, InvalidClientMetadata
from clients.models import AuthMethod, Brand, Client, Tenant
from clients.registration import SAME_NAME, URL_LISTS, new_client_id, require_unspent
from smartauth import slugs
from smartauth.errors import InvalidScope
from smartauth.policy.scopes import parse_scope, split_scope

FIELD_OF_MEMBER = {"client_name": "name", "jwks": "client_jwks", "jwks_uri": "client_jwks_uri"}


class WordsField(forms.CharField):
    """Text that is a list: one a line for people, separated by blanks in the database."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 90, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value.split()) if isinstance(value, str) else value

    def to_python(self, value: Any) -> str:
        return " ".join((super().to_python(value) or "").split())


def require_readable(text: str) -> str:
    """Return scope text. Raises ValidationError, naming the scope that cannot be read."""
    for scope in split_scope(text):
        try:
            parse_scope(scope)
        except InvalidScope as error:
            raise ValidationError(f"{scope}: {error.refusal.reason}.") from error
    return text


class SeenField(forms.CharField):
    """When the row was last changed, as the page showed it: sent along, and no change itself."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class ClientForm(forms.ModelForm):
    """Every member is judged together by `ClientMetadata`, so that no edit makes a client registration would refuse."""

    client_id = forms.CharField(required=False, help_text="Left empty, one is made. It never changes afterwards.")
    grant_types = forms.MultipleChoiceField(
        choices=[(name, name) for name in GRANT_TYPES], widget=forms.CheckboxSelectMultiple
    )
    scope = WordsField(required=False, help_text="The most this client may ever be granted, one scope a line.")
    redirect_uris = WordsField(required=False, help_text="Complete URLs, one a line.")
    post_logout_redirect_uris = WordsField(required=False, help_text="Complete URLs, one a line.")
    launch_urls = WordsField(required=False, help_text="Complete URLs, one a line.")
    allowed_origins = WordsField(required=False, help_text="scheme://host[:port], one a line.")
    seen = SeenField(required=False, widget=forms.HiddenInput, label="")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = self.instance.updated.isoformat()

    class Meta:
        model = Client
        fields = "__all__"
        help_texts = {
            "restrictions": "What it reaches at most: patients, groups and operator_types are arrays; panel: true "
            "binds clinicians to their panel; proxy_relations: false lets people act for themselves alone."
        }
        widgets = {
            name: forms.TextInput(attrs={"size": 90})
            for name in ("client_jwks_uri", "client_uri", "logo_uri", "tos_uri", "policy_uri")
        }

    def clean_client_id(self) -> str:
        client_id: str = self.cleaned_data["client_id"]
        try:
            require_unspent(client_id)
        except InvalidClientMetadata as error:
            raise ValidationError(error.why) from error
        return client_id or new_client_id()

    def clean_restrictions(self) -> dict[str, Any]:
        return self.cleaned_data["restrictions"] or {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        seen = cleaned.pop("seen", "")
        if seen and seen != self.initial.get("seen"):
            raise ValidationError(
                "Somebody changed this client since you opened the page, so nothing was saved. What you typed is still "
                "here: open the client in another window, compare, and enter it again there."
            )
        if self.errors:
            return cleaned
        try:
            checked = ClientMetadata.from_json(self._as_metadata(cleaned), operator=True)
        except InvalidClientMetadata as error:
            name = FIELD_OF_MEMBER.get(error.member, error.member)
            seen = f" (found: {error.refusal.seen})" if error.refusal.seen else ""
            raise ValidationError({name if name in self.fields else "__all__": f"{error.why}{seen}"}) from error
        # What follows from other members has no field of its own.
        public = checked.token_endpoint_auth_method == AuthMethod.NONE
        self.instance.client_type = Client.CLIENT_PUBLIC if public else Client.CLIENT_CONFIDENTIAL
        self.instance.response_types = list(checked.response_types)
        cleaned["scope"] = checked.scope
        return cleaned

    def _as_metadata(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        return {
            "client_id": cleaned.get("client_id") or self.instance.client_id,
            "client_name": cleaned["name"],
            "jwks": cleaned["client_jwks"],
            "jwks_uri": cleaned["client_jwks_uri"],
            **{name: cleaned[name] for name in OPERATORS_OWN},
            "grant_types": cleaned["grant_types"],
            "contacts": cleaned["contacts"] or [],
            **{name: cleaned[name] for name in SAME_NAME},
            **{name: cleaned[name].split() for name in URL_LISTS},
        }


class BrandForm(forms.ModelForm):
    """What is published has no field for each member, since most are lists; what is wrong is named by its place."""

    class Meta:
        model = Brand
        fields = ("tenant", "is_published", "details")
        widgets = {"details": forms.Textarea(attrs={"rows": 40, "cols": 100, "spellcheck": "false"})}

    def clean_details(self) -> dict[str, object]:
        try:
            return stored(read_brand(self.cleaned_data["details"]))
        except ValueError as why:
            raise ValidationError(f"{why}.") from why


class _TenantForm(forms.ModelForm):
    """A tenant's slug is part of public URLs; its policy is edited switch by switch."""

    class Meta:
        model = Tenant
        exclude = ("policy",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policy = self.instance.policy or {}
        self.initial = {**switch_fields.initial(policy), **self.initial}
        switch_fields.mark_weakened(self.fields, policy)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slugs.TENANT_SLUG.fullmatch(slug) is None:
            raise ValidationError("A slug is 1 to 32 lower-case letters, digits and hyphens, not a hyphen first.")
        if slug in slugs.RESERVED_SLUGS:
            raise ValidationError("This word is part of other URLs of this server.")
        return slug

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.instance.policy = switch_fields.policy_from(cleaned)
        return cleaned


# A form's metaclass collects fields from the class body only, and here they come from the policy's definition.
TenantForm = type("TenantForm", (_TenantForm,), {"__module__": __name__, **switch_fields.switch_fields()})
