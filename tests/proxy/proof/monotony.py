"""T5: a token that says less never shows more."""

from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st

from tests.proxy.oracle import LETTERS, Token
from tests.proxy.proof.generators import app_tokens, kinds_of, reads, requests_for, searches, service_tokens
from tests.proxy.proof.judging import resources_in
from tests.proxy.proof.running import Watch
from tests.proxy.proof.situations import situated
from tests.proxy.proof.vocabulary import CONSTRAINTS
from tests.proxy.proof.world import Request

NAME = "T5 monotony"
PROVEN_IN = ("faithful", "leaky")
MOST_PAGES = 12


class Case(NamedTuple):
    token: Token
    request: Request
    weaker: Token


@st.composite
def weakened(draw: st.DrawFn, token: Token) -> Token:
    """A token with a scope, a letter or a patient less, or a filter more."""
    scopes = list(token.scopes)
    which = draw(st.integers(0, len(scopes) - 1))
    scope = scopes[which]
    match draw(st.sampled_from(("drop", "letter", "filter", "filter", "patients"))):
        case "letter" if "." in scope:
            head, _, rest = scope.partition(".")
            suffix, mark, query = rest.partition("?")
            letters = LETTERS.get(suffix, suffix)
            left = letters.replace(draw(st.sampled_from(letters)), "")
            scopes[which : which + 1] = [f"{head}.{left}{mark}{query}"] if left else []
        case "filter" if (kind := scope.partition("/")[2].partition(".")[0]) in CONSTRAINTS:
            scopes[which] += ("&" if "?" in scope else "?") + draw(st.sampled_from(CONSTRAINTS[kind]))
        case "patients" if token.is_service:
            fewer = frozenset({"ana"}) & (
                token.only_patients if token.only_patients is not None else frozenset({"ana"})
            )
            return replace(token, only_patients=fewer, only_groups=None) if token.only_groups is None else token
        case _ if len(scopes) > 1:
            del scopes[which]
        case _:
            scopes[which] = narrower(scopes[which])
    return replace(token, scopes=tuple(scopes))


def narrower(scope: str) -> str:
    """Return a scope of one type for one of all types; what is of one type already stays as it is."""
    return scope.replace("/*.", "/Observation.", 1) if "?" not in scope else scope


def _cases(token: Token) -> st.SearchStrategy[Case]:
    kinds = kinds_of(token)
    requests = st.one_of(searches(kinds, odd=False), searches(kinds, odd=False), reads(kinds), requests_for(kinds))
    return st.builds(Case, st.just(token), requests, weakened(token))


AT_RANDOM = st.sampled_from((app_tokens(), app_tokens(), service_tokens())).flatmap(lambda one: one).flatmap(_cases)
SITUATED = situated.flatmap(lambda pair: st.builds(Case, st.just(pair[0]), st.just(pair[1]), weakened(pair[0])))
CASES = st.sampled_from((AT_RANDOM, AT_RANDOM, SITUATED)).flatmap(lambda one: one)


def check(watch: Watch, case: Case) -> None:
    watch.world.put(watch.world.shelf, watch.mode)
    less, _ = _shown(watch, case.weaker, case.request)
    if not less:
        watch.case(f"{case.request.interaction}, nothing left")
        return
    more, is_all = _shown(watch, case.token, case.request)
    if is_all:
        assert less <= more, (case, less - more)
        watch.case(case.request.interaction)


def _shown(watch: Watch, token: Token, request: Request) -> tuple[set[str], bool]:
    """Return what a token is shown, and whether that is all there is."""
    found: set[str] = set()
    reply = None
    for reply in watch.world.pages(token, request, MOST_PAGES):
        if reply.status == 200 and reply.body:
            found |= {f"{one['resourceType']}/{one['id']}" for one, _ in resources_in(reply.tree)}
    return found, reply is not None and reply.next_path() is None
