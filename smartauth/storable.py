"""Texts from outside, made fit to be stored and shown, and without what somebody put into the wrong place."""

import re

# The last segment of a JWT is its signature: with it a live assertion or token could be used.
JWT = re.compile(r"(eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*)\.[A-Za-z0-9_.-]+")
PEM = re.compile(r"-----BEGIN.*", re.DOTALL)
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# What `digests.new_secret` makes: client secrets, codes and refresh tokens look like this.
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def storable(text: str, longest: int) -> str:
    """Return at most `longest` characters that PostgreSQL can store and a terminal can show.

    NUL, control characters and lone surrogates become replacement characters; signatures of JWTs and PEM blocks are
    taken out.
    """
    if "eyJ" in text or "-----BEGIN" in text:
        text = PEM.sub("(a PEM block, not kept)", JWT.sub(r"\1.(signature, not kept)", text[: 10 * longest]))
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:longest])
    return printable.encode(errors="replace").decode()


def repeatable_url(text: str, longest: int = 500) -> str:
    """Return a URL from outside as it may be repeated in a refusal: what is none may be a secret in the wrong place."""
    return text[:longest] if URL.match(text) else f"no URL but {len(text)} characters, not repeated here"


def looks_like_secret(text: str) -> bool:
    """Return True for what has the shape of a secret, a code or an opaque token of ours."""
    return SECRET.fullmatch(text) is not None
