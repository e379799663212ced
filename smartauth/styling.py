"""The style that apps are asked to wear, as SMART calls it: a public document under the digest of its content.

Source: SMART 2.2 scopes-and-launch-context, "Styling".
"""

from functools import cache

import msgspec

from smartauth import endpoints
from smartauth.digests import digest

STYLE = {
    "color_background": "#f6f8f9",
    "color_error": "#a3242b",
    "color_highlight": "#0b6e6e",
    "color_modal_backdrop": "#17212b",
    "color_success": "#1f6f43",
    "color_text": "#17212b",
    "dim_border_radius": "6px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, sans-serif",
    "font_family_heading": "system-ui, sans-serif",
}


def style(accent: str = "") -> dict[str, str]:
    """Return the style with a tenant's accent in it, `#rrggbb`, or as it is for ""."""
    return STYLE | ({"color_highlight": accent} if accent else {})


@cache
def style_digest(accent: str = "") -> str:
    """Return the name of the current content."""
    return digest(msgspec.json.encode(style(accent)).decode())[:32]


def smart_style_url(accent: str = "") -> str:
    """Return the URL that token responses tell where a tenant has this accent."""
    return endpoints.style(style_digest(accent))


def is_own(url: object) -> bool:
    """Return True for the URL of a style of ours, whether or not it is still served."""
    return isinstance(url, str) and url.startswith(endpoints.style("").removesuffix(".json"))
