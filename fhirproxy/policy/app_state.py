"""State that apps keep here: what may be asked and what may be sent, read strictly.

Source: SMART 2.2 app-state, "Managing app state (CRUDS)".
"""

import re
from dataclasses import dataclass
from typing import Literal

from fhirproxy.policy.arrived import method_not_allowed, no_such_place
from fhirproxy.policy.authority import USER_TYPES
from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.headers import Headers, require_json_accepted, require_media
from fhirproxy.policy.outcomes import FhirRefusal, bad_request, unprocessable
from fhirproxy.policy.references import is_id
from fhirproxy.policy.results import Shape, parse_read_parameters
from fhirproxy.policy.sent import SHAPING, Sent
from fhirproxy.policy.targets import Pairs, Target
from fhirproxy.policy.written import RESOURCE_TYPES, read_tree
from smartauth.errors import Refusal

LARGEST = 256 * 1024  # bytes of a body
LONGEST_SYSTEM, LONGEST_CODE = 512, 128  # characters
# A comma would make a query ask for two codes, and a bar or a backslash could be read in two ways.
UNASKABLE = re.compile(r"[|,\\\s]")
ELEMENTS = frozenset({"resourceType", "id", "meta", "code", "subject", "extension"})

Kind = Literal["patient", "user", "global"]


@dataclass(frozen=True, slots=True)
class StateKey:
    """What state is filed under. subject: relative, like Patient/ana; empty for state that is about nobody."""

    subject: str
    system: str
    code: str

    @property
    def kind(self) -> Kind:
        """Return whose it is: a patient's, another person's, or nobody's."""
        if not self.subject:
            return "global"
        return "patient" if self.subject.startswith("Patient/") else "user"

    def as_resource(self) -> Resource:
        """Return the least resource with this key, for a scope's filters to look at."""
        found: Resource = {"resourceType": "Basic", "code": {"coding": [{"system": self.system, "code": self.code}]}}
        return found | ({"subject": {"reference": self.subject}} if self.subject else {})


@dataclass(frozen=True, slots=True)
class StateBody:
    """A body as it will be kept: `members` are code, subject, extensions and profiles, nothing else came."""

    key: StateKey
    members: Resource


@dataclass(frozen=True, slots=True)
class CreateState:
    shape: Shape
    letter = "c"


@dataclass(frozen=True, slots=True)
class UpdateState:
    id: str
    version: str
    shape: Shape
    letter = "u"


@dataclass(frozen=True, slots=True)
class DeleteState:
    id: str
    version: str
    shape: Shape
    letter = "d"


@dataclass(frozen=True, slots=True)
class QueryState:
    key: StateKey
    pairs: Pairs
    shape: Shape
    letter = "s"


@dataclass(frozen=True, slots=True)
class StateCapabilities:
    shape: Shape


StateRequest = CreateState | UpdateState | DeleteState | QueryState


def parse_state_request(
    method: str, target: Target, headers: Headers, *, public_url: str
) -> StateRequest | StateCapabilities:
    """Return what a request below the base of app state asks for. HEAD is read as GET. Bodies are read later.

    public_url: the tenant's FHIR base, on which subjects are.
    Raises FhirRefusal: 400, 404, 405, 406, or 428 for a change that names no version.
    """
    if target.trailing_slash:
        raise no_such_place("target.trailing_slash", "the path ends with a slash")
    verb = "GET" if method == "HEAD" else method
    wanted = _parse(verb, target, headers, public_url)
    require_json_accepted(headers.accept, wanted.shape.formats)
    return wanted


