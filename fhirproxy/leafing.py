"""Lists that somebody leafs through: each page checked like the first, and where it goes on sealed.

A sealed place leads on for the same person, question, flow and FHIR server only, and carries no authority: what it
leads to is decided about and checked anew. Source: FHIR R4 http, paging.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec

from fhirproxy.exchange import Exchange, UpstreamPage
from fhirproxy.policy.authority import Authority, Grant, patients_digest
from fhirproxy.policy.compartments import Checked, Unchecked
from fhirproxy.policy.decisions import resume_link
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.targets import Pairs, render
from fhirproxy.searching import Gathered, Position, Sifter
from fhirproxy.upstream import UpstreamError
from smartauth.policy.access import Access
from smartauth.records import Place, PlaceLost
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "place in a list"
LONGEST = 64 * 1024  # characters of a sealed place
# Records of one list: who has not found it by then finds it by saying more. It also ends a chain that would not.
MOST_GIVEN = 1_000
MARK = 8  # bytes of a digest by which a record that was given is known again


class _Sealed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    belongs: str  # digest of what the list is
    target: str  # of the upstream page, relative to its base
    skip: int  # matches of that page that earlier pages have dealt with
    given: list[bytes]  # marks of what earlier pages showed


@dataclass(frozen=True, slots=True)
class Asked:
    """A list that is asked for, and where in it. `is_shown`: whether a match is anything that somebody could mean."""

    type: str
    criteria: Pairs
    sort: tuple[str, str]
    place: Place
    is_shown: Callable[[Unchecked], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins: in which list (a digest), where at the upstream, after what (marks)."""

    position: Position
    belongs: str
    given: frozenset[bytes] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page. `start` None: of nothing that could be asked for. `position`: where it goes on, None at the end."""

    found: tuple[Checked, ...] = ()
    start: Start | None = None
    position: Position | None = None
    has_more: bool = False

    @property
    def first(self) -> int:
        """Return which the first of these is in the list, from 1."""
        return len(self.start.given if self.start else ()) + 1


def list_of(access: Access, plan: SearchPlan, asked: Asked, *, base_url: str) -> str:
    """Return a digest that is the same for the same list only.

    It hangs on who asks, through what, about what and whom, which server is asked, and what the list is shown for.
    """
    who = [access.tenant, access.client_id, access.subject, access.user, access.fhir_user, access.patient]
    what = [render((asked.type,), asked.criteria), patients_digest(plan.via), base_url, asked.place.flow]
    return hashlib.sha256(msgspec.json.encode([*who, *what])).hexdigest()


def seal_place(leaf: Leaf, shown: Iterable[Checked], flow: str) -> str:
    """Return the sealed place that follows a page of which these were shown, "" where none does."""
    if not flow or leaf.start is None or leaf.position is None:
        return ""
    given = leaf.start.given | {_mark(one) for one in shown}
    if len(given) >= MOST_GIVEN:
        return ""
    sealed = _Sealed(leaf.start.belongs, leaf.position.request.target, leaf.position.skip, sorted(given))
    return encrypt(msgspec.msgpack.encode(sealed), purpose=PURPOSE)


def open_place(text: str, *, belongs: str) -> Start:
    """Return where a sealed place of this list leads. Raises PlaceLost for any other."""
    if len(text) > LONGEST:
        raise PlaceLost("it is longer than any of ours")
    try:
        sealed = msgspec.msgpack.decode(decrypt(text, purpose=PURPOSE), type=_Sealed)
    except (Unsealable, msgspec.DecodeError):
        raise PlaceLost("it was not sealed here") from None
    request = resume_link(sealed.target)
    if sealed.belongs != belongs or request is None:
        raise PlaceLost("it leads on in another list")
    return Start(Position(request, sealed.skip), belongs, frozenset(sealed.given))


class Leafer(Sifter):
    """Looks past what earlier pages showed, and past what is not for showing.

    When the upstream fails or refuses on the way, what was found before is a page all the same: going on asks again.
    """

    def __init__(
        self,
        plan: SearchPlan,
        authority: Authority,
        exchange: Exchange,
        *,
        start: Start,
        is_shown: Callable[[Unchecked], bool],
    ) -> None:
        # That there are more is said of more that was seen: a next link alone may lead to nothing.
        super().__init__(replace(plan, is_full=False), authority, exchange)
        self._sees_all = plan.is_full
        self._start = start
        self._is_shown = is_shown
        self._met_again = self._met_others = False
        self._so_far: tuple[Gathered, Position | None] = Gathered(), None

    def leaf(self, limit: int) -> Leaf:
        """Return the page that begins there. Raises UpstreamError and FhirRefusal."""
        try:
            gathered = self.gather(self._start.position, limit)
        except (UpstreamError, FhirRefusal):
            gathered, position = self._so_far
            if not gathered.matches or position is None:
                raise
            gathered.following = position
        found = tuple(gathered.matches.values())
        if self._met_again and not self._met_others:  # The upstream goes round in a circle.
            return Leaf(start=self._start)
        has_more = gathered.following is not None or self._is_cut(gathered)
        return Leaf(found, self._start, gathered.following, has_more)

    def check(
        self, unchecked: Unchecked, grants: tuple[Grant, ...], letters: str, neighbours: list[Unchecked]
    ) -> Checked | None:
        """Check one entry that is to be shown and was not."""
        if _mark(unchecked) in self._start.given:
            self._met_again = True
            return None
        self._met_others = True
        return super().check(unchecked, grants, letters, neighbours) if self._is_shown(unchecked) else None

    def _take(self, page: UpstreamPage, position: Position, gathered: Gathered, wanted: int) -> Position | None:
        following = super()._take(page, position, gathered, wanted)
        self._so_far = gathered, Position(page.next) if page.next else None
        return following

    def _is_cut(self, gathered: Gathered) -> bool:
        """Return True when the upstream counts more than it gives pages of, to somebody who may see them all."""
        seen = len(self._start.given) + len(gathered.matches) + self._exchange.removed
        return self._sees_all and not self._met_again and (gathered.upstream_total or 0) > seen


def _mark(one: Checked | Unchecked) -> bytes:
    return hashlib.sha256(f"{one.type}/{one.id}".encode()).digest()[:MARK]
