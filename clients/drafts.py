"""Filling in a registration: of a new client, or of one its owner wants otherwise. Nothing typed is lost on the way.

A draft may be wrong in any way; only `submit` demands that nothing is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clients.acting import BY_ITSELF, Actor, NotPossible, owner
from clients.activations import activate, deactivate, request_activation
from clients.app_kinds import KINDS, kind_of
from clients.changes import request_change
from clients.client_secrets import OWNERS_LIFETIME
from clients.differences import merged
from clients.findings import (
    STEPS,
    TENANTS,
    Finding,
    as_metadata,
    find_problems,
    private_key_sent,
    without_private_keys,
)
from clients.inline_keys import remind_of_new_keys
from clients.lifecycle import note_event, take_step
from clients.metadata import ClientMetadata
from clients.models import ChangeRequest, Client, Draft
from clients.registration import describe_metadata, register_client, rewrite_client
from clients.serializers import is_storable
from clients.tenants import TenantInfo, find_tenant
from smartauth.conf import config
from smartauth.context import RequestContext

GONE = "draft.gone"  # the rule of a draft that was submitted or deleted
MOST_DRAFTS = 50  # of one owner
LONGEST_ANSWERS = 200_000  # characters, as JSON
MEMBERS = frozenset(member for members in STEPS.values() for member in members)
Status = Client.Status


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a draft. `secret` is known now and never again; `change` is what waits for the operator."""

    client: Client
    secret: str | None = field(default=None, repr=False)
    change: ChangeRequest | None = None


