"""Names that people would take for another app's: told to the operator before the app reaches anybody. Pure.

Source: RFC 7591 §5, on names that mislead; Unicode Technical Standard 39, whose idea of skeletons this follows for the
letters that matter here.
"""

import unicodedata
from collections.abc import Iterable

# What looks like a Latin letter, after case folding: Cyrillic and Greek letters, digits and signs.
CONFUSABLE = str.maketrans(
    "авекморстухіѕјԁɡһӏαεικνορτυχγ" + "013458$|!",
    "abekmopctyxisjdghlaeiknoptuxy" + "oleasbsll",
)
PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def skeleton(name: str) -> str:
    """Return what is left of a name when everything is the same that the eye may take for the same."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(one for one in plain if not unicodedata.combining(one)).translate(CONFUSABLE)
    for pair, one in PAIRS:
        letters = letters.replace(pair, one)
    return "".join(one for one in letters if one.isalnum()).replace("i", "l")


def alphabets(name: str) -> frozenset[str]:
    """Return the alphabets a name is written in, such as "LATIN" and "CYRILLIC"."""
    return frozenset(unicodedata.name(one, "?").partition(" ")[0] for one in name if one.isalpha())


def warning(name: str, others: Iterable[str]) -> str:
    """Return why a name may mislead, "" when nothing speaks against it. others: the names of all other clients."""
    mine = skeleton(name)
    alike = sorted({other for other in others if other and skeleton(other) == mine})
    if alike:
        return f"looks like {', '.join(alike[:3])}"
    found = alphabets(name)
    return f"is written in several alphabets: {', '.join(sorted(found))}" if len(found) > 1 else ""