def _parse(verb: str, target: Target, headers: Headers, public_url: str) -> StateRequest | StateCapabilities:
    shape = parse_read_parameters("Basic", tuple(pair for pair in target.pairs if pair[0] in SHAPING))
    others = tuple(pair for pair in target.pairs if pair[0] not in SHAPING)
    match target.segments:
        case ("Basic",) if verb == "GET":
            return QueryState(_asked_key(others, public_url), others, shape)
        case ("metadata" | "Basic",) | ("Basic", _) if others:
            raise bad_request("app_state.parameter", "this takes no such parameter", seen=others[0][0][:64])
        case ("metadata",):
            if verb != "GET":
                raise method_not_allowed("GET, HEAD")
            return StateCapabilities(shape)
        case ("Basic",):
            if verb != "POST":
                raise method_not_allowed("GET, HEAD, POST")
            if headers.if_none_exist:
                raise bad_request("header.if_none_exist", "If-None-Exist is not taken for app state")
            return CreateState(shape)
        case ("Basic", name) if is_id(name):
            if verb not in ("PUT", "DELETE"):
                raise method_not_allowed("PUT, DELETE")
            version = _version(headers)
            return UpdateState(name, version, shape) if verb == "PUT" else DeleteState(name, version, shape)
    raise no_such_place("app_state.place", "there is nothing but Basic below this base")


def _version(headers: Headers) -> str:
    version = Sent(if_match=headers.if_match, if_none_match=headers.if_none_match).version
    if not version:
        fix = 'Send If-Match with the ETag of the version you have: If-Match: W/"1".'
        refusal = Refusal("app_state.if_match", "a change of app state names the version it is about", fix=fix)
        raise FhirRefusal(428, "invalid", refusal, public="Send If-Match with the version this change is about.")
    return version


def _asked_key(pairs: Pairs, public_url: str) -> StateKey:
    """Return the one key a query is about: fixed values, no lists and no modifiers but :missing."""
    given = dict(pairs)
    if len(given) != len(pairs) or set(given) not in ({"code", "subject"}, {"code", "subject:missing"}):
        expected = "code=system|code with subject=<absolute reference> or subject:missing=true"
        raise bad_request("app_state.query", "a query names one code, and one subject or none", expected=expected)
    if given.get("subject:missing", "true") != "true":
        raise bad_request("app_state.query", "subject:missing takes true: name the subject otherwise")
    system, bar, code = given["code"].partition("|")
    if not (bar and system and code) or UNASKABLE.search(system) or UNASKABLE.search(code):
        raise bad_request("app_state.query", "code is exactly one system|code")
    subject = ""
    if "subject" in given:
        subject = _local(given["subject"], public_url)
        if not subject:
            raise bad_request("app_state.query", _subject_rule(), expected=f"{public_url}/Patient/…")
    return StateKey(subject, system, code)


def read_state(content_type: str, data: bytes, *, public_url: str, resource_id: str = "") -> StateBody:
    """Return the body of a create, or of an update of `resource_id`.

    Raises FhirRefusal: 413 beyond 256 KB, 415, 400 for what is no such resource, 422 for what cannot be kept whole.
    """
    if len(data) > LARGEST:
        refusal = Refusal("app_state.size", "app state is at most 256 KB", seen=f"{len(data)} bytes")
        raise FhirRefusal(413, "too-long", refusal)
    require_media(content_type, RESOURCE_TYPES)
    tree = read_tree(data)
    if tree["resourceType"] != "Basic":
        raise bad_request("body.type", "the body is not a resource of the type Basic")
    unknown = sorted(set(tree) - ELEMENTS)
    if unknown:
        reason = "only code, subject and extension are kept, and what cannot be kept is refused"
        raise unprocessable("app_state.element", reason, seen=unknown[0][:64])
    _require_identity(tree, resource_id)
    members: Resource = {"code": tree.get("code"), "extension": _extensions(tree.get("extension", []))}
    system, code = _coding(tree.get("code"))
    subject = ""
    if "subject" in tree:
        subject, members["subject"] = _subject(tree["subject"], public_url), tree["subject"]
    profiles = _profiles(tree.get("meta", {}), is_update=bool(resource_id))
    if profiles:
        members["profile"] = profiles
    return StateBody(StateKey(subject, system, code), {name: value for name, value in members.items() if value != []})