class Unfinished(Exception):
    """The draft cannot be submitted yet. `findings` say why, field by field."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(f"{len(findings)} things are to be mended")
        self.findings = findings


def begin(user: int, kind: str) -> Draft:
    """Begin a registration with what its kind presets. Raises NotPossible for an unknown kind or too many drafts."""
    if kind not in KINDS:
        raise NotPossible("draft.kind", f"the kind must be one of {', '.join(KINDS)}", seen=str(kind)[:50])
    if Draft.objects.filter(owner=user).count() >= MOST_DRAFTS:
        raise NotPossible("draft.too_many", f"there are {MOST_DRAFTS} drafts already", fix="Submit or delete some.")
    return Draft.objects.create(owner_id=user, kind=kind, answers=dict(KINDS[kind].preset))


def revise(client: Client, user: int) -> Draft:
    """Return the draft in which the owner changes a client, made from what is registered unless there is one.

    Raises NotPossible for a client that waits for a decision, is suspended, or is retired.
    """
    if client.status not in (Status.DRAFT, Status.DECLINED, Status.APPROVED):
        fix = "Withdraw it first." if client.status == Status.SUBMITTED else "Ask the operator."
        raise NotPossible(
            "draft.status", f"a client that is {client.status} is not changed", seen=client.status, fix=fix
        )
    # A hospital that switched it off is asked again only where its owner says so.
    places = client.activations.filter(Q(is_active=True) | Q(decided_at=None), tenant__is_active=True)
    wanted = [*places.values_list("tenant__slug", flat=True)]
    answers = {name: value for name, value in describe_metadata(client).items() if name in MEMBERS}
    known = answers | {TENANTS: wanted}
    begun = {"kind": kind_of(client), "answers": known, "before": known}
    draft, _ = Draft.objects.get_or_create(client=client, defaults={"owner_id": user, **begun})
    if draft.owner_id != user:  # The client has come to somebody else.
        draft.owner_id = user
        draft.save(update_fields=["owner"])
    return draft


def save_answers(draft: Draft, answers: Mapping[str, Any], *, whole: bool = False) -> tuple[Finding, ...]:
    """Keep answers, those given or all (`whole`), and return what is wrong with the draft now.

    Members nobody knows are left out. A private key is never kept: that it was sent is a finding.
    Raises NotPossible for what cannot be stored at all, and for a draft that is gone.
    """
    given = {name: value for name, value in answers.items() if name in MEMBERS}
    _require_storable(given)
    kept, private = without_private_keys(given)
    with transaction.atomic():
        stored = _locked(draft.pk)  # Another window may have saved another step.
        draft.answers = kept if whole else {**stored.answers, **kept}
        draft.save(update_fields=["answers", "changed_at"])
    found = problems_of(draft)
    if private:
        silent = {*private, "jwks_uri"} if "jwks" in private else {*private}
        found = (*map(private_key_sent, private), *(one for one in found if one.member not in silent))
    return found


def problems_of(draft: Draft) -> tuple[Finding, ...]:
    """Return what keeps a draft from being submitted."""
    present = draft.client.scope if draft.client else ""
    found = list(find_problems(draft.kind, draft.answers, present=present))
    wanted = draft.answers.get(TENANTS, [])
    known = isinstance(wanted, list) and all(isinstance(one, str) and find_tenant(one) for one in wanted)
    if not known:
        found.append(Finding(TENANTS, "draft.tenant", "there is no such hospital here", "Choose among those listed."))
    elif not wanted:
        found.append(Finding(TENANTS, "draft.tenants_missing", "it is needed", "Choose where the app shall work."))
    return tuple(found)


def submit(draft: Draft, *, user: int, context: RequestContext) -> Submitted:
    """Make a draft what it was for: a new client, one submitted again, or a change of an approved one; it is gone then.

    In the sandbox the client is approved and active at once; elsewhere both wait for the hospital. Where it is not to
    work any more it is switched off at once.
    Raises Unfinished, NotPossible, and InvalidClientMetadata where a change would weaken the client.
    """
    by = owner(user)
    with transaction.atomic():
        if draft.client_id is not None:
            Client.objects.select_for_update().get(pk=draft.client_id)  # Before the draft: see `changes.py`.
        draft = _locked(draft.pk)
        _require_own(draft, user)
        found = problems_of(draft)
        if found:
            raise Unfinished(found)
        tenants = [tenant for slug in draft.answers[TENANTS] if (tenant := find_tenant(slug))]
        metadata = _metadata(draft)
        if draft.client is None:
            done = _register(draft, metadata, user, context)
        elif draft.client.status == Status.APPROVED:
            client, change, secret = request_change(draft.client.client_id, metadata, by=by, context=context)
            done = Submitted(client, secret, change)
        else:
            done = _submit_again(draft, metadata, user, context)
        for tenant in tenants:
            request_activation(done.client, tenant, by=by, context=context)
        for slug in left_out(draft):
            _leave(done.client, slug, by, context)
        if config().is_sandbox:
            done = Submitted(_approve_by_itself(done.client, tenants, context), done.secret, done.change)
        draft.delete()
    return done


def left_out(draft: Draft) -> tuple[str, ...]:
    """Return the slugs of the hospitals where the client worked, or waited, when the draft was begun, and shall not any
    more. One that switched it on meanwhile was in no form, and is not meant."""
    wanted = draft.answers.get(TENANTS) or []
    return tuple(one for one in draft.before.get(TENANTS, ()) if one not in wanted)


def _leave(client: Client, slug: str, by: Actor, context: RequestContext) -> None:
    """Switch a client off where its owner took it out, unless the hospital did so meanwhile or is closed."""
    tenant = find_tenant(slug)
    found = client.activations.filter(Q(is_active=True) | Q(decided_at=None), tenant__slug=slug).exists()
    if tenant is not None and found:
        deactivate(client, tenant, by=by, context=context, note="Its owner took it out here.")


def _require_storable(answers: Mapping[str, Any]) -> None:
    """Raise NotPossible for answers that cannot be kept at all, and name the first."""
    for name, value in answers.items():
        if not is_storable(value):
            reason = f"{name} has control characters, or is no text or JSON that can be kept"
            raise NotPossible("draft.answers", reason, fix="Type it again, without what cannot be seen.")
    sizes = {name: len(str(value)) for name, value in answers.items()}
    if sum(sizes.values()) > LONGEST_ANSWERS:
        longest = max(sizes, key=lambda name: sizes[name])
        raise NotPossible(
            "draft.answers",
            f"the answers are too long, {longest} most of all",
            seen=f"{sizes[longest]} characters",
            fix=f"Shorten it: all of them together have at most {LONGEST_ANSWERS} characters.",
        )


def _locked(pk: int) -> Draft:
    draft = Draft.objects.select_for_update(of=("self",)).select_related("client").filter(pk=pk).first()
    if draft is None:
        raise NotPossible(GONE, "the draft was submitted or deleted", fix="Look among your apps.")
    return draft


def _metadata(draft: Draft) -> dict[str, Any]:
    """Return what was answered: for a client that exists, what it is by now with what the draft changes."""
    answers = as_metadata(draft.kind, draft.answers)
    if draft.client is None:
        return answers
    return merged(describe_metadata(draft.client), as_metadata(draft.kind, draft.before), answers)


def _require_own(draft: Draft, user: int) -> None:
    """Raise NotPossible for a client that came to somebody else while its former owner was writing."""
    if draft.client is not None and draft.client.user_id != user:
        raise NotPossible("draft.not_yours", "the client belongs to somebody else by now", fix="Ask the operator.")


def _register(draft: Draft, metadata: dict[str, Any], user: int, context: RequestContext) -> Submitted:
    registered = register_client(
        metadata, operator=False, approved=False, owner=user, secret_expires_at=timezone.now() + OWNERS_LIFETIME
    )
    client = registered.client
    client.kind = draft.kind
    client.registration_source = Client.RegistrationSource.MANUAL
    client.save(update_fields=["kind", "registration_source"])
    note_event(client, "submitted", by=owner(user), context=context)
    remind_of_new_keys(client, None, context=context)
    return Submitted(client, registered.secret)


def _submit_again(draft: Draft, metadata: dict[str, Any], user: int, context: RequestContext) -> Submitted:
    client = Client.objects.select_for_update().get(pk=draft.client_id)
    keys = client.client_jwks
    secret = rewrite_client(
        client,
        ClientMetadata.from_json(metadata, operator=False),
        secret_expires_at=timezone.now() + OWNERS_LIFETIME,
    )
    client = take_step(client.client_id, "submitted", by=owner(user), context=context)
    remind_of_new_keys(client, keys, context=context)
    return Submitted(client, secret)


def _approve_by_itself(client: Client, tenants: list[TenantInfo], context: RequestContext) -> Client:
    reason = "The sandbox approves by itself; elsewhere somebody at the hospital does it."
    if client.status == Status.SUBMITTED:
        client = take_step(client.client_id, "approved", by=BY_ITSELF, context=context, reason=reason)
    for tenant in tenants:
        if not client.activations.filter(tenant_id=tenant.pk, is_active=True).exists():
            activate(client, tenant, allowed_scope="", by=BY_ITSELF, context=context, note=reason)
    return client
