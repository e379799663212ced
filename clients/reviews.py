"""Deciding about what waits: a client that was submitted, or a change of one that was approved before.

Whoever decides has seen one state of it; when it is another by then, nothing is decided.
Source: SMART 2.2 app-launch, "Register App with EHR"; 45 CFR §170.404(b)(1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from clients.acting import LONGEST_REASON, Actor, NotPossible
from clients.activations import activate
from clients.changes import decide_change
from clients.differences import merged
from clients.lifecycle import note_event, take_step
from clients.metadata import ClientMetadata
from clients.models import ChangeRequest, Client, ClientEvent, Review
from clients.registration import describe_metadata, rewrite_client
from clients.tenants import find_tenant
from smartauth.context import RequestContext
from smartauth.policy.scopes import split_scope

Outcome, Status = Review.Outcome, Client.Status
APPROVING = (Outcome.APPROVED, Outcome.NARROWED)
# What made a client wait, where it was not registered by protocol.
SUBMISSIONS = ("submitted", "reviewed_again")
CHECKS: Mapping[str, str] = {
    "publisher": "I know who the publisher is, and that it is really them who ask",
    "purpose": "The purpose is plausible, and people would understand it",
    "scopes": "The scopes are no more than the purpose needs",
    "hosts": "The redirect hosts belong to the publisher",
    "keys": "The keys can be read, and a test of them was good",
    "policy": "I have read the privacy policy",
}


@dataclass(frozen=True, slots=True)
class Matter:
    """What waits. `asked` is the whole metadata as it shall be, `before` what holds until then (empty for new clients).

    `version` stands for exactly this state of it.
    """

    client: Client
    change: ChangeRequest | None
    since: datetime
    asked: Mapping[str, Any]
    before: Mapping[str, Any]
    version: str

    @property
    def is_declined(self) -> bool:
        """Return True for a client that waits no more, and can only be approved after all."""
        return self.client.status == Status.DECLINED

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(split_scope(str(self.asked.get("scope", "")))))

    @property
    def checks(self) -> dict[str, str]:
        """Return the checklist, without what does not concern such a client."""
        left_out = set()
        if not self.asked.get("redirect_uris"):
            left_out.add("hosts")
        if self.asked.get("token_endpoint_auth_method") != "private_key_jwt":
            left_out.add("keys")
        if not self.asked.get("policy_uri"):
            left_out.add("policy")
        return {name: text for name, text in CHECKS.items() if name not in left_out}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided. `keep` are the scopes it gets; `activate` maps slugs to the most it may have there, "" for all.

    `reason` is for the owner, `note` for the hospital alone.
    """

    outcome: Review.Outcome
    checked: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()
    activate: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    note: str = ""


def find_matter(client: Client) -> Matter | None:
    """Return what can be decided about a client, or None: also about one that was declined and may yet be approved."""
    if client.status in (Status.SUBMITTED, Status.DECLINED):
        began = client.events.filter(act__in=SUBMISSIONS).values_list("at", flat=True).first()
        asked = describe_metadata(client)
        return Matter(client, None, began or client.created, asked, {}, f"client {client.updated.isoformat()}")
    if client.status in (Status.APPROVED, Status.SUSPENDED):
        change = client.change_requests.filter(state=ChangeRequest.State.OPEN).first()
        if change is not None:
            now = describe_metadata(client)
            asked = merged(now, change.before, change.wanted)
            return Matter(client, change, change.requested_at, asked, now, f"change {change.pk}")
    return None


def decide(
    client_id: str,
    verdict: Verdict,
    *,
    seen: str,
    by: Actor,
    context: RequestContext,
    hints: tuple[str, ...] = (),
) -> Review:
    """Decide about what waits, and keep on what grounds.

    seen: the version of the matter that was looked at.    hints: rules of the risk hints that were shown.
    Raises NotPossible: it is another matter by now, or the verdict lacks something; InvalidClientMetadata where the
    rules have changed since it was asked for.
    """
    with transaction.atomic():
        client = Client.objects.select_for_update().get(client_id=client_id)
        matter = _require_same(find_matter(client), client, seen)
        _require_complete(matter, verdict)
        left_out = tuple(one for one in matter.scopes if one not in verdict.keep)
        left_out = left_out if verdict.outcome == Outcome.NARROWED else ()
        _carry_out(matter, verdict, left_out, by, context)
        return Review.objects.create(
            client=client,
            change=matter.change,
            outcome=verdict.outcome,
            checked=sorted(verdict.checked & set(matter.checks)),
            hints=list(hints),
            left_out=list(left_out),
            reason=verdict.reason.strip(),
            note=verdict.note.strip(),
            user_id=by.user,
        )


