"""A skin as templates show it: in one language, with where its files are and who runs the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from clients.skins import LANGUAGES, Logo, Skin
from smartauth.conf import config


@dataclass(frozen=True, slots=True)
class Said:
    """Something a tenant says. `lang`: its language where that is not the page's, else ""."""

    text: str
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Worn:
    """What templates need. `place` and `host`: the tenant as it is registered, and the server that is at work.

    Those two are no part of the skin, so a tenant cannot hide who runs the page by what it calls itself.
    """

    name: str
    logo: Logo | None
    logo_path: str
    stylesheet: str  # a path, "" for our own colours
    said: Mapping[str, Said]
    place: str
    host: str


def wear(skin: Skin, *, place: str, language: str, logo_path: str = "") -> Worn:
    """Return a skin as templates show it.    logo_path: where the picture is, "" for where everybody gets it."""
    host = urlsplit(config().base_url).netloc
    path = logo_path or (skin.logo.path if skin.logo else "")
    said = _said(skin.texts, language)
    return Worn(skin.name, skin.logo, path, skin.stylesheet_path, said, place=place, host=host)


def _said(texts: Mapping[str, Mapping[str, str]], speaks: str) -> dict[str, Said]:
    """Return each text in the language of the page, or else in one that it was written in."""
    said: dict[str, Said] = {}
    for language in (speaks, *LANGUAGES):
        for name, text in texts.get(language, {}).items():
            said.setdefault(name, Said(text, "" if language == speaks else language))
    return said
