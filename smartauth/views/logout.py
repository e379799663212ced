"""Where apps send people to sign out here. Who asks is proven first; the person is asked when the app cannot show
that it means exactly them.

Source: OIDC RP-Initiated Logout 1.0.
"""

from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop as _
from django.views.decorators.csrf import csrf_exempt

from clients.registered import RegisteredClient, find_client
from clients.tenants import find_tenant
from smartauth.browser import PageRefused, RedirectToClient, allow_form_to_end_at, browser_page
from smartauth.context import RequestContext, context_of
from smartauth.errors import OAuthError, Refusal
from smartauth.forms import form, query_fields, single_valued
from smartauth.hints import Hint, read_hint
from smartauth.languages import first_supported, note_wish
from smartauth.policy import redirects
from smartauth.policy.authorization_requests import MOST_LOCALES
from smartauth.sealing import Unsealable, decrypt, encrypt
from smartauth.storable import repeatable_url

PURPOSE = "logout"
LONGEST_WAIT = timedelta(minutes=15)  # from the app's request to the person's answer
LONGEST_STATE = 2_048  # characters; it travels once more in an address of ours


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A proven request. `subject`: whom the app showed to mean, ""  for nobody. `return_to`: "" for nowhere.

    tenant: whose URL the app used, "" for the short one.
    """

    at: int  # seconds since the epoch
    tenant: str = ""
    client_id: str = ""
    subject: str = ""
    return_to: str = ""
    state: str = ""

    def seal(self) -> str:
        return encrypt(msgspec.json.encode(asdict(self)), purpose=PURPOSE)


@csrf_exempt  # Sent by apps, which have no token of ours; nothing ends here, and no cookie is read.
@browser_page("GET", "POST", endpoint="logout")
def logout(request: HttpRequest, tenant: str | None = None) -> HttpResponse:
    """Take an app's request to sign somebody out.  Source: OIDC RP-Initiated Logout §2.

    The browser is sent on by GET: with a POST from another site browsers send no cookies, so nobody would seem to be
    signed in. `logout_hint` decides nothing, since it proves nothing.
    """
    context = context_of(request)
    if tenant is not None and find_tenant(tenant) is None:
        raise _refused("tenant.unknown", "there is no such tenant", seen=tenant, status=404)
    context.tenant = tenant or ""
    params = _params(request)
    hint = _hint(params)
    client = _client(params, hint, context)
    wanted = LogoutRequest(
        at=int(timezone.now().timestamp()),
        tenant=context.tenant,
        client_id=client.client_id if client else "",
        subject=hint.subject if hint else "",
        return_to=_return_to(params, client),
        state=params.get("state", ""),
    )
    response = redirect(f"{reverse('confirm_logout')}?{urlencode({'request': wanted.seal()})}")
    response.status_code = 303
    note_wish(request, response, first_supported(params.get("ui_locales", "").split()[:MOST_LOCALES]))
    return response


@browser_page("GET", "POST", endpoint="logout")
def confirm_logout(request: HttpRequest) -> HttpResponse:
    """End the session of the person here, after asking unless the app showed an ID token about just them.

    Only the session of this browser ends, and with it what was granted for as long as it lasts.
    Source: OIDC RP-Initiated Logout §2, §3 and §6.
    """
    wanted = _open(request.GET.get("request", ""), timezone.now())
    context_of(request).client_id, context_of(request).tenant = wanted.client_id, wanted.tenant
    client = find_client(wanted.client_id)
    if not request.user.is_authenticated:
        return _afterwards(request, wanted)
    if request.method == "POST" or wanted.subject == str(request.user.subject):
        auth.logout(request)
        return _afterwards(request, wanted)
    response = render(request, "account/end_session.html", {"client": client, "for_another": bool(wanted.subject)})
    return allow_form_to_end_at(response, wanted.return_to) if wanted.return_to else response


def _params(request: HttpRequest) -> dict[str, str]:
    try:
        params = form(request) if request.method == "POST" else single_valued(query_fields(request))
    except OAuthError as error:
        raise _page(error.refusal, error.status) from None
    if len(params.get("state", "")) > LONGEST_STATE:
        raise _refused("logout.state_long", "state is too long", seen=f"{len(params['state'])} characters")
    return params


def _hint(params: dict[str, str]) -> Hint | None:
    shown = params.get("id_token_hint", "")
    hint = read_hint(shown) if shown else None
    if shown and hint is None:
        raise _refused("logout.hint", "id_token_hint is no ID token that was signed here")
    return hint


def _client(params: dict[str, str], hint: Hint | None, context: RequestContext) -> RegisteredClient | None:
    """Return the client that asks, None where it does not say. Raises PageRefused when it contradicts itself."""
    claimed = params.get("client_id", "") or (hint.client_id if hint else "")
    client = find_client(claimed) if claimed else None
    context.client_id = client.client_id if client else ""
    if hint is not None and hint.client_id != claimed:
        raise _refused("logout.client", "client_id is not the client that the ID token was for", seen=claimed[:200])
    if claimed and (client is None or not client.is_approved):
        raise _refused("logout.client_not_active", "the client is not known here, or is stopped", seen=claimed[:200])
    return client


def _return_to(params: dict[str, str], client: RegisteredClient | None) -> str:
    """Return where the browser goes afterwards: exactly a registered URL, or nowhere.  Source: §3 there."""
    wanted = params.get("post_logout_redirect_uri", "")
    if not wanted:
        return ""
    if client is None:
        fix = "Send id_token_hint, or client_id."
        raise _refused("logout.no_client", "post_logout_redirect_uri is sent, and nobody says of which client", fix=fix)
    if wanted not in client.post_logout_redirect_uris:
        raise _refused(
            "logout.redirect_uri",
            "post_logout_redirect_uri is not registered for this client",
            expected=redirects.nearest(wanted, client.post_logout_redirect_uris),
            seen=repeatable_url(wanted),
            fix="Send a registered post_logout_redirect_uri, character for character, or have this one registered.",
        )
    return wanted


def _open(sealed: str, now: datetime) -> LogoutRequest:
    try:
        values = msgspec.json.decode(decrypt(sealed, purpose=PURPOSE))
        wanted = LogoutRequest(
            **{field.name: values[field.name] for field in fields(LogoutRequest) if field.name in values}
        )
    except Unsealable:
        raise _refused("logout.unknown", "there is no such request") from None
    if now.timestamp() - wanted.at > LONGEST_WAIT.total_seconds():
        raise _refused("logout.expired", "the request was not answered in time", status=410)
    return wanted


def _afterwards(request: HttpRequest, wanted: LogoutRequest) -> HttpResponse:
    if not wanted.return_to:
        return render(request, "account/signed_out.html")
    state = {"state": wanted.state} if wanted.state else {}
    return RedirectToClient(redirects.with_parameters(wanted.return_to, state) if state else wanted.return_to)


def _refused(
    rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "", status: int = 400
) -> PageRefused:
    return _page(Refusal(rule, reason, expected, seen, fix), status)


def _page(refusal: Refusal, status: int) -> PageRefused:
    advice = (
        _("The app's request to sign you out cannot be followed, so nothing has changed."),
        _("To sign out here, go to the front page and choose Sign out."),
    )
    return PageRefused(refusal, title=_("You have not been signed out"), advice=advice, status=status)
