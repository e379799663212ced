"""A transaction: every entry is judged first, and one that is refused refuses all; then all are sent as one.

Source: FHIR R4 http, "transaction"; SMART 2.2 scopes-and-launch-context, "Batches and Transactions".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fhirproxy.batches import Act, Attempt, as_answered, carry_out
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.bundles import BundleRequest, Entry, at_entry, parse_entry, require_distinct
from fhirproxy.policy.compartments import Checked, find_unchecked, needed
from fhirproxy.policy.decisions import decide, transaction_request
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.judging import Before, Draft, draft, judge_after, to_look_up
from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.plans import Deny, Limits, ReadPlan
from fhirproxy.policy.references import Local
from fhirproxy.policy.shaping import Shaped, bundle_response
from fhirproxy.policy.transactions import Names, Step, known_with, named, require_one_write_each
from fhirproxy.policy.write_outcomes import refusal_of
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.reading import read
from fhirproxy.resolving import resolve
from fhirproxy.supported import as_supported
from fhirproxy.upstream import UpstreamMalformed
from fhirproxy.write_answers import Written, existing_answer, written_answer
from fhirproxy.write_trail import Trail
from fhirproxy.writing import as_create, learn_deeply, look, written
from smartauth.errors import Refusal

BUDGET = 250  # resources one transaction may fetch only to decide about others


@dataclass(slots=True)
class _Work:
    """One entry on its way: what was asked, then what was decided, found and drafted."""

    index: int
    entry: Entry
    plan: ReadPlan | WritePlan
    existing: Checked | None = None
    before: Before | None = None
    drafted: Draft | None = None
    answer: RawResponse | None = None


@dataclass(slots=True)
class Transaction:
    """One transaction of one request."""

    authority: Authority
    limits: Limits
    exchange: Exchange
    trail: Trail
    headers: Headers
    names: Names = field(default_factory=Names)

    def run(self, bundle: BundleRequest, act: Act, attempt: Attempt) -> Shaped:
        """Return the transaction-response. Raises FhirRefusal naming the entry, UpstreamError or AuditUnavailable."""
        self.exchange.budget = BUDGET
        works = self._decided(bundle)
        for work in works:
            with _naming(work.index):
                self._look(work)
        require_one_write_each([work.plan for work in works if isinstance(work.plan, WritePlan) and not work.existing])
        steps = self._judged([work for work in works if isinstance(work.plan, WritePlan) and not work.existing])
        if steps:
            self._send(steps)
        for work in works:
            if work.existing is not None and isinstance(work.plan, WritePlan):
                self.trail.found(work.plan, work.existing)
                work.answer = existing_answer(work.plan, work.existing, self.exchange)
            elif work.answer is None:  # What is read is read last: it shows what the transaction made of it.
                work.answer = carry_out(work.index, work.entry, act, attempt)
        return bundle_response("transaction", [as_answered(work.answer) for work in works if work.answer])

    def _decided(self, bundle: BundleRequest) -> list[_Work]:
        works = []
        for index, tree in enumerate(bundle.entries):
            with _naming(index):
                entry = parse_entry(tree, self.headers, self.authority.bases)
                works.append(_Work(index, entry, self._plan(entry)))
        require_distinct(tuple(work.entry for work in works))
        return works

    def _plan(self, entry: Entry) -> ReadPlan | WritePlan:
        plan = as_supported(decide(entry.interaction, self.authority, self.limits), self.exchange)
        if isinstance(plan, Deny):
            raise plan.as_refusal()
        if not isinstance(plan, ReadPlan | WritePlan):
            refusal = Refusal("transaction.interaction", "a transaction reads by id only", fix="Send a batch.")
            raise FhirRefusal(403, "forbidden", refusal)
        return plan

    def _look(self, work: _Work) -> None:
        """Find out what is there. Reads are tried now, so that one that is refused refuses all."""
        exchange = self.exchange
        if isinstance(work.plan, ReadPlan):
            read(work.plan, self.authority, exchange, work.entry.headers)
            return
        if work.plan.criteria is not None:
            found = resolve(work.plan, work.plan.criteria, self.authority, exchange)
            if isinstance(found, Checked):
                work.existing = found
                self.names.add(work.entry.full_url, found.type, found.id)
                return
            work.plan = found
        if work.plan.verb != "create":
            work.before = look(work.plan, exchange)
            if work.before is None:
                work.plan = as_create(work.plan)
        self.names.add(work.entry.full_url, work.plan.type, work.plan.id)

    def _judged(self, works: list[_Work]) -> list[tuple[_Work, Step]]:
        bases, exchange = self.exchange.info.bases, self.exchange
        for work in works:
            if isinstance(work.plan, WritePlan) and work.plan.verb != "delete":
                with _naming(work.index):
                    work.drafted = named(draft(work.plan, work.before, bases, exchange.known), self.names)
        drafts = [(work.entry.full_url, work.drafted) for work in works if work.drafted]
        gone = frozenset(Local(work.plan.type, work.plan.id) for work in works if work.drafted is None)
        return [(work, self._step(work, drafts, gone)) for work in works]

    def _step(self, work: _Work, drafts: list[tuple[str, Draft]], gone: frozenset[Local]) -> Step:
        plan, exchange = work.plan, self.exchange
        if not isinstance(plan, WritePlan):
            raise AssertionError(plan)
        version = work.before.version if work.before else ""
        if work.drafted is None:
            if work.before is None:
                raise AssertionError(plan)
            return Step(plan, work.before.checked, version)
        bases, unchecked = exchange.info.bases, work.drafted.unchecked
        if not plan.is_full:
            created = set(self.names.created.values())
            wanted = (*needed(unchecked, bases), *to_look_up(work.drafted.mentions))
            learn_deeply(exchange, tuple(local for local in wanted if local not in created))
        exchange.checked += 1
        with _naming(work.index):
            known = known_with(exchange.known, drafts, self.names, gone)
            checked = judge_after(plan, work.before, work.drafted, bases, known)
        return Step(plan, checked, version, work.entry.full_url)

    def _send(self, steps: list[tuple[_Work, Step]]) -> None:
        request = transaction_request(tuple(step for _, step in steps), self.names.urns)
        for _, step in steps:
            self.trail.intend(step.plan, step.version, step.checked)
        answer, bundle = self.exchange.write(request)
        if answer.status != 200:
            raise refusal_of(answer.status, bundle)
        entries = _response_entries(bundle, len(steps))
        self.exchange.known.clear()  # What was known was known of the time before.
        for (work, step), told in zip(steps, entries, strict=True):
            result = self._result(step, told)
            self.trail.done(step.plan, result.id, result.status, step.checked)
            work.answer = written_answer(step.plan, result, self.exchange)

    def _result(self, step: Step, told: Resource) -> Written:
        response = told.get("response")
        status = response.get("status") if isinstance(response, dict) else None
        if not isinstance(response, dict) or not isinstance(status, str) or not status.startswith("2"):
            raise UpstreamMalformed("an entry of a transaction that succeeded did not")
        if step.plan.verb == "delete":
            return Written(204, step.plan.id)
        location = response.get("location")
        found = find_unchecked(told.get("resource"))
        return written(step.plan, found, location if isinstance(location, str) else "", self.exchange)


def _response_entries(bundle: Resource | None, expected: int) -> list[Resource]:
    entries: Json = bundle.get("entry") if bundle else None
    if bundle is None or bundle.get("type") != "transaction-response" or not isinstance(entries, list):
        raise UpstreamMalformed("the answer to a transaction is not a transaction-response")
    objects = [one for one in entries if isinstance(one, dict)]
    if len(objects) != expected:
        raise UpstreamMalformed("the answer to a transaction has another number of entries")
    return objects


@contextmanager
def _naming(index: int) -> Iterator[None]:
    try:
        yield
    except FhirRefusal as refused:
        raise at_entry(index, refused) from None
