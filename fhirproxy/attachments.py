"""Which documents attach a Binary: looked for with our own credentials, kept for five minutes per authority.

What is kept are ids. Before one opens a Binary the document is fetched again and checked like any other.
"""

import hashlib

from fhirproxy.exchange import Exchange
from fhirproxy.policy.attachments import MOST_REFERRERS, REFERRER, ReferrerSearch, attached, referrer_searches
from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.compartments import Unchecked, check, find_unchecked
from fhirproxy.policy.references import Local
from fhirproxy.searching import Position, Sifter
from fhirproxy.timed import TimedCache

KEPT = 300.0  # seconds
MOST_TRIED = 3  # documents fetched again for one Binary

Index = dict[str, tuple[Local, ...]]  # Binary id to the documents that attach it
_indexes: TimedCache[tuple[str, str, str], Index] = TimedCache(max_size=200)


def learn_referrer(unchecked: Unchecked, via: tuple[Grant, ...], authority: Authority, exchange: Exchange) -> None:
    """Put a readable document that attaches the Binary `unchecked` among what is known, if there is one.

    A Binary that says whose it is does not need any. Raises UpstreamError or FhirRefusal.
    """
    if unchecked.type != "Binary" or authority.binary != "referenced" or "securityContext" in unchecked.resource:
        return
    searches = referrer_searches(via, authority)
    key = (exchange.info.tenant, exchange.info.base_url, _digest(searches))
    index = _indexes.get(key, lambda: (_look(searches, authority, exchange), KEPT))
    for local in index.get(unchecked.id, ())[:MOST_TRIED]:
        found = find_unchecked(exchange.learn((local,)).get((local.type, local.id)))
        grants = authority.having("r", local.type)
        if found is not None and check(found, grants, "r", exchange.info.bases) is not None:
            exchange.known[(REFERRER, unchecked.id)] = found.resource
            return


def _look(searches: tuple[ReferrerSearch, ...], authority: Authority, exchange: Exchange) -> Index:
    index: Index = {}
    for one in searches:
        if one.plan.request is None:
            continue
        gathered = _Reader(one.plan, authority, exchange).gather(Position(one.plan.request), MOST_REFERRERS)
        for checked in gathered.matches.values():
            for binary in attached(checked.resource, exchange.info.bases):
                index[binary] = (*index.get(binary, ()), Local(checked.type, checked.id))
    return index


class _Reader(Sifter):
    """A sifter of what may be read, whether or not it may be searched: the client sees nothing of the result."""

    def _letters(self, unchecked: Unchecked) -> str:
        return "r"


def _digest(searches: tuple[ReferrerSearch, ...]) -> str:
    text = repr([(one.plan.request and one.plan.request.target, one.plan.via) for one in searches])
    return hashlib.sha256(text.encode()).hexdigest()
