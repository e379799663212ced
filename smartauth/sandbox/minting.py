"""Access tokens with exactly the claims somebody wants, past every check of issuance.

The proxy must hold against any token, also one that a bug or a thief made; this makes them. The rows are of a kind that
counts in sandbox mode only.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from clients.models import Client, Tenant
from smartauth import endpoints
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import User
from smartauth.tokens.issuing import sign

LIFETIME = timedelta(seconds=3600)
# Members that say which rows the token belongs to, and are not claims themselves.
SHORT_FORMS = {"client": "client_id", "scopes": "scope"}


def mint(wanted: dict[str, Any], *, user: str | None, now: datetime) -> str:
    """Issue an access token with the members of `wanted`, in introspection's names, and return it.

    `tenant` is the slug it belongs to; `client` and `scopes` are short for `client_id` and `scope`. A member that is
    absent or null stays absent, an empty one stays empty; only `exp` has a default. `aud` follows from `tenant` when it
    is not among the members at all. `user` is a user name.
    """
    claims = {name: value for name, value in wanted.items() if value is not None}
    if isinstance(claims.get("scopes"), list):
        claims["scopes"] = " ".join(map(str, claims["scopes"]))
    for short, long in SHORT_FORMS.items():
        if short in claims:
            claims.setdefault(long, claims.pop(short))
            claims.pop(short, None)
    slug = claims.pop("tenant", None)
    if isinstance(slug, str) and "aud" not in wanted:
        claims["aud"] = endpoints.fhir_base(slug)
    claims.setdefault("exp", int((now + LIFETIME).timestamp()))
    token = sign(claims | {"iat": int(now.timestamp()), "jti": digest(f"{now} {claims}")[:22]}, now)
    with transaction.atomic():
        client = Client.objects.filter(client_id=_text(claims.get("client_id"))).first()
        authorization = Authorization.objects.create(
            kind=Authorization.Kind.MINTED,
            client=client,
            tenant=_tenant(slug, claims.get("aud")),
            user=User.objects.get(username=user) if user else None,
        )
        AccessToken.objects.create(
            application=client,
            authorization=authorization,
            token_checksum=digest(token),
            expires=_expiry(claims["exp"], now),
            scope=_text(claims.get("scope")),
            claims=_storable(claims),
        )
    return token


def _storable(value: Any) -> Any:
    """Return a claim as the database can keep it: what no text column takes becomes what no id contains."""
    match value:
        case str():
            return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
        case list():
            return [_storable(one) for one in value]
        case dict():
            return {_storable(name): _storable(one) for name, one in value.items()}
    return value


def _tenant(slug: object, audience: object) -> Tenant | None:
    if slug is None and isinstance(audience, str):
        slug = endpoints.tenant_of_fhir_base(audience)
    return Tenant.objects.filter(slug=slug).first() if isinstance(slug, str) else None


def _text(value: object) -> str:
    return str(_storable(value)) if isinstance(value, str) else ""


def _expiry(value: object, now: datetime) -> datetime:
    """Return the moment `exp` names; a claim that names none has already passed."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=now.tzinfo)
    except (ValueError, OverflowError, OSError):
        pass
    return now - LIFETIME
