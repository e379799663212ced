"""T6: a request is read in one way only, and what arrives upstream was written by us, to the last byte.

Reading what was written gives the same value; whatever is read at all is plain. Every request that arrives has our
grammar, our headers and no word of the client's headers, and asks for no more than the token could be shown.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from hypothesis import strategies as st

from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.references import make_bases
from fhirproxy.policy.requests import SearchType, parse_request
from fhirproxy.policy.targets import parse_target, render
from smartauth.policy import r4
from tests.proxy.oracle import PUBLIC, TYPES, Token, are_inside, may_be_shown, reach
from tests.proxy.proof.generators import asked
from tests.proxy.proof.noise import HEADERS, Noise, Pairs, make_noise
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import MODES, PREFIX, Request, World

NAME = "T6 canonical"
PROVEN_IN = MODES
TARGET = re.compile(
    r"/r4(?:/[A-Za-z0-9\-._$]+)*(?:\?(?:[A-Za-z0-9\-._~$%]+=[A-Za-z0-9\-._~$%]*)(?:&[A-Za-z0-9\-._~$%]+=[A-Za-z0-9\-._~$%]*)*)?"
)
# A path as it is written: a star, which stands for all types, is the only escape.
PLAIN = re.compile(r"((%2A|[A-Za-z0-9\-._$])+(/(?!\.{1,2}(/|$))(%2A|[A-Za-z0-9\-._$])+)*)?")
# Headers by which a request of ours may arrive; those of a body only where there is one.
OURS = frozenset({"host", "accept", "accept-encoding", "prefer", "user-agent", "x-request-id", "authorization"})
OF_A_BODY = frozenset({"content-type", "content-length", "if-match"})
ANA = Token(("patient/*.rs",), patient="ana", client="app")
CONTROL = frozenset({"_getpages", "_getpagesoffset"})


class Case(NamedTuple):
    token: Token
    request: Request
    noise: Noise


CASES = st.builds(lambda pair, seed: Case(*pair, make_noise(seed)), asked, st.integers(0, 1_000_000))


def check(watch: Watch, case: Case) -> None:
    _check_round_trip(case.noise.segments, case.noise.pairs)
    _check_reading(case.noise.raw)
    _check_refused(watch.world, case.noise.never)
    _check_meaning(case.request)
    world = watch.world
    world.put(world.shelf, watch.mode)
    request = Request(case.request.interaction, case.request.path, case.request.method,
                      case.request.headers + case.noise.headers, case.request.body)  # fmt: skip
    for reply in world.pages(case.token, request, 2):
        watch.saw(reply.status)
    for one in world.received():
        _check_arrived(one)
        if watch.mode != "hostile":  # Whose links lead to what we never asked for.
            _check_narrowed(case.token, one["target"], world)
            _check_includes(case.token, one["target"], world)
        watch.saw("arrived")
    watch.case(case.request.interaction)


def _check_round_trip(segments: tuple[str, ...], pairs: Pairs) -> None:
    written = render(segments, pairs)
    read = parse_target(f"{PREFIX}/{written}", prefix=PREFIX)
    assert (read.segments, read.pairs) == (segments, pairs), written
    assert render(read.segments, read.pairs) == written


def _check_reading(raw: str) -> None:
    """Whatever comes is refused, or read as plain segments, and as the same again from what we write."""
    try:
        read = parse_target(f"{PREFIX}/{raw}", prefix=PREFIX)
    except FhirRefusal:
        return
    assert PLAIN.fullmatch(render(read.segments, ())), raw
    again = parse_target(f"{PREFIX}/{render(read.segments, read.pairs)}", prefix=PREFIX)
    assert (again.segments, again.pairs) == (read.segments, read.pairs), raw


def _check_meaning(request: Request) -> None:
    """Writing a search as it was understood, and reading that, changes nothing."""
    bases: Any = _bases()
    try:
        wanted = parse_request("GET", parse_target(PREFIX + request.path, prefix=PREFIX), Headers(), b"", bases)
    except FhirRefusal:
        return
    if not isinstance(wanted, SearchType):
        return
    pairs = tuple(criterion.as_pair() for criterion in wanted.query.criteria)
    again = parse_request(
        "GET", parse_target(f"{PREFIX}/{render((wanted.type,), pairs)}", prefix=PREFIX), Headers(), b"", bases
    )
    assert isinstance(again, SearchType)
    assert again.query.criteria == wanted.query.criteria, request


def _bases() -> object:
    return make_bases(PUBLIC, ("http://127.0.0.1:9/r4",))


def _check_refused(world: World, never: tuple[str, str]) -> None:
    """What nobody may send is refused, not ignored, although everything else about the request is good."""
    is_header = never in HEADERS
    query = "code=718-7" if is_header else urlencode([never])
    world.put(world.shelf, "faithful")
    reply = world.ask(ANA, Request("refused", f"/Observation?{query}", headers=(never,) if is_header else ()))
    assert reply.status in (400, 403, 415), never
    assert world.received() == [], never


def _check_narrowed(token: Token, target: str, world: World) -> None:
    """A search for a restricted token says once, and only once, whose resources it is about, or of what inside."""
    path, _, query = target.removeprefix("/r4/").partition("?")
    patients = _reach(token, path, world) if path in TYPES else "everybody"
    if patients == "everybody" or TYPES[path]["class"] not in ("compartment", "patient-self", "derived-targets"):
        return
    pairs = parse_qsl(query)
    said = [value for name, value in pairs if name == TYPES[path]["narrow"]]
    if TYPES[path]["class"] == "derived-targets" and not said:
        about = [one for name, value in pairs if name == "target" for one in value.split(",")]
        assert about, target
        assert are_inside(about, patients, world.shelf.state), target
        return
    named = [{one.removeprefix("Patient/") for one in value.split(",")} for value in said]
    assert len(said) == 1, target
    assert named[0] <= patients, (target, patients)


def _reach(token: Token, kind: str, world: World) -> Any:
    """Return whose resources of a type a token may be shown in any way, for some searches are our own."""
    reached = [reach(token, kind, letter, world.shelf.state) for letter in "rs"]
    return "everybody" if "everybody" in reached else set().union(*reached)


def _check_includes(token: Token, target: str, world: World) -> None:
    """Nothing is asked to come along of which the token could be shown nothing."""
    for name, value in parse_qsl(target.partition("?")[2]):
        if not name.startswith(("_include", "_revinclude")):
            continue
        source, parameter, *rest = value.split(":")
        brought = rest or r4.search_parameters(source)[parameter].target
        letters, kinds = ("s", [source]) if name.startswith("_rev") else ("rs", brought)
        assert "*" in kinds or any(may_be_shown(token, kind, letters, world.shelf.state) for kind in kinds), target


def _check_arrived(one: dict[str, Any]) -> None:
    target, names = one["target"], {name.lower() for name, _ in one["headers"]}
    assert TARGET.fullmatch(target), target
    has_body = one["method"] in ("PUT", "POST", "PATCH", "DELETE")
    assert names <= (OURS | OF_A_BODY if has_body else OURS), names
    assert len(one["headers"]) == len(names), one["headers"]
    assert has_body or (one["method"] == "GET" and one["body"] == ""), one
    everything = " ".join([target, one["body"], *(f"{name}: {value}" for name, value in one["headers"])])
    assert "poison" not in unquote(everything).lower(), everything
    path, _, query = target.removeprefix("/r4").partition("?")
    assert path in ("", "/metadata") or r4.is_resource_type(path.split("/")[1]), path
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        # Links of the upstream's own making are followed as they are; everything else is spelled in one way.
        if name not in CONTROL:
            assert quote(unquote(name), safe="-._~$") == name, target
            assert quote(unquote(value), safe="-._~$") == value, target
