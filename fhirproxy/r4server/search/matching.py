"""One search value, read once, as a test on the values a parameter finds.  Source: FHIR R4 search.html#ptypes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.search.dates import Interval, parse_date
from fhirproxy.r4server.search.references import split_reference
from fhirproxy.r4server.search.values import Amount, Link, Token, fold

Test = Callable[[Any], bool]

_PREFIXED = re.compile(r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?(?P<rest>.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\$,|])")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value as it stands in the query, with what is needed to read it."""

    text: str
    modifier: str
    own_base: str  # this server's base URL with a trailing slash: references under it are local


def split_escaped(text: str, separator: str) -> list[str]:
    """Split at `separator` where no backslash stands before it (FHIR R4 search.html#escaping)."""
    parts, current, at = [], "", 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            current += text[at : at + 2]
            at += 2
            continue
        if text[at] == separator:
            parts.append(current)
            current = ""
        else:
            current += text[at]
        at += 1
    return [*parts, current]


def unescape(text: str) -> str:
    """Return a value without the backslashes that protect ``$``, ``,``, ``|`` and themselves."""
    return _ESCAPED.sub(r"\1", text)


def token_test(wanted: Wanted) -> Test:
    """``code``, ``system|code``, ``|code`` or ``system|``; with ``:text`` the start of a display text."""
    if wanted.modifier == "text":
        start = fold(unescape(wanted.text))
        return lambda token: any(fold(text).startswith(start) for text in token.texts)
    parts = [unescape(part) for part in split_escaped(wanted.text, "|")]
    if len(parts) > 2:
        raise FhirError(400, "invalid", "a token has at most one |")
    code = parts[-1]
    if len(parts) == 1:
        return lambda token: token.code == code
    system = parts[0]

    def matches(token: Token) -> bool:
        # A bare code has the system its element is bound to, which this server takes on trust.
        same_system = token.system is None or token.system == system
        return same_system and (token.code == code or (code == "" and system != ""))

    return matches


def string_test(wanted: Wanted) -> Test:
    """The start of a string without case and accents; ``:contains`` anywhere; ``:exact`` to the letter."""
    text = unescape(wanted.text)
    if wanted.modifier == "exact":
        return lambda value: value == text
    folded = fold(text)
    if wanted.modifier == "contains":
        return lambda value: folded in fold(value)
    return lambda value: fold(value).startswith(folded)


def uri_test(wanted: Wanted) -> Test:
    """The exact URI, a canonical's version aside; ``:below`` and ``:above`` compare by prefix."""
    text = unescape(wanted.text)
    if wanted.modifier == "below":
        return lambda value: value.startswith(text)
    if wanted.modifier == "above":
        return lambda value: text.startswith(value)
    return lambda value: value == text or value.partition("|")[0] == text


def reference_test(wanted: Wanted) -> Test:
    """``id``, ``Type/id``, a URL, or with a type as modifier an id; local and foreign references never meet."""
    if wanted.modifier == "identifier":
        same = token_test(Wanted(wanted.text, "", wanted.own_base))
        return lambda link: link.identifier is not None and same(link.identifier)
    text = unescape(wanted.text)
    own = ("", wanted.own_base)
    if wanted.modifier:
        typed = text if "/" in text else f"{wanted.modifier}/{text}"
        return lambda link: link.key == typed and link.base in own and link.key.startswith(f"{wanted.modifier}/")
    literal = split_reference(text)
    if literal is None:
        ending = f"/{text}"
        return lambda link: (link.key.endswith(ending) and link.base in own) or _names(link, text)
    base, key = literal
    bases = own if base in own else (base,)
    return lambda link: link.key == key and link.base in bases


def _names(link: Link, text: str) -> bool:
    return not link.key and bool(link.text) and text in (link.text, link.text.partition("|")[0])


def date_test(wanted: Wanted) -> Test:
    """A date with an optional prefix, compared as intervals.  Source: FHIR R4 search.html#prefix."""
    prefix, rest = _split_prefix(wanted.text)
    try:
        bounds = parse_date(rest.replace(" ", "+"))  # a zone's + that arrived unencoded
    except ValueError as error:
        raise FhirError(400, "invalid", "not a date") from error
    low, high = bounds.low, bounds.high

    def inside(at: Interval) -> bool:
        return low <= at.low and at.high <= high

    tests: dict[str, Callable[[Interval], bool]] = {
        "eq": inside,
        "ne": lambda at: not inside(at),
        "gt": lambda at: at.high > high,
        "lt": lambda at: at.low < low,
        "ge": lambda at: at.high > high or inside(at),
        "le": lambda at: at.low < low or inside(at),
        "sa": lambda at: at.low >= high,
        "eb": lambda at: at.high <= low,
        "ap": lambda at: at.low < high and low < at.high,
    }
    return tests[prefix]


def number_test(wanted: Wanted) -> Test:
    """A number with an optional prefix; without one, within its implicit precision."""
    return _amount_test(wanted.text)


def quantity_test(wanted: Wanted) -> Test:
    """``[prefix]number``, or with ``|system|code``; a code without system matches the unit's text too."""
    number, *unit = [unescape(part) for part in split_escaped(wanted.text, "|")]
    in_range = _amount_test(number)
    if not unit:
        return in_range
    if len(unit) != 2:
        raise FhirError(400, "invalid", "a quantity is number or number|system|code")
    system, code = unit

    def matches(amount: Amount) -> bool:
        if system:
            return amount.system == system and amount.code == code and in_range(amount)
        return code in ("", amount.code, amount.unit) and in_range(amount)

    return matches


def _amount_test(text: str) -> Callable[[Amount], bool]:
    prefix, rest = _split_prefix(text)
    try:
        value = Decimal(rest)
    except InvalidOperation as error:
        raise FhirError(400, "invalid", "not a number") from error
    if not value.is_finite() or abs(value.adjusted()) > 1000:
        raise FhirError(400, "invalid", "not a number")
    half = Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)
    tenth = abs(value) / 10

    def within(amount: Amount, margin: Decimal) -> bool:
        if amount.low is None or amount.high is None:
            return False
        return value - margin <= amount.low and amount.high < value + margin

    tests: dict[str, Callable[[Amount], bool]] = {
        "eq": lambda amount: within(amount, half),
        "ne": lambda amount: not within(amount, half),
        "gt": lambda amount: amount.high is None or amount.high > value,
        "lt": lambda amount: amount.low is None or amount.low < value,
        "ge": lambda amount: amount.high is None or amount.high >= value,
        "le": lambda amount: amount.low is None or amount.low <= value,
        "sa": lambda amount: amount.low is not None and amount.low > value,
        "eb": lambda amount: amount.high is not None and amount.high < value,
        "ap": lambda amount: within(amount, max(tenth, half)),
    }
    return tests[prefix]


def _split_prefix(text: str) -> tuple[str, str]:
    matched = _PREFIXED.fullmatch(text)
    if matched is None:
        raise FhirError(400, "invalid", "a search value cannot be read")
    return matched["prefix"] or "eq", matched["rest"]


TESTS: dict[str, Callable[[Wanted], Test]] = {
    "token": token_test,
    "string": string_test,
    "uri": uri_test,
    "reference": reference_test,
    "date": date_test,
    "number": number_test,
    "quantity": quantity_test,
}
