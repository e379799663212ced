"""Colours that people can read, by WCAG 2.2: relative luminance, contrast ratio, and success criterion 1.4.3."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from clients.colours import (
    ENOUGH,
    GROUNDS,
    Scheme,
    contrast,
    find_unreadable,
    luminance,
    nearest_readable,
    palette,
    parse_colour,
)

# Of W3C's own pages and tools: G18 and the understanding documents say what passes and what just does not.
KNOWN = [
    ("#000000", "#ffffff", 21.0),
    ("#ffffff", "#ffffff", 1.0),
    ("#777777", "#ffffff", 4.48),
    ("#767676", "#ffffff", 4.54),
    ("#0000ff", "#ffffff", 8.59),
    ("#ff0000", "#ffffff", 4.00),
    ("#00ff00", "#ffffff", 1.37),
    ("#808080", "#000000", 5.32),
]
SCHEMES: list[Scheme] = ["light", "dark"]
ACCENTS = ["#ff8800", "#e30613", "#005eb8", "#ffff00", "#808080", "#ffffff", "#000000", "#123456", "#7a1f5c", "#00ffd0"]


@pytest.mark.parametrize(("one", "other", "ratio"), KNOWN)
def test_a_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)
    assert (luminance("#000000"), luminance("#ffffff")) == (0, pytest.approx(1))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("accent", ACCENTS)
def test_what_is_offered_instead_passes_everywhere_and_so_does_all_that_follows_from_it(
    accent: str, scheme: Scheme
) -> None:
    ground = GROUNDS[scheme]
    good = nearest_readable(accent, scheme)
    assert find_unreadable(good, scheme) is None
    assert good == accent or find_unreadable(accent, scheme) is not None
    colours = palette(good, scheme)
    for text, behind in (
        *((colours.accent, surface) for _, surface in ground.surfaces),
        *((colours.ink, button) for button in (colours.accent, colours.dark)),
        *((text, colours.paper) for text in (colours.accent, *ground.texts)),
    ):
        assert contrast(text, behind) >= ENOUGH, (text, behind)


def test_a_ratio_that_falls_just_short_is_not_rounded_up() -> None:
    found = find_unreadable("#6f6f6f", "light")
    assert found is None or found.ratio < ENOUGH
    short = find_unreadable("#737373", "light")
    assert short is not None
    assert short.against == "page"
    assert float(short.told_ratio) <= short.ratio < ENOUGH


@pytest.mark.parametrize("text", ["#0B6E6E", " #0b6e6e "])
def test_a_colour_is_six_hexadecimal_digits(text: str) -> None:
    assert parse_colour(text) == "#0b6e6e"


@pytest.mark.parametrize(
    "text",
    ["", "teal", "#0b6", "0b6e6e", "#0b6e6g", "#0b6e6e;", "red}*{display:none", "url(//evil)", "#0b6e6e\n}", "#٠b6e6e"],
)
def test_nothing_else_is_a_colour(text: str) -> None:
    with pytest.raises(ValueError, match="six hexadecimal digits"):
        parse_colour(text)


@pytest.mark.parametrize(("at", "scheme"), [(0, "light"), (1, "dark")])
def test_the_grounds_are_those_of_our_pages(at: int, scheme: Scheme) -> None:
    css = (Path(settings.BASE_DIR) / "static" / "smartauth.css").read_text()
    rules = re.findall(r":root \{([^}]*)\}", css)[at]
    ours = dict(re.findall(r"--([a-z-]+): ([^;]+);", rules)) | {}
    names = {"page": "paper", "card": "card"}
    for name, colour in GROUNDS[scheme].surfaces:
        assert ours[names[name]].replace("#fff", "#ffffff" if len(ours[names[name]]) == 4 else "#fff") == colour
    assert (ours["ink"], ours["quiet"]) == GROUNDS[scheme].texts
