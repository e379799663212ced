"""Launches that EHRs begin: a handle for one app, one user and one FHIR base, good once and for five minutes.

A handle says what an app will be told once the user has signed in and allowed it. It signs nobody in and opens nothing.
Source: SMART 2.2 app-launch, "Launch App: EHR Launch".
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from clients.registered import RegisteredClient, find_client
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret
from smartauth.errors import InvalidRequest, Refusal
from smartauth.launch_requests import LaunchRequest
from smartauth.models import Launch
from smartauth.people.models import User
from smartauth.people.rights import find_user_at
from smartauth.policy import granting, redirects
from smartauth.storable import repeatable_url

LONGEST = 200  # characters of what may be one of ours
AGAIN = "Begin again in the EHR."


def begin(
    wanted: LaunchRequest, *, tenant: TenantInfo, ehr: str, context: RequestContext, now: datetime
) -> tuple[str, str]:
    """Store a launch and return its handle and the URL at which the EHR opens the app.

    ehr: the client_id of whoever asks, at `tenant`. Whether the user may see the patient is not asked here: a right to
    begin launches is none to learn who is a patient.    Raises InvalidRequest.
    """
    if endpoints.tenant_of_fhir_base(wanted.iss) != tenant.slug:
        raise InvalidRequest(
            Refusal(
                "launch.iss",
                "iss is not the FHIR base of the tenant the token is for",
                expected=endpoints.fhir_base(tenant.slug),
                seen=repeatable_url(wanted.iss),
                fix="Send the FHIR base URL that the token is for.",
            ),
            "iss is not the FHIR server of this token",
        )
    client = _require_client(wanted.client_id, tenant)
    launch_url = _require_launch_url(client, wanted.launch_url)
    user = _require_user(wanted.user, tenant, now)
    handle = new_secret()
    launch = Launch(
        handle=digest(handle),
        client_id=client.pk,
        tenant_id=tenant.pk,
        user=user,
        begun_by=ehr,
        context=dict(wanted.context),
        created_at=now,
        expires_at=now + config().launch_lifetime,
    )
    event = AuditEvent(
        "launch",
        rule="launch.begun",
        client_id=ehr,
        tenant=tenant.slug,
        user=user.pk,
        patient=launch.patient,
        details={"launch": str(launch.pk), "app": client.client_id, "encounter": launch.encounter},
    )
    with transaction.atomic():
        launch.save(force_insert=True)
        record_now(context, event)
    # The app sends `iss` back as `aud`.
    parameters = {"iss": endpoints.fhir_base(tenant.slug), "launch": handle}
    return handle, redirects.with_parameters(launch_url, parameters)


def require(handle: str, *, client: RegisteredClient, tenant: TenantInfo, now: datetime) -> Launch:
    """Return the launch that an app goes on with: its own, at its tenant, in time, and not used. Raises InvalidRequest.

    Whose it is shows once somebody is signed in.
    """
    launch = Launch.objects.filter(handle=digest(handle)).select_related("tenant").first() if _may_be(handle) else None
    refusal = _why_not(launch, client, tenant, now)
    if launch is None or refusal is not None:
        raise InvalidRequest(refusal or _unknown(), "The launch is not known here, or can no longer be used")
    return launch


def take(launch_id: UUID, now: datetime) -> bool:
    """Use a launch up and return True; False when another request did. Call it in the transaction that uses it.

    One statement decides: of two requests that come at once, the second waits and finds it used.
    """
    return Launch.objects.filter(pk=launch_id, used_at__isnull=True).update(used_at=now) == 1


def used() -> Refusal:
    """Return why a launch that was used is refused."""
    return Refusal("launch.used", "a code was issued for this launch before; each is good once", fix=AGAIN)


def _may_be(handle: str) -> bool:
    return len(handle) <= LONGEST


def _unknown() -> Refusal:
    return Refusal("launch.unknown", "no launch with this handle was begun here, or long ago", fix=AGAIN)


def _why_not(launch: Launch | None, client: RegisteredClient, tenant: TenantInfo, now: datetime) -> Refusal | None:
    """Return why a client cannot go on with a launch. Of one that is not its own it learns nothing else."""
    if launch is None:
        return _unknown()
    if launch.client_id != client.pk:
        return Refusal("launch.not_yours", "the launch was begun for another client", fix=AGAIN)
    if launch.tenant_id != tenant.pk:
        return Refusal(
            "launch.other_tenant",
            "the launch was begun at another FHIR base than aud names",
            expected=endpoints.fhir_base(launch.tenant.slug),
            seen=endpoints.fhir_base(tenant.slug),
            fix="Send as aud the iss that came with the launch.",
        )
    if launch.used_at is not None:
        return used()
    if launch.expires_at <= now:
        seen = f"{int((now - launch.expires_at).total_seconds())} s ago"
        return Refusal("launch.expired", "the launch has expired", seen=seen, fix=AGAIN)
    return None


def _require_client(client_id: str, tenant: TenantInfo) -> RegisteredClient:
    client = find_client(client_id)
    if client is None or not client.is_approved or tenant.slug not in client.activations:
        raise InvalidRequest(
            Refusal(
                "launch.client",
                "no app with this client_id is active at the tenant",
                seen=client_id[:200],
                fix="Ask the operator of the tenant to activate the app.",
            ),
            "client_id names no app of this FHIR server",
        )
    permitted = granting.allowed(client.scope, client.activations[tenant.slug])
    if "authorization_code" not in client.grant_types or "launch" not in map(str, permitted):
        raise InvalidRequest(
            Refusal("launch.client_scope", "the app may not ask for the scope launch here", seen=client.client_id),
            "The app is not registered for launches",
        )
    return client


def _require_launch_url(client: RegisteredClient, wanted: str) -> str:
    """Return the registered URL at which the app is opened; none other ever is."""
    if not client.launch_urls or (wanted and wanted not in client.launch_urls):
        raise InvalidRequest(
            Refusal(
                "launch.url",
                "the app has no launch URL, or not this one",
                expected=" ".join(client.launch_urls)[:500],
                seen=repeatable_url(wanted),
                fix="Have the launch URL registered as launch_urls.",
            ),
            "The launch URL is not registered for the app",
        )
    return wanted or client.launch_urls[0]


def _require_user(name: str, tenant: TenantInfo, now: datetime) -> User:
    user = find_user_at(name, tenant, now=now)
    if user is None:
        raise InvalidRequest(
            Refusal(
                "launch.user",
                "user is nobody who can sign in and has a record or a relation at the tenant, or several are",
                expected="a user name, or the fhirUser of one user",
                seen=name[:200],
            ),
            "user names no user of this FHIR server",
        )
    return user
