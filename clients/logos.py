"""Which logos a brand may show: a link, or the picture itself. Pure.

Source: SMART 2.2 brands, "Brand Profile (Organization)": SVG, or PNG of 1024 by 1024 pixels; `https` or `data`.
"""

import base64
import binascii
import re

from clients.uri_rules import web_url_problem

SIDE = 1024  # pixels of a PNG
INLINE = re.compile(r"data:image/(?P<kind>png|svg\+xml);base64,(?P<data>[A-Za-z0-9+/]+={0,2})")
LONGEST_INLINE = 200_000  # characters; a logo at a URL is fetched by those who show it, this one by everybody
PNG_BEGINS = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
VIEW_BOX = re.compile(rb"\sviewBox\s*=\s*[\"'](?:[-0-9.]+[\s,]+){2}(?P<width>[0-9.]+)[\s,]+(?P<height>[0-9.]+)[\"']")


def logo_problem(url: str, *, http_on_loopback: bool) -> str:
    """Say why `url` may not be a logo, or return ""."""
    if not url.startswith("data:"):
        return web_url_problem(url, http_on_loopback=http_on_loopback)
    if len(url) > LONGEST_INLINE:
        return f"it is longer than {LONGEST_INLINE} characters"
    found = INLINE.fullmatch(url)
    if found is None:
        return "it is not data:image/svg+xml;base64, or data:image/png;base64,"
    try:
        picture = base64.b64decode(found["data"], validate=True)
    except binascii.Error:
        return "it is not base64"
    return _png_problem(picture) if found["kind"] == "png" else _svg_problem(picture)


def _png_problem(picture: bytes) -> str:
    if not picture.startswith(PNG_BEGINS):
        return "it is not a PNG"
    begin = len(PNG_BEGINS)
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (begin, begin + 4))
    return "" if (width, height) == (SIDE, SIDE) else f"it has {width} by {height} pixels, not {SIDE} by {SIDE}"


def _svg_problem(picture: bytes) -> str:
    box = VIEW_BOX.search(picture)
    if b"<svg" not in picture or box is None:
        return "it is not an SVG with a viewBox"
    return "" if box["width"] == box["height"] else "it is not square"
