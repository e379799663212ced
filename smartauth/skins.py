"""Whose look a page wears: a tenant's where the page is about that tenant, and ours everywhere else.

It follows from where the page is, never from who asks: for pages of an authorization request from the request itself,
for pages about the session from the page of ours that they lead back to.
"""

import re
from collections.abc import Iterable
from uuid import UUID

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils import translation

from clients.tenants import find_tenant
from clients.worn_skins import Worn, wear
from smartauth import pending
from smartauth.context import context_of
from smartauth.models import RefusedAuthorization

AHEAD = re.compile(r"/auth/(?P<what>consent|refused)/(?P<pk>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/.*)?")


def skin_of(request: HttpRequest) -> Worn | None:
    """Return what the page that answers a request wears, None for our own look.

    A tenant that is known costs nothing: its skin is remembered with it. Pages about the session cost one statement
    where they lead back to an authorization request.
    """
    if request.path_info.startswith("/auth/"):
        return at_tenant(tenant_of(request))
    if request.path_info.startswith("/account/"):
        return at_tenant(_tenant_ahead(_leads_to(request)))
    return None


def tenant_of(request: HttpRequest) -> str:
    """Return at which tenant an authorization request is, else whose URL it came to; "" for neither."""
    match = request.resolver_match
    return context_of(request).tenant or (match.kwargs.get("tenant") if match else "") or ""


def at_tenant(slug: str) -> Worn | None:
    """Return the skin of an active tenant in the language of the page, None for a tenant without one, or no tenant."""
    tenant = find_tenant(slug) if slug else None
    if tenant is None or tenant.skin is None:
        return None
    language = (translation.get_language() or "en").partition("-")[0]
    return wear(tenant.skin, place=tenant.name, language=language)


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
    if asked := _posted(request).get("next") or request.GET.get("next"):
        return asked
    # Between password and second factor allauth keeps it.
    begun = request.session.get("account_login") if hasattr(request, "session") else None
    return str(begun.get("redirect_url") or "") if isinstance(begun, dict) else ""


def _posted(request: HttpRequest) -> QueryDict:
    """Return the form that was sent, an empty one for a body that cannot be read: the page may be about just that."""
    try:
        return request.POST
    except (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError):
        return QueryDict()


def _tenant_ahead(path: str) -> str:
    """Return the tenant of the request that a path of ours continues, "" for any other path."""
    found = AHEAD.fullmatch(path.partition("?")[0])
    if found is None:
        return ""
    pk = UUID(found["pk"])
    if found["what"] == "consent":
        return pending.find_tenant_slug(pk)
    return RefusedAuthorization.objects.filter(pk=pk).values_list("tenant", flat=True).first() or ""
