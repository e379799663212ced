"""The skins of tenants as frozen values, and the documents that browsers fetch for them.

A stylesheet is made of checked colours alone: no text that somebody typed is part of it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from clients.colours import Palette, Scheme, find_unreadable, palette
from clients.models import Skin as SkinRow
from smartauth.digests import digest
from smartauth.marks import MarkedCache, skins_mark

_log = logging.getLogger(__name__)

LANGUAGES = ("en", "es")
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
# The second says "unless dark is wished" in a way that browsers understand which know no wishes.
MEDIA: dict[Scheme, str] = {"dark": "(prefers-color-scheme: dark)", "light": "not all and (prefers-color-scheme: dark)"}
LOGOS_KEPT = 64  # in the memory of a worker; browsers keep them for a year


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture by the digest of its bytes. `width` and `height` are pixels.

    `says_name`: the tenant's name is in it, so that it need not be written beside it.
    """

    digest: str
    media_type: str
    width: int
    height: int
    alt: str
    says_name: bool = False

    @property
    def path(self) -> str:
        return f"/skin/{self.digest}.{EXTENSIONS[self.media_type]}"


@dataclass(frozen=True, slots=True)
class Skin:
    """How one tenant presents itself to its patients. Accents are `#rrggbb`, or "" for ours.

    `texts`: by language, then by name: greeting, help, phone, email, help_url, privacy_url; what is not said is absent.
    """

    name: str
    logo: Logo | None
    accent_light: str
    accent_dark: str
    texts: Mapping[str, Mapping[str, str]]

    @property
    def palettes(self) -> dict[Scheme, Palette]:
        """Return the colours of each scheme that has an accent of its own."""
        chosen = {"light": self.accent_light, "dark": self.accent_dark}
        return {scheme: palette(chosen[scheme], scheme) for scheme in MEDIA if chosen[scheme]}

    @property
    def stylesheet(self) -> str:
        """Return the rules that put the colours in place of ours, "" where nothing differs."""
        return "".join(
            f"@media {MEDIA[scheme]} {{\n  :root {{ {declarations(colours)} }}\n}}\n"
            for scheme, colours in self.palettes.items()
        )

    @property
    def stylesheet_path(self) -> str:
        """Return where the stylesheet is, "" where there is none."""
        return f"/skin/{digest(self.stylesheet)}.css" if self.palettes else ""


def declarations(colours: Palette) -> str:
    """Return the custom properties of static/smartauth.css that follow from an accent."""
    return (
        f"--accent: {colours.accent}; --accent-dark: {colours.dark}; "
        f"--accent-ink: {colours.ink}; --accent-paper: {colours.paper};"
    )


def read_skin(row: SkinRow) -> Skin:
    """Return a stored skin. A colour that could not be read on our pages, however it came there, is left out."""
    logo = None
    if row.logo_digest:
        logo = Logo(
            *(row.logo_digest, row.logo_type, row.logo_width, row.logo_height),
            alt=row.logo_alt,
            says_name=row.logo_says_name,
        )
    return Skin(row.name, logo, _accent(row, "light"), _accent(row, "dark"), row.texts)


def _accent(row: SkinRow, scheme: Scheme) -> str:
    accent = cast(str, getattr(row, f"accent_{scheme}"))
    if accent and find_unreadable(accent, scheme):
        _log.warning("skin %s has an accent for %s that cannot be read; ours is shown", row.pk, scheme)
        return ""
    return accent


_all: MarkedCache[str, tuple[Skin, ...]] = MarkedCache(max_size=1)
_logos: MarkedCache[str, tuple[str, bytes] | None] = MarkedCache(max_size=LOGOS_KEPT)


def list_skins() -> tuple[Skin, ...]:
    """Return every skin there is, also those that no page wears now: what has a digest is told to who knows it."""
    return _all.get("", _load_all, tags=lambda _: (skins_mark(),))


def find_stylesheet(name: str) -> str | None:
    """Return the stylesheet with this digest, None where no skin has it."""
    paths = {skin.stylesheet_path: skin for skin in list_skins() if skin.palettes}
    found = paths.get(f"/skin/{name}.css")
    return found.stylesheet if found else None


def find_logo(name: str, extension: str) -> tuple[str, bytes] | None:
    """Return media type and bytes of the logo with this digest, None where no skin has it.

    Guessed names cost no look at the database.
    """
    if not any(skin.logo and skin.logo.path == f"/skin/{name}.{extension}" for skin in list_skins()):
        return None
    return _logos.get(name, lambda: _load_logo(name), tags=lambda found: (skins_mark(),) if found else ())


def _load_all() -> tuple[Skin, ...]:
    return tuple(read_skin(row) for row in SkinRow.objects.defer("logo").order_by("pk"))


def _load_logo(name: str) -> tuple[str, bytes] | None:
    found = SkinRow.objects.filter(logo_digest=name).values_list("logo_type", "logo").first()
    return (found[0], bytes(found[1])) if found else None
