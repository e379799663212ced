"""What a body refers to, and our public base taken out of it.

A reference is a claim that others will rely on: whoever may read a document may read what it points at. So what a
confined writer points at is found here and judged. Source: FHIR R4 references, datatypes ("Attachment").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.outcomes import unprocessable
from fhirproxy.policy.references import DEFAULT_PORTS, Base, Bases, Local, find_local
from smartauth.policy import r4

MAX_TARGETS = 50
URL_NAMES = ("url", "uri", "canonical")
# What ends the part of a canonical or an attachment URL that names a resource.
TAIL = re.compile(r"[|#?]")
URN = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(slots=True)
class Mentions:
    """What one body refers to on our bases. `is_unclear`: a URL of ours that names no resource we could judge."""

    locals: set[Local] = field(default_factory=set)
    urns: set[str] = field(default_factory=set)
    is_unclear: bool = False


def take_mentions(resource: Resource, bases: Bases, *, apart_from: frozenset[str] = frozenset()) -> Mentions:
    """Return what `resource` refers to, and rewrite it in place: references become relative, other URLs the upstream's.

    apart_from: top-level elements that are rewritten but not counted.
    Raises FhirRefusal (422) for a reference that is a search, or that cannot be read.
    """
    mentions = Mentions()
    for name, value in resource.items():
        taken = Mentions() if name in apart_from else mentions
        resource[name] = _rewritten(name, value, bases, taken)
    return mentions


def renamed(tree: Json, names: Mapping[str, str], name: str = "") -> Json:
    """Return a copy of `tree` in which references and URLs that say exactly a key of `names` say its value."""
    if isinstance(tree, dict):
        return {inner: renamed(value, names, inner) for inner, value in tree.items()}
    if isinstance(tree, list):
        return [renamed(value, names, name) for value in tree]
    if isinstance(tree, str) and (name == "reference" or name.lower().endswith(URL_NAMES)):
        return names.get(tree, tree)
    return tree


def _rewritten(name: str, value: Json, bases: Bases, mentions: Mentions) -> Json:
    if isinstance(value, dict):
        for inner, one in value.items():
            value[inner] = _rewritten(inner, one, bases, mentions)
        return value
    if isinstance(value, list):
        return [_rewritten(name, one, bases, mentions) for one in value]
    if not isinstance(value, str) or name == "div":
        return value
    if name == "reference":
        return _reference(value, bases, mentions)
    return _url(value, bases, mentions, is_url=name.lower().endswith(URL_NAMES))


def _reference(text: str, bases: Bases, mentions: Mentions) -> str:
    if text.startswith("#"):
        return text
    if text[:4].lower() == "urn:":
        _count_urn(text, mentions)
        return text
    if "://" in text and bases.relative(text) is None and not re.search(r"\s", text):
        return text  # Somebody else's server: data, which nobody here resolves.
    local = find_local(text, bases)
    if local is None:
        raise unprocessable(
            "write.reference_form",
            "a reference on this server is not the address of one resource",
            fix="Write Type/id; find the id by a search first.",
        )
    mentions.locals.add(Local(local.type, local.id))
    return f"{local}/_history/{local.version}" if local.version else str(local)


def _url(text: str, bases: Bases, mentions: Mentions, *, is_url: bool) -> str:
    """A server resolves attachments against its base, so a relative URL that names a type is a reference too."""
    text, original = text.strip(), text
    if re.search(r"\s", original) and not is_url:
        return original
    if is_url:
        _count_urn(text, mentions)
    if "://" not in text:
        if is_url and any(r4.is_resource_type(part) for part in re.split(r"[/?#|]", text)[:-1]):
            _count(text, bases, mentions)
        return text
    rest = bases.relative(text)
    if rest is None:
        return text
    if not _count(rest, bases, mentions) or bases.public.relative(text) is None:
        return text
    return f"{_url_of(bases.upstream[0])}/{rest}"


def _count_urn(text: str, mentions: Mentions) -> None:
    if text.lower().startswith("urn:uuid:"):
        mentions.urns.add(text)


def _url_of(base: Base) -> str:
    port = "" if base.port == DEFAULT_PORTS[base.scheme] else f":{base.port}"
    return "/".join((f"{base.scheme}://{base.host}{port}", *base.segments))


def _count(rest: str, bases: Bases, mentions: Mentions) -> bool:
    """Return True when what follows our base names one resource, which is then counted."""
    local = find_local(TAIL.split(rest, maxsplit=1)[0], bases)
    if local is not None:
        mentions.locals.add(Local(local.type, local.id))
    elif any(r4.is_resource_type(part) for part in re.split(r"[/?#|]", unquote(rest))):
        mentions.is_unclear = True
    return local is not None
