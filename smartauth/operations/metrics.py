"""The facts of a moment as metrics of Prometheus.  Source: Prometheus exposition formats, text-based format.

A label is a kind, a status or a rule of ours, and for open key findings the client_id: never a name, a user or a
patient, and never more series than a dashboard can bear.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from smartauth.operations.facts import Facts


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(facts: Facts | None, *, marks_read_ago: float | None, accept: str = "") -> tuple[bytes, str]:
    """Return a scrape and its content type, in the format the scraper accepts.

    facts: None where the database does not answer; then little more than that is told.    marks_read_ago: seconds
    since this process last read the marks of changes, None before the first time.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(_families(facts, marks_read_ago)))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _families(facts: Facts | None, marks_read_ago: float | None) -> Iterator[Metric]:
    yield _one("smartauth_database_up", "1 while the database answers", 0 if facts is None else 1)
    if marks_read_ago is not None:
        yield _one(
            "smartauth_marks_read_age_seconds",
            "Since the marks of changes were last read here, as every worker does",
            marks_read_ago,
        )
    if facts is not None:
        yield _one("smartauth_database_answer_seconds", "How long this scrape's questions took", facts.answered_in)
        yield from _registry(facts)
        yield from _key_sets(facts)
        yield from _refusals(facts)
        yield from _signing_keys(facts)
        if facts.newest_audit_at is not None:
            age = _age(facts, facts.newest_audit_at)
            yield _one("smartauth_audit_record_age_seconds", "Since the newest audit record", age)


def _registry(facts: Facts) -> Iterator[Metric]:
    yield _by("smartauth_clients", "Registered clients", "status", facts.clients)
    if facts.oldest_submitted_at is not None:
        age = _age(facts, facts.oldest_submitted_at)
        yield _one("smartauth_oldest_submitted_client_age_seconds", "Since the client that waits longest changed", age)
    yield _one(
        "smartauth_activations_waiting",
        "Activations nobody has decided on, of clients that are submitted or approved",
        facts.activations_waiting,
    )
    yield _one("smartauth_change_requests_waiting", "Changes of approved clients that wait", facts.changes_waiting)


def _key_sets(facts: Facts) -> Iterator[Metric]:
    yield _by("smartauth_key_findings", "Open findings about key sets of clients", "kind", facts.findings_by_kind)
    ages = GaugeMetricFamily(
        "smartauth_key_finding_age_seconds",
        "Since an open finding about the key set of a client was first seen; the oldest 200",
        labels=["kind", "client_id"],
    )
    for one in facts.findings:
        ages.add_metric([one.kind, one.client_id], _age(facts, one.since))
    yield ages
    last = facts.last_round
    if last is not None:
        age = _age(facts, last.ended_at)
        yield _one("smartauth_key_watch_age_seconds", "Since the last round of the watch over key sets ended", age)
        yield _one("smartauth_key_watch_key_sets", "Key sets the last round looked at", last.key_sets)
        yield _one("smartauth_key_watch_failed", "Key sets it could not judge, by a fault of ours", last.failed)


def _refusals(facts: Facts) -> Iterator[Metric]:
    told = GaugeMetricFamily(
        "smartauth_refusals_last_hour",
        "Refusals of the last hour that left a receipt",
        labels=["endpoint", "error"],
    )
    for (endpoint, error), count in sorted(facts.refusals.items()):
        told.add_metric([endpoint, error], count)
    yield told
    yield _by(
        "smartauth_refusals_only_counted_last_hour",
        "Refusals of the last hour without a receipt, in a flood",
        "rule",
        facts.only_counted,
    )


def _signing_keys(facts: Facts) -> Iterator[Metric]:
    ages = GaugeMetricFamily(
        "smartauth_signing_key_age_seconds",
        "Since one of our keys came into its state: active keys, and next keys that wait",
        labels=["purpose", "alg", "state"],
    )
    for one in facts.signing_keys:
        if one.state != "retired":
            ages.add_metric([one.purpose, one.alg, one.state], _age(facts, one.since))
    yield ages
    states = Counter(key.state for key in facts.signing_keys)
    counts = {state: states[state] for state in ("next", "active", "retired")}
    yield _by("smartauth_signing_keys", "Our signing keys", "state", counts)


def _one(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _by(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _age(facts: Facts, then: datetime) -> float:
    return max(0.0, (facts.at - then).total_seconds())
