"""Texts from outside, made fit to be stored and shown."""


def storable(text: str, longest: int) -> str:
    """Return at most `longest` characters that PostgreSQL can store and a terminal can show.

    NUL, control characters and lone surrogates become replacement characters.
    """
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:longest])
    return printable.encode(errors="replace").decode()
