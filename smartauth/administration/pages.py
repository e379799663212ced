"""Pages of our own in the admin site: who may see them, what they have in common, and how an act is confirmed."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

View = Callable[..., HttpResponse]
# What the browser sends along with a form that is no answer to any question of it.
MECHANICAL = frozenset({"csrfmiddlewaretoken", "confirmed", "back"})

Trail = tuple[tuple[str, str], ...]  # titles and URLs of the pages above


def staff_page(permission: str, *methods: str) -> Callable[[View], View]:
    """Make a page of a view for staff with a permission, such as "clients.view_client"; others get 403."""

    def decorate(view: View) -> View:
        @require_http_methods(list(methods))
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def routes(site: admin.AdminSite, pages: Iterable[tuple[str, View, str]]) -> list[URLPattern]:
    """Return URL patterns for pages (route, view, name), behind what `site` asks of everybody."""
    return [path(route, site.admin_view(view), name=name) for route, view, name in pages]


def page(
    request: HttpRequest, template: str, title: str, *, trail: Trail = (), status: int = 200, **facts: Any
) -> TemplateResponse:
    """Render a page in the frame of the admin site. trail: the pages above it, for its breadcrumbs."""
    context = {**admin.site.each_context(request), "title": title, "trail": trail, **facts}
    return TemplateResponse(request, template, context, status=status)


def is_confirmed(request: HttpRequest) -> bool:
    """Return True when the person has seen the confirmation page and said yes to it."""
    return request.method == "POST" and request.POST.get("confirmed") == "yes"


def goes_back(request: HttpRequest) -> bool:
    """Return True when the person wants the form again, with what was typed."""
    return request.method == "POST" and "back" in request.POST


def confirmation(
    request: HttpRequest, title: str, *, says: Iterable[str], button: str, trail: Trail = (), is_grave: bool = False
) -> TemplateResponse:
    """Ask once more before what was posted is done. The page sends the same form again, to the same URL.

    says: what will happen, a sentence each.
    """
    kept = [(name, value) for name, values in request.POST.lists() if name not in MECHANICAL for value in values]
    facts = {"says": list(says), "button": button, "kept": kept, "is_grave": is_grave}
    return page(request, "admin/confirmation.html", title, trail=trail, **facts)
