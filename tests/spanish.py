"""What is left in English on a page that should speak Spanish."""

import gettext
import re
from html.parser import HTMLParser
from pathlib import Path

import allauth
import django
from django.conf import settings
from django.http import HttpResponse

CATALOGS = (
    Path(settings.BASE_DIR) / "smartauth" / "locale",
    Path(allauth.__file__).parent / "locale",
    Path(django.__file__).parent / "contrib" / "auth" / "locale",
    Path(django.__file__).parent / "conf" / "locale",
)
SPOKEN = ("aria-label", "alt", "placeholder", "title")
# Words no Spanish sentence has: whatever nobody marked for translation gives itself away by one of them.
ENGLISH = re.compile(
    r"\b(?:the|and|your|you|with|this|that|was|which|what|is|are|it|not|of|to|for|on|at|there|please|enter|app|apps)\b",
    re.IGNORECASE,
)
NOT_SAID = re.compile(r"<[^>]*>|%\(\w+\)[sd]")
# Names and data of the tests, and what is the same in both languages.
DATA = re.compile(
    r"Growth Chart|Cardio Clinic|City Hospital|Hillside Clinic|Smartauth|[\w-]+ Lindqvist|Ben Okafor|Alma Grey"
)


class _Texts(HTMLParser):
    """Collects what people read or hear, each piece between two tags for itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        # Their own language is said of those: names of languages, and what stands as it was sent.
        if (
            tag in ("script", "style", "code", "bdi")
            or values.get("hreflang")
            or (tag == "span" and values.get("lang"))
        ):
            self.hidden.append(tag)
        elif not self.hidden and tag != "label":  # Its title is the scope, for developers.
            self.found.extend(values[name] or "" for name in SPOKEN if name in values)

    def handle_endtag(self, tag: str) -> None:
        if self.hidden and self.hidden[-1] == tag:
            self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.found.append(" ".join(data.split()))


def texts(markup: str) -> list[str]:
    """Return what a page says, piece by piece."""
    reader = _Texts()
    reader.feed(markup)
    return reader.found


def _originals() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the English of everything that has a translation: what stands alone, and what is part of a sentence."""
    alone, parts = set(), set()
    for folder in CATALOGS:
        with (folder / "es" / "LC_MESSAGES" / "django.mo").open("rb") as compiled:
            catalog: dict[object, str] = gettext.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
        for key, spanish in catalog.items():
            english = key[0] if isinstance(key, tuple) else str(key)
            if not english or english == spanish or "\x04" in english:
                continue
            pieces = [" ".join(piece.split()) for piece in NOT_SAID.split(english)]
            alone.update(piece for piece in pieces if piece == english)
            if folder == CATALOGS[0]:
                parts.update(piece for piece in pieces if len(piece.split()) > 2)
    return frozenset(alone), tuple(parts)


ALONE, PARTS = _originals()
SAME = {"No", "Error"}  # Spanish words, too.


def english_in(markup: str) -> list[str]:
    """Return the pieces of a page that are in English."""
    said = [(text, DATA.sub("", text)) for text in texts(markup)]
    return [
        text
        for text, own in said
        if own.strip(" .,:") in ALONE - SAME or ENGLISH.search(own) or any(part in own for part in PARTS)
    ]


def assert_spanish(page: HttpResponse, *words: str, status: int = 200) -> str:
    """Return what a page says, which must be Spanish throughout, and have these words."""
    markup = page.content.decode()
    assert page.status_code == status, (page.status_code, page.headers, markup)
    assert '<html lang="es">' in markup
    assert page.headers["Content-Language"] == "es"
    assert english_in(markup) == []
    said = " ".join(texts(markup))
    for one in words:
        assert one in said, (one, said)
    return said