def _require_identity(tree: Resource, resource_id: str) -> None:
    if resource_id:
        if tree.get("id") != resource_id:
            raise bad_request("body.id", "the id in the body is not the id in the path")
    elif "id" in tree:
        raise unprocessable("app_state.id", "new app state has no id: the server gives one", fix="Leave id out.")


def _profiles(meta: Json, *, is_update: bool) -> list[Json]:
    """Return the profiles in meta; what an answer of ours says there besides may come back with an update."""
    known = {"profile", "lastUpdated", "versionId"} if is_update else {"profile"}
    if isinstance(meta, dict) and "versionId" in meta and not is_update:
        fix = "Leave meta.versionId out."
        raise unprocessable("app_state.version_id", "new app state has no versionId: the server gives one", fix=fix)
    profiles = meta.get("profile", []) if isinstance(meta, dict) and set(meta) <= known else None
    if not isinstance(profiles, list) or not all(isinstance(one, str) for one in profiles):
        raise unprocessable("app_state.meta", "of meta only profile is kept")
    return profiles


def _coding(concept: Json) -> tuple[str, str]:
    """Return system and code of a concept with exactly one coding."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    if not isinstance(codings, list) or len(codings) != 1 or not isinstance(codings[0], dict):
        raise unprocessable("app_state.code", "code has exactly one coding")
    found = []
    for name, longest in (("system", LONGEST_SYSTEM), ("code", LONGEST_CODE)):
        text = codings[0].get(name)
        if not isinstance(text, str) or not 0 < len(text) <= longest or UNASKABLE.search(text):
            reason = f"the {name} of the coding has 1 to {longest} characters, no blank, comma, bar or backslash"
            raise unprocessable("app_state.code", reason)
        found.append(text)
    return found[0], found[1]


def _subject(value: Json, public_url: str) -> str:
    literal = value.get("reference") if isinstance(value, dict) else None
    subject = _local(literal, public_url) if isinstance(literal, str) else ""
    declared = value.get("type", subject.partition("/")[0]) if isinstance(value, dict) else None
    if not subject or declared != subject.partition("/")[0]:
        raise unprocessable("app_state.subject", _subject_rule(), fix=f"Write it as {public_url}/Patient/….")
    return subject


def _subject_rule() -> str:
    return f"the subject is an absolute reference on this FHIR base to one of {', '.join(sorted(USER_TYPES))}"


def _local(literal: str, public_url: str) -> str:
    """Return an absolute reference to a person on our base as Type/id, "" for anything else."""
    kind, _, resource_id = literal.removeprefix(f"{public_url}/").partition("/")
    is_ours = literal.startswith(f"{public_url}/") and kind in USER_TYPES and is_id(resource_id)
    return f"{kind}/{resource_id}" if is_ours else ""


def _extensions(values: Json) -> list[Json]:
    """Return extensions that have a text each and nothing within them."""
    if not isinstance(values, list):
        raise unprocessable("app_state.extension", "extension is a list")
    if not all(_is_plain(one) for one in values):
        raise unprocessable("app_state.extension", "each extension has a url and a valueString, and nothing else")
    return values


def _is_plain(extension: Json) -> bool:
    if not isinstance(extension, dict) or set(extension) != {"url", "valueString"}:
        return False
    return all(isinstance(text, str) and text for text in extension.values())


def capability_statement(url: str) -> Resource:
    """Return what the base of app state can do. url: that base.  Source: FHIR R4 capabilitystatement."""
    basic: Resource = {
        "type": "Basic",
        "profile": "http://hl7.org/fhir/smart-app-launch/StructureDefinition/smart-app-state-basic",
        "interaction": [{"code": code} for code in ("create", "update", "delete", "search-type")],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": False,
        "searchParam": [{"name": "code", "type": "token"}, {"name": "subject", "type": "reference"}],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "kind": "instance",
        "implementation": {"description": "What apps remember between launches", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "security": {"cors": True}, "resource": [basic]}],
    }
