"""Strict JSON: bytes to a tree that can be read in one way only, and back.

A parser that keeps the last of two equal names and another that keeps the first disagree about whom a resource is
about; whatever could be read in two ways is refused. Source: RFC 8259 §4 and §8; RFC 7493 (I-JSON); FHIR R4 json.
"""

import json
import re
from typing import NoReturn, TypeAlias

import msgspec

# A number that is not an integer keeps its literal text: decimal precision is clinical data (FHIR R4 datatypes).
Number = msgspec.Raw
Json: TypeAlias = bool | int | str | Number | list["Json"] | dict[str, "Json"] | None
Resource: TypeAlias = dict[str, Json]

MAX_DEPTH = 50
MAX_NODES = 200_000
MAX_NUMBER_CHARACTERS = 64
# Lone surrogates and NUL can only come from escapes; only texts with such an escape need the slow look.
SUSPICIOUS = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
UNSAFE_CHARACTER = re.compile("[\x00\ud800-\udfff]")


class MalformedJson(ValueError):
    """The bytes are not JSON, or JSON that parsers read differently, or larger than we read. The text says which."""


# Objects of the same kind repeat thousands of times in a Bundle; a tuple of names that passed once passes again.
_clean_names: set[tuple[str, ...]] = set()
_CLEAN_NAMES_KEPT = 20_000


def parse_json(data: bytes) -> Json:
    """Return the tree of one strict JSON text. Raises MalformedJson.

    Refused: invalid UTF-8, a byte order mark, duplicate names, names equal but for case, NaN and Infinity, numbers
    longer than 64 characters, NUL, lone surrogates, more than 50 levels, more than 200 000 values, trailing data.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJson("the text is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise MalformedJson("the text begins with a byte order mark")
    try:
        tree: Json = _DECODER.decode(text)
    except RecursionError:
        raise MalformedJson("the text is nested too deeply") from None
    except json.JSONDecodeError:
        raise MalformedJson("the text is not JSON") from None
    require_size(tree)
    if SUSPICIOUS.search(data):
        _require_clean_texts(tree)
    return tree


def parse_resource(data: bytes) -> Resource:
    """Return the tree of a JSON object with a string `resourceType`. Raises MalformedJson."""
    tree = parse_json(data)
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise MalformedJson("the text is not a FHIR resource")
    return tree


def write_json(tree: Json, *, pretty: bool = False) -> bytes:
    """Return the tree as UTF-8 JSON; numbers come out as they went in."""
    compact = msgspec.json.encode(tree)
    return msgspec.json.format(compact, indent=2) if pretty else compact


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    names = tuple(found)
    if len(names) != len(pairs):
        raise MalformedJson("an object has the same name twice")
    if names not in _clean_names:
        if len({name.casefold() for name in names}) != len(names):
            raise MalformedJson("an object has two names that differ only in case")
        if len(_clean_names) < _CLEAN_NAMES_KEPT:
            _clean_names.add(names)
    return found


def _integer(text: str) -> int | Number:
    _require_short(text)
    return Number(text) if text == "-0" else int(text)


def _decimal(text: str) -> Number:
    _require_short(text)
    return Number(text)


def _constant(text: str) -> NoReturn:
    raise MalformedJson("NaN and Infinity are not JSON")


def _require_short(text: str) -> None:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise MalformedJson("a number is too long")


def require_size(tree: Json) -> None:
    """Raise MalformedJson for a tree with too many levels or values.

    Counted level by level: no recursion, so a deep tree is measured and not suffered.
    """
    level: list[dict[str, Json] | list[Json]] = [tree] if isinstance(tree, dict | list) else []
    depth = nodes = 0
    while level:
        depth += 1
        nodes += sum(map(len, level))
        if depth > MAX_DEPTH:
            raise MalformedJson("the text is nested too deeply")
        if nodes > MAX_NODES:
            raise MalformedJson("the text has too many values")
        level = [
            value
            for node in level
            for value in (node.values() if type(node) is dict else node)
            if type(value) is dict or type(value) is list
        ]


def _require_clean_texts(tree: Json) -> None:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            if UNSAFE_CHARACTER.search(node):
                raise MalformedJson("a text holds NUL or half a character")
        elif isinstance(node, dict):
            stack.extend(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
