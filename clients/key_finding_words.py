"""What the watch over key sets found, in words: what it means and what to do. Pure.

The same sentences for the partner, who has to mend it, and for the operator, who has to call the partner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from clients.key_watch import Kind


@dataclass(frozen=True, slots=True)
class Words:
    """One kind of finding. `title` is a short sentence without a full stop, the rest are whole ones."""

    title: str
    explanation: str
    fix: str


WORDS: Mapping[Kind, Words] = {
    Kind.UNREACHABLE: Words(
        "The key set cannot be read",
        "The server could not fetch the key set. A copy from before works until its time is over; then every assertion "
        "is refused.",
        "Mend what the rule says, and look at the URL from outside your own network.",
    ),
    Kind.UNREADABLE: Words(
        "What the URL answers is no key set",
        "The answer could not be read as a JWK Set. A copy from before works until its time is over; then every "
        "assertion is refused.",
        'Publish a JSON object with an array "keys" of at most 100 public keys (RFC 7517 §5).',
    ),
    Kind.PRIVATE_KEY: Words(
        "A private key is published",
        "Whoever has read the key set can sign as this client. The whole set is refused.",
        "Make a new key pair, publish only its public part, and never use the old one again.",
    ),
    Kind.EMPTY: Words(
        "The key set has no key that could be used",
        "No RSA or EC key with a kid is published, so no assertion can be verified.",
        "Publish an RSA or EC key with a kid.",
    ),
    Kind.KID_CLASH: Words(
        "Two keys have the same name",
        "An assertion names its key by kid. Where several have it, none is chosen.",
        "Give each key a kid of its own, for example its RFC 7638 thumbprint.",
    ),
    Kind.UNFIT_KEY: Words(
        "A published key cannot be used",
        "No assertion can be verified with it, whoever signs. The other keys go on working.",
        "Replace the key, or take it off the list.",
    ),
    Kind.VANISHED: Words(
        "A key in use is no longer published",
        "The client signed with this key lately, and nothing it signs with it is accepted any more.",
        "Publish the key again, or sign with one that is published. Keep a key for 15 minutes after its last use.",
    ),
    Kind.NO_OVERLAP: Words(
        "All keys were replaced at once",
        "No key of the set before is published any more. What was signed with one of them is refused.",
        "Sign with a new key now. Next time publish the new key first, sign with it, and take the old one away later.",
    ),
    Kind.CERTIFICATE: Words(
        "The certificate of the host is about to expire",
        "When it has expired the key set cannot be read any more.",
        "Renew the certificate.",
    ),
}


def details_in_words(details: Mapping[str, object]) -> str:
    """Say what a finding noted: rules, kids and numbers, each on its own. "" where it noted nothing."""
    parts = []
    if "reason" in details:
        parts.append(f"{details['reason']} ({details.get('rule', '')})")
    for name, word in (("kids", "keys"), ("gone", "gone"), ("came", "new")):
        listed = details.get(name)
        if isinstance(listed, list) and listed:
            parts.append(f"{word}: {', '.join(str(one) for one in listed)}")
    rules = details.get("rules")
    if isinstance(rules, Mapping):
        parts += [f"{kid}: {rule}" for kid, rule in rules.items()]
    if "days_left" in details:
        days = int(str(details["days_left"]))
        parts.append(f"{in_words(timedelta(days=days)) if days else 'less than a day'} left")
    return "; ".join(parts)


def in_words(span: timedelta) -> str:
    """Say how long a time is, in one unit and rounded down: "45 seconds", "1 hour"."""
    seconds = max(0, int(span.total_seconds()))
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size or size == 1:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'}"
    raise AssertionError("the last unit fits always")
