"""Authorization endpoint: an app's request is proven, stored, and handed over to our own pages."""

from dataclasses import dataclass, replace

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_noop as _
from django.views.decorators.csrf import csrf_exempt

from clients.authentication import claim_client, repeatable_id
from clients.models import AuthMethod
from clients.registered import RegisteredClient, find_client
from clients.tenants import TenantInfo, find_tenant
from smartauth import endpoints, languages, launches, pending, pushed, rates
from smartauth.browser import PageRefused, ReturnTo, browser_page
from smartauth.context import RequestContext, context_of
from smartauth.errors import InvalidRequest, InvalidTarget, OAuthError, Refusal, UnauthorizedClient
from smartauth.forms import form_fields, is_utf8, query_fields, single_valued
from smartauth.models import Launch, PendingAuthorization
from smartauth.policy import granting
from smartauth.policy.authorization_requests import AuthorizationRequest, forbids_pages, parse_authorization_request
from smartauth.storable import repeatable_url
from smartauth.views.leading_on import CANNOT_START, NOT_ITS_ADDRESS, NOTHING_SHARED, TELL_THEM
from smartauth.views.refused import fail, refuse
from smartauth.views.standing import client_refusal, redirect_uri_refusal, require_launch_scope, require_permitted


@csrf_exempt  # Posted by apps, which have no token of ours; nothing is decided here, and no cookie is read.
@browser_page("GET", "POST", endpoint="authorize")
def authorize(request: HttpRequest, tenant: str | None = None) -> HttpResponse:
    """Authorization endpoint.  Source: RFC 6749 §4.1.1; SMART 2.2 app-launch, "Obtain authorization code".

    The request is stored and the browser sent on to a page of ours by GET: with a POST from another site browsers send
    no cookies, so nobody would seem to be signed in.
    """
    context = context_of(request)
    rates.admit_address(context)
    addressed = _require_addressed(tenant)
    fields = _fields(request)
    client = _require_client(_only(fields, "client_id"), context)
    if any(map(pushed.is_ours, fields.getlist("request_uri"))):
        return _go_on(request, _open_pushed(_only(fields, "request_uri"), client, addressed, context))
    redirect_uri = _require_redirect_uri(client, _only(fields, "redirect_uri"))
    states = fields.getlist("state")
    return_to = ReturnTo(redirect_uri, states[0] if len(states) == 1 and is_utf8(states[0]) else "")
    silent = forbids_pages(" ".join(fields.getlist("prompt")))
    try:
        examined = examine(fields, client, addressed, context)
        _require_not_to_be_pushed(client)
        stored = pending.start(
            examined.wanted,
            client=client,
            tenant=examined.tenant,
            redirect_uri=redirect_uri,
            screened=examined.screened,
            launch=examined.launch,
            now=timezone.now(),
        )
    except OAuthError as error:
        return refuse(request, client, return_to, error, silent=silent)
    except Exception as failure:
        return fail(request, client, return_to, failure, silent=silent)
    return _go_on(request, stored)


@dataclass(frozen=True, slots=True)
class Examined:
    """An authorization request whose parameters hold, apart from client and redirect URI.

    `launch`: what an EHR began that it goes on with, None when it begins by itself.
    """

    wanted: AuthorizationRequest
    tenant: TenantInfo
    screened: granting.Granting
    launch: Launch | None = None


def examine(
    fields: QueryDict, client: RegisteredClient, addressed: TenantInfo | None, context: RequestContext
) -> Examined:
    """Judge everything about a request but its client and redirect URI, here and where requests are pushed.

    Writes `context.tenant`. Raises OAuthError.
    """
    require_one_target(fields)
    parameters = single_valued(fields)
    wanted = parse_authorization_request(parameters)
    if not client.dpop_bound_access_tokens:
        wanted = replace(wanted, dpop_jkt="")  # It gets bearer tokens, whatever it asks for.
    tenant = _require_tenant(parameters, addressed)
    context.tenant = tenant.slug
    permitted = require_permitted(client, tenant)
    launch = _require_launch(client, tenant, wanted) if wanted.launch else None
    screened = granting.screen_app_scopes(
        wanted.scope,
        permitted,
        may_refresh="refresh_token" in client.grant_types,
        is_public=client.token_endpoint_auth_method == AuthMethod.NONE,
        from_ehr=launch is not None,
    )
    return Examined(wanted, tenant, screened, launch)


def require_one_target(fields: QueryDict) -> None:
    """Raise InvalidTarget when a request names several FHIR bases (RFC 8707 §2)."""
    if len(fields.getlist("resource")) > 1:
        raise InvalidTarget(Refusal("target.several", "resource occurs more than once; a token is for one FHIR base"))


def _go_on(request: HttpRequest, stored: PendingAuthorization) -> HttpResponse:
    response = redirect("consent", pk=stored.pk)
    response.status_code = 303
    languages.note_wish(request, response, stored.ui_locale)
    return response


def _open_pushed(
    request_uri: str, client: RegisteredClient, addressed: TenantInfo | None, context: RequestContext
) -> PendingAuthorization:
    """Return the request that the client pushed; whatever else the browser sends with it counts nothing.

    Source: RFC 9126 §4.
    """
    try:
        stored = pushed.open_pushed(request_uri, client=client, addressed=addressed, now=timezone.now())
    except pushed.NotOpened as error:
        raise _page(error.refusal, _("The app's request has expired, was used before, or is not known here.")) from None
    context.tenant = stored.tenant.slug
    return stored


