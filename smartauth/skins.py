"""Whose look a page wears: a tenant's where the page is about that tenant, and ours everywhere else.

It follows from where the page is, never from who asks: for pages of an authorization request from the request itself,
for pages about the session from the page of ours that they lead back to.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from django.http import HttpRequest
from django.utils import translation

from clients.skins import LANGUAGES, Logo, Skin
from clients.tenants import TenantInfo, find_tenant
from smartauth import pending
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.models import RefusedAuthorization

AHEAD = re.compile(r"/auth/(?P<what>consent|refused)/(?P<pk>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/.*)?")


@dataclass(frozen=True, slots=True)
class Said:
    """Something a tenant says. `lang`: its language where that is not the page's, else ""."""

    text: str
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Worn:
    """A skin as templates show it. `place` and `host`: the tenant as it is registered, and the server that is at work.

    The last two are no part of the skin, so a tenant cannot hide who runs the page by what it calls itself.
    """

    name: str
    logo: Logo | None
    stylesheet: str  # a path, "" for our own colours
    said: Mapping[str, Said]
    place: str
    host: str


def skin_of(request: HttpRequest) -> Worn | None:
    """Return what the page that answers a request wears, None for our own look.

    A tenant that is known costs nothing: its skin is remembered with it. Pages about the session cost one statement
    where they lead back to an authorization request.
    """
    if request.path_info.startswith("/auth/"):
        match = request.resolver_match
        return at_tenant(context_of(request).tenant or (match.kwargs.get("tenant") if match else "") or "")
    if request.path_info.startswith("/account/"):
        return at_tenant(_tenant_ahead(_leads_to(request)))
    return None


def at_tenant(slug: str) -> Worn | None:
    """Return the skin of an active tenant in the language of the page, None for a tenant without one, or no tenant."""
    tenant = find_tenant(slug) if slug else None
    return wear(tenant.skin, tenant) if tenant is not None and tenant.skin is not None else None


def wear(skin: Skin, tenant: TenantInfo) -> Worn:
    """Return a skin as templates show it, in the language of the page."""
    host = urlsplit(config().base_url).netloc
    return Worn(skin.name, skin.logo, skin.stylesheet_path, _said(skin.texts), place=tenant.name, host=host)


def at_only(slugs: Iterable[str]) -> Worn | None:
    """Return the skin of a person's only tenant; None for somebody with several, or with none."""
    found = set(slugs)
    return at_tenant(found.pop()) if len(found) == 1 else None


def note_way(request: HttpRequest, then: str) -> None:
    """Say where a page about the session leads, for pages whose address does not."""
    request.leads_to = then  # type: ignore[attr-defined]


def _leads_to(request: HttpRequest) -> str:
    """Return where somebody goes from a page about their session, "" for nowhere in particular."""
    if noted := getattr(request, "leads_to", ""):
        return str(noted)
    if asked := request.POST.get("next") or request.GET.get("next"):
        return asked
    # Between password and second factor allauth keeps it.
    begun = request.session.get("account_login") if hasattr(request, "session") else None
    return str(begun.get("redirect_url") or "") if isinstance(begun, dict) else ""


def _tenant_ahead(path: str) -> str:
    """Return the tenant of the request that a path of ours continues, "" for any other path."""
    found = AHEAD.fullmatch(path.partition("?")[0])
    if found is None:
        return ""
    pk = UUID(found["pk"])
    if found["what"] == "consent":
        return pending.find_tenant_slug(pk)
    return RefusedAuthorization.objects.filter(pk=pk).values_list("tenant", flat=True).first() or ""


def _said(texts: Mapping[str, Mapping[str, str]]) -> dict[str, Said]:
    """Return each text in the language of the page, or else in one that it was written in."""
    speaks = (translation.get_language() or "en").partition("-")[0]
    said: dict[str, Said] = {}
    for language in (speaks, *LANGUAGES):
        for name, text in texts.get(language, {}).items():
            said.setdefault(name, Said(text, "" if language == speaks else language))
    return said
