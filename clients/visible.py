"""What may be shown of a JWT that somebody handed over: bounded, fit for JSON, and never a key, a token or a secret."""

import re
from typing import Any

LONGEST = 200  # characters of a text
WIDEST = 40  # members of an object or a list
DEEPEST = 4
KEY, TOKEN, SECRET = "(a key, not shown)", "(a token, not shown)", "(not shown)"
JWT = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]*")
KEY_NAMES = frozenset({"jwk", "jwks", "x5c"})
SECRET_NAMES = frozenset({"client_secret", "secret", "password", "access_token", "refresh_token", "code"})


def visible(value: Any, *, depth: int = 0) -> Any:
    """Return a decoded JSON value as it may be shown."""
    match value:
        case str():
            return _text(value)
        case bool() | None:
            return value
        case int() | float():
            return value if abs(value) < 2**53 else f"{value}"[:LONGEST]
        case {"kty": _}:
            return KEY
        case dict() | list() if depth >= DEEPEST:
            return "…"
        case dict():
            shown = {_text(name): _member(name, member, depth) for name, member in list(value.items())[:WIDEST]}
            return shown | _more(len(value))
        case list():
            items = [visible(one, depth=depth + 1) for one in value[:WIDEST]]
            return items + [f"… and {len(value) - WIDEST} more"] * (len(value) > WIDEST)
    return SECRET


def _member(name: str, value: Any, depth: int) -> Any:
    if name.lower() in KEY_NAMES:
        return KEY
    return SECRET if name.lower() in SECRET_NAMES else visible(value, depth=depth + 1)


def _more(count: int) -> dict[str, str]:
    return {"…": f"and {count - WIDEST} more"} if count > WIDEST else {}


def _text(text: str) -> str:
    if "-----BEGIN" in text:
        return KEY
    if JWT.search(text):
        return TOKEN
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