def _require_not_to_be_pushed(client: RegisteredClient) -> None:
    if client.require_pushed_authorization_requests:
        raise InvalidRequest(
            Refusal(
                "authorize.not_pushed",
                "the client is registered to push its authorization requests, and this one was not pushed",
                expected="request_uri from the pushed_authorization_request_endpoint",
                fix="Post the parameters to the pushed_authorization_request_endpoint first.",
            ),
            "The client must use pushed authorization requests",
        )


def _require_addressed(slug: str | None) -> TenantInfo | None:
    tenant = find_tenant(slug) if slug else None
    if slug and tenant is None:
        refusal = Refusal("tenant.unknown", "there is no such tenant", seen=slug)
        raise _page(refusal, _("The app asked for a health record service that is not here."), status=404)
    return tenant


def _fields(request: HttpRequest) -> QueryDict:
    """Return the parameters as they came. On POST they are in the body; a name that is in the URL too is repeated."""
    try:
        if request.method == "GET":
            return query_fields(request)
        fields = form_fields(request).copy()
        for name, values in query_fields(request).lists():
            if name in fields:
                fields.setlist(name, [*fields.getlist(name), *values])
    except OAuthError as error:
        raise _page(error.refusal, _("The app's request cannot be read."), status=error.status) from None
    return fields


def _only(fields: QueryDict, name: str) -> str:
    """Return the one value of a parameter on which it hangs where an error may go, "" when there is none."""
    found = [value for value in fields.getlist(name) if value]
    if len(found) > 1:
        raise _page(
            Refusal("http.parameter_repeated", "a parameter occurs more than once", seen=name),
            _("The app's request is contradictory."),
        )
    return found[0] if found else ""


def _require_client(client_id: str, context: RequestContext) -> RegisteredClient:
    claim_client(context, client_id)
    client = find_client(client_id)
    if client is None:
        seen, fix = repeatable_id(client_id), "Send the client_id the app was registered with."
        refusal = Refusal("client.unknown", "no client has this client_id", seen=seen, fix=fix)
        raise _page(refusal, _("This server does not know the app that sent you here."))
    refusal = client_refusal(client)
    if refusal is not None:
        raise _page(refusal, _("The app that sent you here is not allowed to use this server at the moment."))
    return client


def _require_redirect_uri(client: RegisteredClient, redirect_uri: str) -> str:
    refusal = redirect_uri_refusal(client, redirect_uri)
    if refusal is None:
        return redirect_uri
    raise _page(refusal, NOT_ITS_ADDRESS)


def _require_tenant(parameters: dict[str, str], addressed: TenantInfo | None) -> TenantInfo:
    """Return the tenant that `aud` names. Raises InvalidRequest, or InvalidTarget where it is `resource` that is wrong.

    Source: SMART 2.2 app-launch, "Obtain authorization code", `aud`; RFC 8707 §2.
    """
    expected = addressed.fhir_base if addressed else "a FHIR base of this server"
    fix = "Send aud with the FHIR base URL that the app talks to."
    audience, resource = parameters.get("aud", ""), parameters.get("resource", "")
    if not audience and not resource:
        refusal = Refusal("aud.missing", "aud is missing", expected, fix=fix)
        raise InvalidRequest(refusal, "The parameter aud is missing")
    tenant = _served(audience or resource, addressed)
    if audience and tenant is None:
        refusal = Refusal(
            "aud.unknown", "aud is not the FHIR base of this endpoint", expected, repeatable_url(audience), fix
        )
        raise InvalidRequest(refusal, "aud is not a FHIR server of this system")
    if tenant is None or (resource and _served(resource, addressed) != tenant):
        reason = "resource is not the FHIR base of this endpoint, or not the one in aud"
        raise InvalidTarget(Refusal("target.unknown", reason, expected, repeatable_url(resource), fix))
    return tenant


def _served(url: str, addressed: TenantInfo | None) -> TenantInfo | None:
    """Return the tenant whose FHIR base `url` is, where this endpoint serves it."""
    slug = endpoints.tenant_of_fhir_base(url)
    tenant = find_tenant(slug) if slug else None
    return tenant if addressed is None or tenant == addressed else None


def _require_launch(client: RegisteredClient, tenant: TenantInfo, wanted: AuthorizationRequest) -> Launch:
    """Return the launch the request goes on with. A handle that is not good never begins a launch without an EHR.

    Raises OAuthError, about what the developer has to mend first.
    Source: SMART 2.2 app-launch, "Launch App: EHR Launch", and scopes-and-launch-context.
    """
    if not client.launch_urls:
        fix = "Register the launch URL of the app as launch_urls."
        refusal = Refusal("launch.not_registered", "the client has no launch URL, so no EHR launches it", fix=fix)
        raise UnauthorizedClient(refusal)
    require_launch_scope(granting.parse_registered(wanted.scope))
    return launches.require(wanted.launch, client=client, tenant=tenant, now=timezone.now())


def _page(refusal: Refusal, why: str, *, status: int = 400) -> PageRefused:
    return PageRefused(refusal, title=CANNOT_START, advice=(why, NOTHING_SHARED, TELL_THEM), status=status)
