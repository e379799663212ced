"""Narrative that may be stored: the XHTML that FHIR allows and nothing that acts.

Whoever shows a resource shows its narrative, often without another look. Source: FHIR R4 narrative, "XHTML".
"""

import re
from html.entities import name2codepoint
from xml.etree import ElementTree

XHTML = "{http://www.w3.org/1999/xhtml}"
MAX_LEVELS = 100
ELEMENTS = frozenset(
    {
        "div", "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "q", "ul", "ol", "li", "dl",
        "dt", "dd", "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td", "span", "a",
        "img", "b", "i", "u", "em", "strong", "small", "big", "tt", "sub", "sup", "abbr", "acronym", "address",
        "cite", "code", "dfn", "kbd", "samp", "var", "ins", "del", "bdo",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "id", "class", "style", "title", "lang", "dir", "name", "href", "src", "alt", "longdesc", "width", "height",
        "colspan", "rowspan", "abbr", "axis", "headers", "scope", "align", "valign", "char", "charoff", "nowrap",
        "border", "cellpadding", "cellspacing", "frame", "rules", "summary", "span", "type", "start", "cite",
        "datetime",
    }
)  # fmt: skip
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
LINKS = frozenset({"href", "src", "cite", "longdesc"})
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
SAFE_SCHEMES = ("http:", "https:", "mailto:", "tel:", "data:image/png", "data:image/jpeg", "data:image/gif")
# What a style sheet can load or run, in every browser that still shows narratives; a backslash hides any of it.
ACTIVE_STYLE = re.compile(r"expression|url\s*\(|javascript|@import|behaviou?r|-moz-binding|\\|/\*", re.IGNORECASE)
ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


class UnsafeNarrative(ValueError):
    """The text is not XHTML, or has an element or attribute that narrative must not have. The text says which kind."""


def require_safe(div: str) -> None:
    """Raise UnsafeNarrative unless `div` is one XHTML div of formatting alone."""
    if "<!" in div or "<?" in div:
        raise UnsafeNarrative("it holds a declaration, a comment or an instruction")
    parser = ElementTree.XMLParser(target=_Screen())  # noqa: S314  without declarations there are no entities to expand
    try:
        parser.feed(ENTITY.sub(_as_number, div))
        parser.close()
    except ElementTree.ParseError:
        raise UnsafeNarrative("it is not XHTML") from None


def _as_number(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name in XML_ENTITIES or name not in name2codepoint else f"&#{name2codepoint[name]};"


class _Screen:
    """Looks at each element as it is read; no tree is built, so a large or deep text costs nothing."""

    def __init__(self) -> None:
        self._levels = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._levels += 1
        if self._levels > MAX_LEVELS:
            raise UnsafeNarrative("it is nested too deeply")
        if not tag.startswith(XHTML) or tag.removeprefix(XHTML) not in ELEMENTS:
            raise UnsafeNarrative("it has an element that narrative must not have")
        if self._levels == 1 and tag != f"{XHTML}div":
            raise UnsafeNarrative("it is not a div")
        for name, value in attributes.items():
            _require_safe_attribute(name, value)

    def end(self, tag: str) -> None:
        self._levels -= 1

    def close(self) -> None:
        pass


def _require_safe_attribute(name: str, value: str) -> None:
    if name not in ATTRIBUTES and name != XML_LANG:
        raise UnsafeNarrative("it has an attribute that narrative must not have")
    if name == "style" and ACTIVE_STYLE.search(value):
        raise UnsafeNarrative("it has a style that loads or runs something")
    if name in LINKS:
        # Browsers skip blanks and control characters in a URL, and so would find a scheme that we did not.
        url = re.sub(r"[\x00-\x20\x7f-\x9f]", "", value).lower()
        if SCHEME.match(url) and not url.startswith(SAFE_SCHEMES):
            raise UnsafeNarrative("it has a link that runs something")
