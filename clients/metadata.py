"""The rules of client metadata: defaults, what each value may be, and how values go together.

Source: RFC 7591 §2 and §5; OIDC Registration §2; RFC 9700 §2; SMART 2.2 app-launch, "Register App with EHR", and
backend-services.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from authlib.oauth2.rfc7591 import ClientMetadataClaims
from joserfc.errors import JoseError
from rest_framework.exceptions import ValidationError

from clients.jwks_fetch import require_fetchable
from clients.jwks_rules import UnusableJwks, require_registrable, shown
from clients.lifetimes import lifetime_problem
from clients.metadata_fixes import FIXES
from clients.models import AuthMethod, Client
from clients.private_keys import holds_private_key
from clients.registered import CLIENT_ID
from clients.serializers import ClientMetadataSerializer, first_problem
from clients.uri_rules import launch_url_problem, origin_problem, redirect_uri_problem, web_url_problem
from smartauth.conf import config
from smartauth.errors import InvalidScope, OAuthError, Refusal
from smartauth.policy import r4
from smartauth.policy.scopes import parse_scope, split_scope

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
ID_TOKEN_ALGORITHMS = ("RS256", "ES256")
# What the people who make an app say of it, and people read who are asked for consent.
STATEMENTS = ("publisher", "purpose", "intended_users", "funding", "data_sharing", "data_deletion")
# What only an operator sets, and nothing a client sends ever changes.
OPERATORS_OWN = ("restrictions", "access_token_lifetime", "refresh_token_days")
PAGES = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
# Control characters, and those that change the direction of what follows: a name must look like what it is.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
RESTRICTED_LISTS = ("patients", "groups", "operator_types")
RESTRICTED_SWITCHES = ("panel", "proxy_relations")
RESTRICTIONS = (*RESTRICTED_LISTS, *RESTRICTED_SWITCHES)


class InvalidClientMetadata(OAuthError):
    """A member of the metadata is not acceptable (RFC 7591 §3.2.2). `member` names it."""

    code = "invalid_client_metadata"
    default_description = "A member of the client metadata is not acceptable"

    def __init__(self, member: str, why: str, *, seen: str = "", fix: str = "") -> None:
        super().__init__(
            Refusal(
                f"registration.{member}",
                f"{member} is not acceptable: {why}",
                seen=seen,
                fix=fix or FIXES.get(member, ""),
            ),
            f"{member} is not acceptable",
        )
        self.member = member
        self.why = why


class InvalidRedirectUri(InvalidClientMetadata):
    """A redirect URI is not acceptable (RFC 7591 §3.2.2)."""

    code = "invalid_redirect_uri"


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """Metadata with every rule applied and every default filled in. Names are those of RFC 7591."""

    client_id: str = ""
    client_name: str = ""
    token_endpoint_auth_method: str = AuthMethod.BASIC
    token_endpoint_auth_signing_alg: str = ""
    id_token_signed_response_alg: str = "RS256"
    application_type: str = Client.ApplicationType.WEB
    smart_version: str = Client.SmartVersion.V2_2
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ("code",)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    scope: str = ""
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str = ""
    client_uri: str = ""
    logo_uri: str = ""
    tos_uri: str = ""
    policy_uri: str = ""
    publisher: str = ""
    purpose: str = ""
    intended_users: str = ""
    funding: str = ""
    data_sharing: str = ""
    data_deletion: str = ""
    contacts: tuple[str, ...] = ()
    software_id: str = ""
    software_version: str = ""
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    require_dpop_nonce: bool = False
    launch_urls: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    restrictions: Mapping[str, Any] = field(default_factory=dict)
    access_token_lifetime: int | None = None  # seconds
    refresh_token_days: int | None = None

    @classmethod
    def from_json(cls, metadata: object, *, operator: bool) -> Self:
        """Validate client metadata as a partner or an operator wrote it. `null` is absent, as the standard has it.

        An operator's `client_id` and what only operators set count and each scope must be readable; anybody else's are
        left out. Raises InvalidClientMetadata or InvalidRedirectUri for the first member that is not acceptable.
        """
        values = _typed(metadata)
        if not operator:
            for name in ("client_id", *OPERATORS_OWN):
                values.pop(name, None)
        _refuse_private_keys(values)
        return cls(**_with_defaults(values, operator=operator)).checked()

    def checked(self) -> Self:
        """Return self when every rule holds. Raises InvalidClientMetadata or InvalidRedirectUri."""
        _check_choices(self)
        _check_grants(self)
        _check_keys(self)
        _check_urls(self)
        _check_restrictions(self.restrictions)
        _check_lifetimes(self)
        return self

    @property
    def is_native(self) -> bool:
        return self.application_type == Client.ApplicationType.NATIVE


def _typed(metadata: object) -> dict[str, Any]:
    if not isinstance(metadata, dict):
        raise InvalidClientMetadata("metadata", "it must be a JSON object")
    serializer = ClientMetadataSerializer(data={name: value for name, value in metadata.items() if value is not None})
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        raise InvalidClientMetadata(*first_problem(error.detail)) from None
    except RecursionError:
        raise InvalidClientMetadata("metadata", "it is nested too deeply") from None
    return dict(serializer.validated_data)


def _refuse_private_keys(values: Mapping[str, Any]) -> None:
    """What was pasted into the wrong member would be stored, and shown to people. Key sets have rules of their own."""
    for name, value in values.items():
        if name != "jwks" and holds_private_key(value):
            fix = "Leave it out, and never use this key again: make a new pair."
            raise InvalidClientMetadata(name, "the private part of a key is in it", fix=fix)


def _with_defaults(values: dict[str, Any], *, operator: bool) -> dict[str, Any]:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    login_uri = values.pop("initiate_login_uri", "")
    if login_uri:  # OIDC's word for the same thing: where somebody else starts a sign-in at this client.
        values["launch_urls"] = tuple(dict.fromkeys((*values.get("launch_urls", ()), login_uri)))
    # A blank value stands for an absent one, so that the default is what counts.
    for name in ("token_endpoint_auth_method", "id_token_signed_response_alg", "application_type", "smart_version"):
        if not values.get(name):
            values.pop(name, None)
    grant_types = values.setdefault("grant_types", ("authorization_code",))
    values.setdefault("response_types", ("code",) if "authorization_code" in grant_types else ())
    values["scope"] = _readable_scope(values.get("scope", ""), operator=operator)
    return values


def _readable_scope(text: str, *, operator: bool) -> str:
    kept = []
    for scope in split_scope(text):
        try:
            parse_scope(scope)
        except InvalidScope as error:
            if operator:
                raise InvalidClientMetadata(
                    "scope", error.refusal.reason, seen=shown(scope), fix="Correct the scope or leave it out."
                ) from None
            continue
        kept.append(scope)
    return " ".join(kept)


def _check_choices(metadata: ClientMetadata) -> None:
    if metadata.client_id and CLIENT_ID.fullmatch(metadata.client_id) is None:
        raise InvalidClientMetadata(
            "client_id", "it must be 1 to 255 letters, digits and -._~ only", seen=shown(metadata.client_id)
        )
    for member in ("client_name", *STATEMENTS):
        if UNSHOWABLE.search(getattr(metadata, member)):
            raise InvalidClientMetadata(member, "it has a character that hides or turns around what is shown")
    for member, value, allowed in (
        ("token_endpoint_auth_method", metadata.token_endpoint_auth_method, tuple(AuthMethod.values)),
        ("application_type", metadata.application_type, tuple(Client.ApplicationType.values)),
        ("smart_version", metadata.smart_version, tuple(Client.SmartVersion.values)),
        ("id_token_signed_response_alg", metadata.id_token_signed_response_alg, ID_TOKEN_ALGORITHMS),
        ("token_endpoint_auth_signing_alg", metadata.token_endpoint_auth_signing_alg, _signing_algorithms(metadata)),
    ):
        if value not in allowed:
            raise InvalidClientMetadata(
                member,
                f"it must be one of {', '.join(filter(None, allowed))}"
                if any(allowed)
                else "it is only for private_key_jwt",
                seen=shown(value),
            )


def _signing_algorithms(metadata: ClientMetadata) -> tuple[str, ...]:
    with_keys = metadata.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT
    return ("", *config().assertion_algorithms) if with_keys else ("",)


def _check_grants(metadata: ClientMetadata) -> None:
    unknown = [one for one in metadata.grant_types if one not in GRANT_TYPES]
    if unknown or not metadata.grant_types:
        raise InvalidClientMetadata(
            "grant_types", f"each must be one of {', '.join(GRANT_TYPES)}", seen=shown(", ".join(unknown))
        )
    redirects = "authorization_code" in metadata.grant_types
    if metadata.response_types != (("code",) if redirects else ()):
        raise InvalidClientMetadata(
            "response_types",
            "it must be code for authorization_code, and empty without it",
            seen=shown(" ".join(metadata.response_types)),
        )
    if metadata.require_pushed_authorization_requests and not redirects:
        raise InvalidClientMetadata(
            "require_pushed_authorization_requests", "without authorization_code there is nothing to push"
        )
    if metadata.require_dpop_nonce and not metadata.dpop_bound_access_tokens:
        raise InvalidClientMetadata("require_dpop_nonce", "it is only for dpop_bound_access_tokens")
    if "refresh_token" in metadata.grant_types and not redirects:
        raise InvalidClientMetadata("grant_types", "refresh_token is only given together with authorization_code")
    with_keys = metadata.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT
    if "client_credentials" in metadata.grant_types and not with_keys:
        raise InvalidClientMetadata(
            "token_endpoint_auth_method",
            "client_credentials needs private_key_jwt",
            seen=metadata.token_endpoint_auth_method,
            fix="Register a key set and private_key_jwt.",
        )


def _check_keys(metadata: ClientMetadata) -> None:
    if metadata.jwks is not None and metadata.jwks_uri:
        raise InvalidClientMetadata("jwks", "jwks and jwks_uri exclude each other", fix="Keep jwks_uri.")
    with_keys = metadata.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT
    if with_keys and metadata.jwks is None and not metadata.jwks_uri:
        raise InvalidClientMetadata("jwks_uri", "private_key_jwt needs jwks_uri or jwks")
    try:
        if metadata.jwks is not None:
            require_registrable(metadata.jwks)
            ClientMetadataClaims({"jwks": dict(metadata.jwks)}, {}).validate_jwks()
    except UnusableJwks as problem:  # A ValueError too, so it goes first.
        raise InvalidClientMetadata("jwks", problem.reason, seen=problem.seen, fix=problem.fix) from None
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidClientMetadata("jwks", "it is not a JWK Set that can be read") from None
    try:
        if metadata.jwks_uri:
            require_fetchable(metadata.jwks_uri)
    except UnusableJwks as problem:
        raise InvalidClientMetadata("jwks_uri", problem.reason, seen=problem.seen, fix=problem.fix) from None


def _check_urls(metadata: ClientMetadata) -> None:
    sandbox = config().is_sandbox
    if "authorization_code" in metadata.grant_types and not metadata.redirect_uris:
        raise InvalidRedirectUri("redirect_uris", "an app that people sign in to needs at least one")
    for member in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(metadata, member):
            problem = redirect_uri_problem(uri, native=metadata.is_native, sandbox=sandbox)
            if problem:
                error = InvalidRedirectUri if member == "redirect_uris" else InvalidClientMetadata
                raise error(member, problem, seen=shown(uri))
    for url in metadata.launch_urls:
        _refuse(launch_url_problem(url, http_on_loopback=sandbox), "launch_urls", url)
    for member in PAGES:
        url = getattr(metadata, member)
        if url:
            _refuse(web_url_problem(url, http_on_loopback=sandbox), member, url)
    for origin in metadata.allowed_origins:
        _refuse(origin_problem(origin, http_on_loopback=sandbox or metadata.is_native), "allowed_origins", origin)


def _refuse(problem: str, member: str, url: str) -> None:
    if problem:
        raise InvalidClientMetadata(member, problem, seen=shown(url))


def _check_restrictions(restrictions: Mapping[str, Any]) -> None:
    """A misspelt member would lift the restriction it was meant to make, so every name and value is known."""
    unknown = sorted(set(restrictions) - set(RESTRICTIONS))
    if unknown:
        raise InvalidClientMetadata(
            "restrictions", f"it may have the members {', '.join(RESTRICTIONS)} only", seen=shown(unknown[0])
        )
    for member in RESTRICTED_SWITCHES:
        if not isinstance(restrictions.get(member), bool | None):
            raise InvalidClientMetadata("restrictions", f"{member} must be true or false")
    for member in RESTRICTED_LISTS:
        values = restrictions.get(member)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise InvalidClientMetadata("restrictions", f"{member} must be an array of strings")
        for value in values:
            if member == "operator_types":
                known = r4.is_resource_type(value) and r4.memberships()[value].cls == "operator"
                wanted = "a resource type whose reading takes an operator's leave"
            else:
                known, wanted = LOGICAL_ID.fullmatch(value) is not None, "a logical id, without the resource type"
            if not known:
                raise InvalidClientMetadata(
                    "restrictions", f"{member} has a value that is not {wanted}", seen=shown(value)
                )


def _check_lifetimes(metadata: ClientMetadata) -> None:
    is_service = "authorization_code" not in metadata.grant_types
    problem = lifetime_problem(metadata.access_token_lifetime, metadata.refresh_token_days, is_service=is_service)
    if problem:
        member, why = problem
        raise InvalidClientMetadata(member, why, seen=str(getattr(metadata, member)))
