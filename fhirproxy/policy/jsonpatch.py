"""JSON Patch: operations read strictly and applied to a tree, so that a patch is judged by what it makes.

A library would work on its own reading of the JSON; ours keeps the literal text of numbers. Source: RFC 6902; RFC 6901.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from fhirproxy.policy.bodies import Json, MalformedJson, Number, parse_json, require_size

MAX_OPERATIONS = 50
MAX_TEXT = 10 * 1024 * 1024  # characters in all texts of the result
OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
BROKEN_ESCAPE = re.compile(r"~(?![01])")

Pointer = tuple[str, ...]


class MalformedPatch(ValueError):
    """The bytes are not a JSON Patch document, or one with too many operations."""


class PatchFailed(ValueError):
    """An operation cannot be applied, or its test does not hold."""


@dataclass(frozen=True, slots=True)
class Change:
    """One operation. `source` is where `move` and `copy` take from."""

    op: str
    path: Pointer
    value: Json = None
    source: Pointer = ()


def parse_patch(data: bytes) -> tuple[Change, ...]:
    """Read a JSON Patch document. Raises MalformedPatch."""
    try:
        tree = parse_json(data)
    except MalformedJson as why:
        raise MalformedPatch(str(why)) from None
    if not isinstance(tree, list) or not tree:
        raise MalformedPatch("it is not an array of operations")
    if len(tree) > MAX_OPERATIONS:
        raise MalformedPatch("it has more than 50 operations")
    return tuple(_change(one) for one in tree)


def apply_patch(tree: Json, changes: tuple[Change, ...]) -> Json:
    """Return the patched tree; `tree` stays as it is. Raises PatchFailed, and nothing of the patch is applied then."""
    result = copy_tree(tree)
    for change in changes:
        _apply(result, change)
        try:
            require_size(result)  # Each time: a value copied into itself again and again doubles.
        except MalformedJson as why:
            raise PatchFailed(str(why)) from None
    if _text_size(result) > MAX_TEXT:
        raise PatchFailed("the result is too large")
    return result


def copy_tree(tree: Json) -> Json:
    """Return a tree that shares no list or object with `tree`. No deeper than what the parser admits."""
    if isinstance(tree, dict):
        return {name: copy_tree(value) for name, value in tree.items()}
    return [copy_tree(value) for value in tree] if isinstance(tree, list) else tree


def is_same(one: Json, other: Json) -> bool:
    """Say whether two trees mean the same: numbers by value, true is not 1. Source: RFC 6902 §4.6."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Number) and isinstance(other, int | Number):
        return _decimal(one) == _decimal(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and one == other


def _decimal(number: int | Number) -> Decimal:
    return Decimal(number if isinstance(number, int) else bytes(number).decode())


def _change(tree: Json) -> Change:
    if not isinstance(tree, dict):
        raise MalformedPatch("an operation is not an object")
    op = tree.get("op")
    if not isinstance(op, str) or op not in OPERATIONS:
        raise MalformedPatch("an operation has no op, or one that JSON Patch does not know")
    path = _pointer(tree.get("path"))
    if not path:
        raise MalformedPatch("an operation is on the whole resource; send an update for that")
    if op in ("move", "copy"):
        source = _pointer(tree.get("from"))
        if op == "move" and path[: len(source)] == source:
            raise MalformedPatch("a value cannot be moved into itself")
        return Change(op, path, source=source)
    if op == "remove":
        return Change(op, path)
    if "value" not in tree:
        raise MalformedPatch("an operation that needs a value has none")
    return Change(op, path, tree["value"])


def _pointer(text: Json) -> Pointer:
    if not isinstance(text, str) or (text and not text.startswith("/")) or BROKEN_ESCAPE.search(text):
        raise MalformedPatch("a path is not a JSON Pointer")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _apply(tree: Json, change: Change) -> None:
    match change.op:
        case "add":
            _add(tree, change.path, copy_tree(change.value))
        case "remove":
            _remove(tree, change.path)
        case "replace":
            _replace(tree, change.path, copy_tree(change.value))
        case "copy":
            _add(tree, change.path, copy_tree(_find(tree, change.source)))
        case "move":
            _add(tree, change.path, _remove(tree, change.source))
        case "test":
            if not is_same(_find(tree, change.path), change.value):
                raise PatchFailed("a test does not hold")


def _find(tree: Json, path: Pointer) -> Json:
    node = tree
    for step in path:
        if isinstance(node, dict):
            if step not in node:
                raise PatchFailed("a path leads nowhere")
            node = node[step]
        elif isinstance(node, list):
            node = node[_index(step, len(node) - 1)]
        else:
            raise PatchFailed("a path leads through a value that has no parts")
    return node


def _add(tree: Json, path: Pointer, value: Json) -> None:
    parent, step = _find(tree, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if step == "-" else _index(step, len(parent)), value)
    else:
        raise PatchFailed("a path leads through a value that has no parts")


def _replace(tree: Json, path: Pointer, value: Json) -> None:
    _find(tree, path)
    parent, step = _find(tree, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        parent[int(step)] = value


def _remove(tree: Json, path: Pointer) -> Json:
    value = _find(tree, path)
    if not path:
        raise PatchFailed("the whole resource cannot be moved")
    parent, step = _find(tree, path[:-1]), path[-1]
    if isinstance(parent, dict):
        del parent[step]
    elif isinstance(parent, list):
        del parent[int(step)]
    return value


def _index(step: str, last: int) -> int:
    if INDEX.fullmatch(step) is None or int(step) > last:
        raise PatchFailed("a path leads beyond the end of an array")
    return int(step)


def _text_size(tree: Json) -> int:
    size, stack = 0, [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            size += len(node)
        elif isinstance(node, dict):
            size += sum(map(len, node))
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return size
