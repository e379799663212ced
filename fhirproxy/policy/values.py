"""Search values: FHIR escaping taken apart and put together, each type held to its grammar.

What is sent upstream is written from the parts read here. Source: FHIR R4 search, "Escaping Search Parameters" and the
sections on each parameter type.
"""

import re
from dataclasses import dataclass

from fhirproxy.policy.dates import split_prefix
from fhirproxy.policy.references import Bases, find_local, is_id
from smartauth.policy import r4

CANONICAL = re.compile(r"(?:https?://|urn:)[A-Za-z0-9\-._~:/%]{1,200}(?:\|[A-Za-z0-9.\-]{1,64})?")
ESCAPABLE = frozenset(",$|\\")
NUMBER = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")


class MalformedValue(ValueError):
    """A search value does not follow the grammar of its type. The text says why and never quotes the value."""


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A reference value naming one resource of ours."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"


Value = str | ReferenceValue  # text is already escaped as it goes out


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at separators that are not escaped; the parts keep their escapes. Raises MalformedValue."""
    parts, current, index = [], "", 0
    while index < len(text):
        character = text[index]
        if character == "\\":
            if text[index + 1 : index + 2] not in ESCAPABLE or index + 1 == len(text):
                raise MalformedValue("a backslash is not followed by , $ | or a backslash")
            current += text[index : index + 2]
            index += 2
            continue
        if character == separator:
            parts.append(current)
            current = ""
        else:
            current += character
        index += 1
    return [*parts, current]


def unescape(text: str) -> str:
    """Return the text that an escaped part means."""
    return re.sub(r"\\([,$|\\])", r"\1", text)


def escape(text: str) -> str:
    """Return text in which nothing is read as structure; the inverse of `unescape`."""
    return re.sub(r"([,$|\\])", r"\\\1", text)


def parse_alternatives(text: str) -> list[str]:
    """Return the alternatives of one parameter value, at least one, none empty. Raises MalformedValue."""
    parts = split_escaped(text, ",")
    if any(not part for part in parts):
        raise MalformedValue("an alternative is empty")
    return parts


def parse_value(resource_type: str, parameter: r4.Parameter, text: str) -> str:
    """Return one alternative of a parameter that is not a reference, written anew. Raises MalformedValue."""
    match parameter.type:
        case "token":
            return _rewrite(text, "|", 1, 2)
        case "date":
            if split_prefix(text) is None:
                raise MalformedValue("it is not a date")
            return text
        case "number":
            return _number(text)
        case "quantity":
            number, *unit = split_escaped(text, "|")
            if len(unit) not in (0, 2):
                raise MalformedValue("a quantity is number or number|system|code")
            return "|".join([_number(number), *(escape(unescape(part)) for part in unit)])
        case "string" | "uri":
            return _plain(text)
        case "composite":
            return _composite(resource_type, parameter, text)
    raise MalformedValue("parameters of this kind are not read")


def parse_text(text: str) -> str:
    """Return a text value, as modifiers such as `:text` and `:contains` take it, written anew."""
    return _plain(text)


def parse_identifier(text: str) -> str:
    """Return a token value, as `:identifier` takes it, written anew."""
    return _rewrite(text, "|", 1, 2)


def parse_value_set(text: str) -> str:
    """Return the URL of a value set, as `:in` takes it, written anew."""
    if CANONICAL.fullmatch(text) is None:
        raise MalformedValue("it is not the URL of a value set")
    return escape(unescape(text)).replace("\\|", "|")


def parse_of_type(text: str) -> str:
    """Return a system|code|value triple, as `:of-type` takes it, written anew."""
    return _rewrite(text, "|", 3, 3)


def parse_reference(parameter: r4.Parameter, kind: str, text: str, bases: Bases) -> ReferenceValue:
    """Return the resource a reference value names. `kind`: the type from a `:Type` modifier, or empty.

    Versioned, foreign, conditional and contained references are refused: we could not say whom they mean.
    Raises MalformedValue. Source: FHIR R4 search, "reference".
    """
    plain = unescape(text)
    targets = parameter.target
    if is_id(plain):
        single = targets[0] if len(targets) == 1 and targets != ["*"] else ""
        if not (kind or single):
            raise MalformedValue("an id without a type; write Type/id")
        return ReferenceValue(kind or single, plain)
    local = find_local(plain, bases)
    if local is None or local.version is not None:
        raise MalformedValue("it is not a reference to a resource on this server")
    if (kind and local.type != kind) or not (local.type in targets or targets == ["*"]):
        raise MalformedValue("the parameter does not refer to resources of this type")
    return ReferenceValue(local.type, local.id)


def _rewrite(text: str, separator: str, least: int, most: int) -> str:
    parts = split_escaped(text, separator)
    if not least <= len(parts) <= most or not any(parts):
        raise MalformedValue("the parts separated by | are too few, too many or all empty")
    return separator.join(escape(unescape(part)) for part in parts)


def _plain(text: str) -> str:
    # Outside tokens and composites | and $ mean themselves; servers read both the bare and the escaped form.
    return escape(unescape(text)).replace("\\$", "$").replace("\\|", "|")


def _number(text: str) -> str:
    if NUMBER.fullmatch(text) is None:
        raise MalformedValue("it is not a number")
    return text


def _composite(resource_type: str, parameter: r4.Parameter, text: str) -> str:
    parts = split_escaped(text, "$")
    if len(parts) != len(parameter.components) or any(not part for part in parts):
        raise MalformedValue("the parts of a composite are separated by $")
    known = r4.search_parameters(resource_type)
    written = []
    for component, part in zip(parameter.components, parts, strict=True):
        inner = known.get(component.code)
        if inner is None or inner.type in ("composite", "reference"):
            raise MalformedValue("a part of this composite is not read")
        written.append(parse_value(resource_type, inner, part))
    return "$".join(written)
