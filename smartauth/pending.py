"""Authorization requests on their way to an answer: stored, bound to one browser and one user, answered once."""

from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction

from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth.conf import config
from smartauth.languages import first_supported
from smartauth.models import Launch, PendingAuthorization
from smartauth.policy.authorization_requests import AuthorizationRequest
from smartauth.policy.granting import Granting


def start(
    wanted: AuthorizationRequest,
    *,
    client: RegisteredClient,
    tenant: TenantInfo,
    redirect_uri: str,
    screened: Granting,
    now: datetime,
    launch: Launch | None = None,
    pushed_as: str = "",
) -> PendingAuthorization:
    """Store a request whose client, redirect URI and parameters are proven.

    launch: what an EHR began that it goes on with.    pushed_as: the digest of the request_uri by which a browser will
    name it, "" when a browser brought it itself.
    """
    lifetime = config().pushed_lifetime if pushed_as else config().pending_lifetime
    return PendingAuthorization.objects.create(
        client_id=client.pk,
        tenant_id=tenant.pk,
        redirect_uri=redirect_uri,
        state=wanted.state,
        scope=screened.scope,
        dropped=" ".join(f"{one.scope} ({one.rule})" for one in screened.dropped)[:2_000],
        code_challenge=wanted.code_challenge,
        nonce=wanted.nonce,
        prompts=sorted(wanted.prompts),
        max_age=wanted.max_age,
        dpop_jkt=wanted.dpop_jkt,
        ui_locale=first_supported(wanted.ui_locales),
        request_uri=pushed_as,
        launch=launch,
        created_at=now,
        expires_at=now + lifetime,
    )


def find(pk: UUID) -> PendingAuthorization | None:
    """Return a stored request with its client and tenant, answered and expired ones too."""
    return PendingAuthorization.objects.select_related("client", "tenant", "launch").filter(pk=pk).first()


def find_tenant_slug(pk: UUID) -> str:
    """Return at which tenant a stored request was made, "" for none that is known."""
    return PendingAuthorization.objects.filter(pk=pk).values_list("tenant__slug", flat=True).first() or ""


def bind_to_browser(pending: PendingAuthorization, browser: str) -> bool:
    """Give a request to the first browser that opens it; return whether it is this one's. `browser`: a digest."""
    if not pending.browser:
        PendingAuthorization.objects.filter(pk=pending.pk, browser="").update(browser=browser)
        pending.refresh_from_db(fields=["browser"])
    return pending.browser == browser


def bind_to_user(pending: PendingAuthorization, user: int) -> None:
    """Let `user` be the one who answers. What somebody else chose before, and their open forms, count no more."""
    if pending.user_id != user:
        _turn_page(pending, user_id=user, patient="", encounter=None)


def choose_patient(pending: PendingAuthorization, patient: str) -> None:
    """Note the patient in whose record the app may look; a form that was shown for another one counts no more."""
    if pending.patient != patient:
        _turn_page(pending, patient=patient, encounter=None)


def choose_encounter(pending: PendingAuthorization, encounter: str | None) -> None:
    """Note the visit the launch is about, "" for none of them, None for a choice that is to be made again."""
    if pending.encounter != encounter:
        _turn_page(pending, encounter=encounter)


def lock_unanswered(pending: PendingAuthorization, *, page: UUID) -> bool:
    """Lock the request and return True while it waits for the answer to `page`. Call it inside a transaction."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("the answer must be given in the transaction that holds the lock")
    rows = PendingAuthorization.objects.select_for_update().filter(pk=pending.pk, page=page, answered_at__isnull=True)
    return bool(list(rows.values_list("pk", flat=True)))


def is_answered(pending: PendingAuthorization) -> bool:
    """Return whether somebody answered a request, also since it was loaded."""
    return PendingAuthorization.objects.filter(pk=pending.pk, answered_at__isnull=False).exists()


def mark_answered(pending: PendingAuthorization, now: datetime) -> None:
    """Close the request: nothing can answer it again."""
    PendingAuthorization.objects.filter(pk=pending.pk).update(answered_at=now)


def _turn_page(pending: PendingAuthorization, **values: object) -> None:
    changes = {**values, "page": uuid4()}
    PendingAuthorization.objects.filter(pk=pending.pk, answered_at__isnull=True).update(**changes)
    for name, value in changes.items():
        setattr(pending, name, value)
