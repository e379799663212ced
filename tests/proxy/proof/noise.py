"""What comes with a request in T6: odd headers, what nobody may send, and pieces of targets. All of it from one number.

Hypothesis goes on to vary each part of what it drew. Drawn in parts, this would be varied beside the same few requests.
"""

import unicodedata
from dataclasses import dataclass
from random import Random

from tests.proxy.proof.vocabulary import POISON, REFUSED

Pairs = tuple[tuple[str, str], ...]
HEADERS = (("X-HTTP-Method-Override", "GET"), ("Authorization", "Bearer another"), ("Content-Encoding", "gzip"))
WILD = (("_include", "*"), ("_include", "Observation:*"), ("_revinclude", "*"), ("_revinclude", "Provenance:*"))
NEVER = (*REFUSED, *HEADERS * 2, *WILD)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"
# Pieces of targets as they come from the network, most of which FHIR never has.
PIECES = (
    *("Observation", "Patient", "ana", "_history", "1", "$everything", "/", "/", "/", "?_count=1", "&code=a") * 2,
    "%2f", "%2F..", "%2e%2e", "..", "%00", "%c3%a4", "%25", "%252f", "%20", "+", "%7c", "|", ":", "%3a", "@", "'",
    "(", "~", "%7e", "*", "%2a", ";", "%3b", "=", "%3d", "?", "%3f", "#", "%23", "&", "%26", ",", "%", "%5c", "\\",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Noise:
    """headers: of the request.  segments, pairs: a target we might write.

    never: a parameter or a header that is refused.  raw: a target behind the base as anybody might send it.
    """

    headers: Pairs
    segments: tuple[str, ...]
    pairs: Pairs
    never: tuple[str, str]
    raw: str


def make_noise(seed: int) -> Noise:
    """Return the noise of a number."""
    rng = Random(seed)
    return Noise(
        headers=tuple(rng.choices(POISON, k=rng.choice((0, 0, 1, 2, 3)))),
        segments=tuple(_segment(rng) for _ in range(rng.randint(0, 4))),
        pairs=tuple((_word(rng, LETTERS + "_-:."), _text(rng)) for _ in range(rng.randint(0, 4))),
        never=rng.choice(NEVER),
        raw="".join(rng.choices(PIECES, k=rng.randint(1, 6))),
    )


def _word(rng: Random, alphabet: str) -> str:
    return "".join(rng.choices(alphabet, k=rng.randint(1, 12)))


def _segment(rng: Random) -> str:
    made = _word(rng, LETTERS + "0123456789-._$*")
    return made if made not in (".", "..") else f"{made}a"


def _text(rng: Random) -> str:
    """Characters that a decoded value may hold: anything but controls."""
    drawn = (chr(rng.choice((rng.randint(0x20, 0x7E), rng.randint(0x20, 0x2FFF)))) for _ in range(rng.randint(1, 12)))
    return "".join(one for one in drawn if unicodedata.category(one) != "Cc") or "x"