def problems_of(matter: Matter, verdict: Verdict) -> dict[str, str]:
    """Return what a verdict lacks, by the field where it is to be mended."""
    found = {}
    approves = verdict.outcome in APPROVING
    kept = [one for one in matter.scopes if one in verdict.keep]
    if not approves and not verdict.reason.strip():
        found["reason"] = "It takes a reason. The owner of the client reads it."
    if approves and set(matter.checks) - verdict.checked and not verdict.note.strip():
        found["note"] = "Not everything on the checklist is ticked. Say here why it is approved all the same."
    if verdict.outcome == Outcome.APPROVED and len(kept) < len(matter.scopes):
        found["keep"] = 'Scopes are unticked. Choose "Approve with fewer scopes", or tick them again.'
    if verdict.outcome == Outcome.NARROWED and not kept:
        found["keep"] = "Leave at least one scope ticked, or decline it."
    if verdict.outcome == Outcome.NARROWED and len(kept) == len(matter.scopes):
        found["keep"] = "Untick the scopes it shall not get."
    if verdict.outcome == Outcome.RETURNED and matter.change is not None:
        found["outcome"] = (
            "A change is not sent back. Decline it and say what would be accepted; the app goes on as it is."
        )
    if not approves and matter.is_declined:
        found["outcome"] = "It is declined already. Its owner may mend it and submit it again."
    if not approves and verdict.activate:
        found["activate"] = "A client that is not approved is not activated. Untick it, or approve the client."
    return found


def _require_same(matter: Matter | None, client: Client, seen: str) -> Matter:
    if matter is not None and matter.version == seen:
        return matter
    last = ClientEvent.objects.filter(client=client).select_related("user").first()
    who = f"{last.user or last.get_actor_display()}: {last.act.replace('_', ' ')}" if last else ""
    reason = "it has changed since you looked" if matter else "it waits no more"
    raise NotPossible("review.changed", reason, seen=who, fix="Look at it as it is now, then decide.")


def _require_complete(matter: Matter, verdict: Verdict) -> None:
    for name, why in problems_of(matter, verdict).items():
        raise NotPossible(f"review.{name}", why, fix="Mend it and send it again.")


def _carry_out(matter: Matter, verdict: Verdict, left_out: tuple[str, ...], by: Actor, context: RequestContext) -> None:
    client, reason = matter.client, _told(verdict, left_out)
    approves = verdict.outcome in APPROVING
    scope = " ".join(one for one in matter.scopes if one not in left_out)
    if matter.change is not None:
        if left_out:
            # What was asked for is kept in the review; the request is what is put in force.
            before = {**matter.change.before, "scope": matter.before.get("scope", "")}
            wanted = {**matter.change.wanted, "scope": scope}
            ChangeRequest.objects.filter(pk=matter.change.pk).update(before=before, wanted=wanted)
        decide_change(matter.change.pk, approve=approves, by=by, context=context, reason=reason)
    else:
        if left_out:
            narrowed = ClientMetadata.from_json(describe_metadata(client) | {"scope": scope}, operator=True)
            rewrite_client(client, narrowed)
            note_event(client, "narrowed", by=by, context=context, reason=f"Without {', '.join(left_out)}")
        step = "approved" if approves else verdict.outcome.value
        take_step(client.client_id, step, by=by, context=context, reason=reason)
    for slug, allowed in verdict.activate.items():
        tenant = find_tenant(slug)
        if tenant is None:
            raise NotPossible(
                "review.tenant", "there is no such hospital any more", seen=slug, fix="Load the page again."
            )
        activate(client, tenant, allowed_scope=allowed, by=by, context=context, note=verdict.reason.strip())


def _told(verdict: Verdict, left_out: tuple[str, ...]) -> str:
    """Return what the owner reads: the reason, and what was asked for and is not given, as far as there is room."""
    reason = verdict.reason.strip()
    without = f"Not given: {', '.join(left_out)}." if left_out else ""
    return " ".join(filter(None, (reason, without[: max(0, LONGEST_REASON - len(reason) - 1)])))
