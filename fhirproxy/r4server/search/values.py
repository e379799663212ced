"""What a search parameter finds in a resource, in the form matching needs; read once per version."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhirproxy.r4server.search.dates import intervals_of
from fhirproxy.r4server.search.parameters import Alternative, SearchParameter
from fhirproxy.r4server.search.paths import Node
from fhirproxy.r4server.search.references import referenced_type, split_reference
from fhirproxy.r4server.store import Version

_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


@dataclass(frozen=True, slots=True)
class Token:
    """A code. `system` is None for a bare code, whose system the element implies."""

    system: str | None
    code: str | None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Amount:
    """A number or quantity between `low` and `high`, both included; None is unbounded."""

    low: Decimal | None
    high: Decimal | None
    system: str = ""
    code: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A reference: "Type/id" and the base in front of it when it is literal, its text, its logical identifier."""

    key: str
    base: str
    text: str
    identifier: Token | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The values of each component below one node of a composite parameter."""

    parts: tuple[tuple[Any, ...], ...]


def values_of(version: Version, parameter: SearchParameter) -> tuple[Any, ...]:
    """Return the values of a parameter in a live resource, of the class that belongs to its kind."""
    known = version.extracted.get(parameter.name)
    if known is None:
        try:
            known = _extract(version, parameter)
        except (AttributeError, KeyError, TypeError, ValueError):
            known = ()  # Anything can be stored; what has the wrong shape is not found, and spoils no other search.
        version.extracted[parameter.name] = known
    return known


def _extract(version: Version, parameter: SearchParameter) -> tuple[Any, ...]:
    root = Node(version.resource, version.resource_type)
    nodes = _reach(root, parameter.alternatives, root)
    if parameter.kind != "composite":
        return _read_all(parameter.kind, nodes)
    return tuple(
        Pair(
            tuple(
                _read_all(part.kind, _reach(root if part.from_resource else node, part.alternatives, root))
                for part in parameter.components
            )
        )
        for node in nodes
    )


def _reach(start: Node, alternatives: tuple[Alternative, ...], root: Node) -> list[Node]:
    return [
        node
        for alternative in alternatives
        for node in alternative.evaluate(start)
        if alternative.reference_type is None or referenced_type(node.value, root.value) == alternative.reference_type
    ]


def _read_all(kind: str, nodes: list[Node]) -> tuple[Any, ...]:
    read = _READERS[kind]
    return tuple(value for node in nodes for value in read(node.value))


def fold(text: str) -> str:
    """Return `text` without case and accents, as string search compares (FHIR R4 search.html#string)."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


def _tokens(value: Any) -> list[Token]:
    if isinstance(value, bool):
        return [Token(None, "true" if value else "false")]
    if isinstance(value, str):
        return [Token(None, value)]
    if not isinstance(value, Mapping):
        return []
    if "coding" in value or "text" in value:  # CodeableConcept
        texts = tuple(filter(None, [value.get("text")]))
        codings = [token for coding in value.get("coding", ()) for token in _tokens(coding)]
        named = [Token(coding.system, coding.code, coding.texts + texts) for coding in codings]
        return named or [Token("", None, texts)]
    if "code" in value or "display" in value:  # Coding
        return [Token(value.get("system", ""), value.get("code"), tuple(filter(None, [value.get("display")])))]
    if "value" in value:  # Identifier, or ContactPoint, whose system is not a code system
        kind = (value.get("type") or {}).get("text")
        system = value.get("system", "")
        return [Token(system if ":" in system else None if system else "", value["value"], (kind,) if kind else ())]
    return [Token(value["system"], None)] if "system" in value else []


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Mapping):
        return []
    parts = [value.get(part) for part in dict.fromkeys(_NAME_PARTS + _ADDRESS_PARTS)]
    flat = [item for part in parts for item in (part if isinstance(part, list) else [part])]
    return [item for item in flat if isinstance(item, str)]


def _amounts(value: Any) -> list[Amount]:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return [Amount(Decimal(value), Decimal(value))]
    if not isinstance(value, Mapping):
        return []
    if "low" in value or "high" in value:  # Range
        low, high = value.get("low") or {}, value.get("high") or {}
        return [Amount(_decimal(low.get("value")), _decimal(high.get("value")), *_unit(low or high))]
    number = _decimal(value.get("value"))
    if number is None:
        return []
    comparator = str(value.get("comparator", ""))
    low_end = None if comparator.startswith("<") else number
    high_end = None if comparator.startswith(">") else number
    return [Amount(low_end, high_end, *_unit(value))]


def _decimal(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _unit(quantity: Mapping[str, Any]) -> tuple[str, str, str]:
    if "currency" in quantity:  # Money: the currency is a code of ISO 4217.
        return "urn:iso:std:iso:4217", quantity["currency"], quantity["currency"]
    return quantity.get("system", ""), quantity.get("code", ""), quantity.get("unit", "")


def _links(value: Any) -> list[Link]:
    if isinstance(value, str):  # canonical or uri
        return [_literal(value, None)]
    if not isinstance(value, Mapping):
        return []
    if "resourceType" in value:  # a resource in place of a reference, as in Bundle.entry.resource
        return [Link(f"{value['resourceType']}/{value.get('id', '')}", "", "")]
    identifiers = _tokens(value["identifier"]) if "identifier" in value else []
    text = value.get("reference")
    if not isinstance(text, str):
        return [Link("", "", "", identifier) for identifier in identifiers]
    return [_literal(text, identifiers[0] if identifiers else None)]


def _literal(text: str, identifier: Token | None) -> Link:
    base, key = split_reference(text) or ("", "")
    return Link(key, base, text, identifier)


def _uris(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else []


_READERS: dict[str, Callable[[Any], list[Any]]] = {
    "token": _tokens,
    "string": _strings,
    "date": intervals_of,
    "reference": _links,
    "quantity": _amounts,
    "number": _amounts,
    "uri": _uris,
}
