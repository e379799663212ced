"""What pages would look like in a skin, in light and dark and both languages: before it is stored, and afterwards."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from django.contrib.staticfiles import finders
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from clients.colours import Scheme, find_unreadable, palette, parse_colour
from clients.models import Skin as SkinRow
from clients.models import Tenant
from clients.pictures import Picture
from clients.skin_form import SkinForm, data_url
from clients.skins import LANGUAGES, Skin, declarations, read_skin
from clients.worn_skins import Worn, wear
from smartauth.administration.pages import staff_page

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
RULES = re.compile(r":root \{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Panel:
    """Sample pages in one scheme and one language."""

    scheme: Scheme
    language: str
    skin: Worn


@staff_page("clients.view_skin", "POST")
def try_form(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Show what the form in another window would make of the pages, or what is wrong in it. Nothing is stored."""
    if not request.user.has_perm("clients.change_skin" if pk else "clients.add_skin"):
        raise PermissionDenied
    row = get_object_or_404(SkinRow.objects.select_related("tenant"), pk=pk) if pk else None
    form = SkinForm(request.POST, request.FILES, instance=row)
    if row is not None:
        del form.fields["tenant"]  # It does not change, and the page of one that exists does not send it.
    if not form.is_valid():
        wrong = [(form[name].label if name in form.fields else "", why) for name, why in form.errors.items()]
        return render(request, "admin/clients/skin_not_shown.html", {"wrong": wrong}, status=400)
    return _page(request, form.instance, form.instance.tenant)


@staff_page("clients.view_skin", "GET")
def show_stored(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is stored, whether or not pages wear it."""
    row = get_object_or_404(SkinRow.objects.select_related("tenant"), pk=pk)
    return _page(request, row, row.tenant)


@staff_page("clients.view_skin", "GET")
def colours(request: HttpRequest) -> HttpResponse:
    """Return the stylesheet of the samples: both schemes side by side, whatever this browser's own is."""
    parts = []
    for scheme in SCHEMES:
        asked = request.GET.get(scheme, "")
        try:
            accent = parse_colour(asked) if asked else ""
        except ValueError:
            return HttpResponseBadRequest()
        own = declarations(palette(accent, scheme)) if accent and not find_unreadable(accent, scheme) else ""
        parts.append(f".sample.{scheme} {{ {base_rules()[scheme]} color-scheme: {scheme}; {own} }}\n")
    response = HttpResponse("".join(parts), content_type="text/css; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response


@cache
def base_rules() -> dict[Scheme, str]:
    """Return the custom properties of each scheme as static/smartauth.css has them."""
    file = finders.find("smartauth.css")
    light, dark = RULES.findall(Path(cast(str, file)).read_text(encoding="utf-8"))[:2]
    return {"light": " ".join(light.split()), "dark": " ".join(dark.split())}


def _page(request: HttpRequest, row: SkinRow, tenant: Tenant) -> HttpResponse:
    skin = read_skin(row)
    picture = ""
    if row.logo:
        picture = data_url(Picture(row.logo_type, row.logo_width, row.logo_height, bytes(row.logo)))
    chosen = urlencode({"light": skin.accent_light, "dark": skin.accent_dark})
    facts = {
        "panels": [_panel(skin, tenant, picture, scheme, language) for language in LANGUAGES for scheme in SCHEMES],
        "colours": f"{reverse('admin:clients_skin_colours')}?{chosen}",
        "tenant": tenant,
        "stored": row if row.pk else None,
    }
    return render(request, "admin/clients/skin_preview.html", facts)


def _panel(skin: Skin, tenant: Tenant, picture: str, scheme: Scheme, language: str) -> Panel:
    worn = wear(skin, place=tenant.name or tenant.slug, language=language, logo_path=picture)
    return Panel(scheme, language, worn)
