"""T4: what the authority holds is not withheld: entry by entry what the server itself says to the same search.

The direct answer is taken from the server behind, in one page, and the oracle takes away what is outside.
"""

import json
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from hypothesis import assume
from hypothesis import strategies as st

from fhirproxy.r4server.store import Version
from smartauth.policy import r4
from tests.proxy.oracle import LETTERS, PUBLIC, TYPES, Token, reach
from tests.proxy.proof.generators import app_tokens, granular_tokens, instances, kinds_of, searches, service_tokens
from tests.proxy.proof.judging import Judge
from tests.proxy.proof.running import Watch
from tests.proxy.proof.situations import mostly_situated
from tests.proxy.proof.world import MARKER, Request, World

NAME = "T4 utility"
PROVEN_IN = ("faithful",)
MOST_PAGES = 40
# Parameters that change what is told of each resource, or how many there are, but not which ones there are.
DEFAULT_COUNT, LARGEST_COUNT = 50, 500  # matches on a page, as the tenant has it
SHAPES = frozenset({"_count", "_summary", "_elements", "_total", "_pretty", "_format"})


class Case(NamedTuple):
    token: Token
    request: Request


def _requests(token: Token) -> st.SearchStrategy[Request]:
    kinds = kinds_of(token)
    reads = instances(kinds).map(lambda where: Request("read", f"/{where}"))
    return st.one_of(searches(kinds, odd=False), searches(kinds, odd=False), reads)


AT_RANDOM = st.sampled_from((app_tokens(), app_tokens(), service_tokens(), granular_tokens())).flatmap(
    lambda tokens: tokens.flatmap(lambda token: st.tuples(st.just(token), _requests(token)))
)
CASES = (
    mostly_situated(AT_RANDOM)
    .filter(lambda pair: pair[1].interaction in ("read", "search"))
    .map(lambda pair: Case(*pair))
)


def check(watch: Watch, case: Case) -> None:
    watch.world.put(watch.world.shelf, "faithful")
    judge = Judge(case.token, watch.world.shelf)
    if case.request.interaction == "read":
        _check_read(watch, case, judge)
    else:
        _check_search(watch, case, judge)
    watch.case(case.request.interaction)


def _check_read(watch: Watch, case: Case, judge: Judge) -> None:
    kind, _, resource_id = case.request.path[1:].partition("/")
    version = watch.world.shelf.store.find(kind, resource_id)
    reply = watch.world.ask(case.token, case.request)
    may = version is not None and version.resource is not None and judge.admits(_marker(version), "r")
    assert (reply.status == 200) == may, (case, reply.status)
    if may:
        assert reply.tree == _ours(version, watch.world), case
    watch.saw(reply.status)


def _check_search(watch: Watch, case: Case, judge: Judge) -> None:
    kind, pairs = _taken_apart(case.request)
    plain = not SHAPES & {name for name, _ in pairs} - {"_count", "_total", "_pretty", "_format"}
    assume(dict(pairs).get("_count") != "0" and dict(pairs).get("_summary") != "count")
    is_due = _is_due(case.token, kind, pairs, watch.world)
    replies = list(watch.world.pages(case.token, case.request, MOST_PAGES))
    watch.saw(replies[0].status)
    if replies[0].status != 200:
        assert replies[0].status == 400 or not is_due, case
        return
    assert is_due, case
    pairs += [*_narrowing(case.token, kind, pairs, watch.world), *_pushed_down(case.token, kind, pairs)]
    wanted = [version for version in _direct(watch.world, kind, pairs) if judge.admits(_marker(version), "s")]
    matches, includes = _entries(replies)
    expected = [_marker(version) for version in wanted]
    shown, is_all = [one for one, _ in matches], replies[-1].next_path() is None
    if watch.world.keeps_order:
        assert shown == (expected if is_all else expected[: len(shown)]), case
    else:
        assert len(shown) == len(set(shown)), (case, "twice")
        missing, added = sorted(set(expected) - set(shown)), sorted(set(shown) - set(expected))
        assert not added, (case, "added", [watch.world.shelf.version_of(one).key for one in added])
        assert not (is_all and missing), (case, [watch.world.shelf.version_of(one).key for one in missing])
    if plain:
        for marker, resource in matches:
            assert resource == _ours(watch.world.shelf.version_of(marker), watch.world), case
    if reach(case.token, kind, "s", watch.world.shelf.state) != "everybody":
        _check_pages(replies, pairs, case)
    totals = {reply.tree["total"] for reply in replies[:1] if "total" in reply.tree}
    assert totals <= {len(expected)}, (case, totals, len(expected))
    if replies[-1].next_path() is None:
        _check_includes(watch, case, judge, wanted, {one for one, _ in includes})
    watch.saw("match", len(matches))
    watch.saw("include", len(includes))


def _check_pages(replies: list[Any], pairs: list[tuple[str, str]], case: Case) -> None:
    """Each page but the last holds as many matches as were asked for: a gap would tell of something hidden."""
    count = min(int(dict(pairs).get("_count", DEFAULT_COUNT)), LARGEST_COUNT)
    sizes = [sum(entry["search"]["mode"] == "match" for entry in reply.tree.get("entry", [])) for reply in replies]
    assert all(size == count for size in sizes[:-1]), (case, sizes)
    assert len(sizes) == 1 or sizes[-1] > 0, (case, sizes)


def _check_includes(watch: Watch, case: Case, judge: Judge, matches: list[Version], shown: set[str]) -> None:
    kind, pairs = _taken_apart(case.request)
    world = watch.world
    brought: dict[str, set[str]] = {}
    for pair in [pair for pair in pairs if "include" in pair[0]]:
        found = world.bring(kind, matches, pair)
        assume(found is not None)
        # A reverse include is a search of its type, so nothing but the letter s will do.
        letters = "s" if pair[0] == "_revinclude" else "rs"
        # A stored reference may name a type its element does not take; that brings nothing along.
        source, _, name = pair[1].partition(":")
        known = r4.search_parameters(source).get(name.partition(":")[0]) if letters == "rs" else None
        for version in found or ():
            if known is None or version.resource_type in known.target or known.target == ["*"]:
                brought.setdefault(_marker(version), set()).add(letters)
    expected = {one for one, letters in brought.items() if any(judge.admits(one, each) for each in letters)}
    expected -= {_marker(version) for version in matches}
    # The page a resource came on may hold only some of its matches, so it can be a match here and an include there.
    shown -= {_marker(version) for version in matches}
    differing = [world.shelf.version_of(one).key for one in shown ^ expected]
    assert shown == expected, (case, differing)


def _is_due(token: Token, kind: str, pairs: list[tuple[str, str]], world: World) -> bool:
    """Say whether an answer is owed: the type was granted and can be searched, and nobody else is named."""
    patients = reach(token, kind, "s", world.shelf.state)
    if TYPES[kind]["class"] == "operator":
        return kind in token.operator_types and any(kind in scope or "/*." in scope for scope in token.scopes)
    if patients == "everybody":
        return True
    named = {
        part.removeprefix("Patient/")
        for name, value in pairs
        for part in value.split(",")
        if name == "patient" or part.startswith("Patient/")
    }
    is_searchable = TYPES[kind]["class"] in ("shared", "conditional") or TYPES[kind].get("narrow") is not None
    return bool(patients) and named <= patients and is_searchable


def _narrowing(token: Token, kind: str, pairs: list[tuple[str, str]], world: World) -> list[tuple[str, str]]:
    """Return the filter by which a search is confined to the patients of a token, where the type has one."""
    patients, facts = reach(token, kind, "s", world.shelf.state), TYPES[kind]
    if patients == "everybody" or facts["class"] not in ("compartment", "patient-self", "derived-targets"):
        return []
    if kind == "Provenance" and "patient" not in dict(pairs):
        return []
    name = facts["narrow"]
    return [(name, ",".join(one if name == "_id" else f"Patient/{one}" for one in sorted(patients)))]


def _pushed_down(token: Token, kind: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the reference filters of the one scope that applies: the upstream finds fewer spellings than we know."""
    scopes = [
        scope for scope in dict.fromkeys(token.scopes) if scope.partition("/")[2].partition(".")[0] in ("*", kind)
    ]
    searching = [scope for scope in scopes if "s" in _letters(scope)]
    if len(searching) != 1:
        return []
    filters = parse_qsl(searching[0].partition("?")[2])
    return [(name, value) for name, value in filters if name in ("subject", "encounter") and name not in dict(pairs)]


def _letters(scope: str) -> str:
    suffix = scope.partition("?")[0].partition(".")[2]
    return LETTERS.get(suffix, suffix)


def _direct(world: World, kind: str, pairs: list[tuple[str, str]]) -> list[Version]:
    """Return what the server finds, all of it, in order."""
    found = world.find(kind, _absolute([(name, value) for name, value in pairs if _chooses(name)]))
    assume(found is not None)
    return found or []


def _chooses(name: str) -> bool:
    return name not in SHAPES and "include" not in name


def _absolute(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value.replace(f"{PUBLIC}/", "")) for name, value in pairs]


def _entries(replies: list[Any]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    found: dict[str, list[tuple[str, Any]]] = {"match": [], "include": []}
    for reply in replies:
        assert reply.status == 200, reply.body
        for entry in reply.tree.get("entry", []):
            number = MARKER.findall(json.dumps(entry["resource"]["meta"]))[0]
            found[entry["search"]["mode"]].append((f"mRk{number}Z", entry["resource"]))
    return found["match"], found["include"]


def _taken_apart(request: Request) -> tuple[str, list[tuple[str, str]]]:
    path, _, query = request.path.partition("?")
    return path.split("/")[1], parse_qsl(query) + parse_qsl(request.body.decode())


def _ours(version: Version, world: World) -> Any:
    """Return a stored version as it leaves: our base instead of the upstream's, where a URL begins with it."""
    tree = json.loads(version.raw)
    if tree["resourceType"] == "Bundle":
        tree.pop("link", None)
    return _with_our_base(tree, world.upstream)


def _with_our_base(value: Any, upstream: str) -> Any:
    if isinstance(value, dict):
        return {name: _with_our_base(one, upstream) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_our_base(one, upstream) for one in value]
    if isinstance(value, str) and value.lower().startswith(f"{upstream}/") and "\n" not in value:
        return PUBLIC + value[len(upstream) :]
    return value


def _marker(version: Version) -> str:
    return str((version.resource or {})["meta"]["tag"][0]["code"])
