"""Good requests at the token endpoint: each grant with each way of authenticating. Every one gives a token."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.test import Client as Browser

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth import tokens
from smartauth.models import PendingAuthorization
from smartauth.people.models import User
from tests.endpoints.app_launch import App, Pkce
from tests.endpoints.conftest import Service
from tests.fuzz.sending import Sent, send

TOKEN = "/auth/sandbox/token"
# No ID token: its signature would cost more than everything else.
GRANTED = "launch/patient offline_access patient/Observation.rs"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is there. `service` and `signing` hold the same key; `stranger` holds another."""

    tenant: TenantInfo
    user: User
    public: App
    secret: App
    signing: App
    other: App
    service: Service
    stranger: Service

    def code(self, app: App, pkce: Pkce) -> str:
        """Return a fresh code, as consent leaves it."""
        now = datetime.now(UTC)
        pending = PendingAuthorization(
            client_id=Client.objects.get(client_id=app.client_id).pk,
            tenant_id=self.tenant.pk,
            user_id=self.user.pk,
            redirect_uri=app.redirect_uri,
            code_challenge=pkce.challenge,
            scope=GRANTED,
        )
        context = {"patient": "ana", "need_patient_banner": True}
        code, _ = tokens.issue_code(pending, scope=GRANTED, context=context, auth_time=now, session_key=None, now=now)
        return code

    def credentials(self, app: App) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
        """Return the fields and headers with which an app says who it is."""
        if app.secret is not None:
            pair = base64.b64encode(f"{app.client_id}:{app.secret}".encode()).decode()
            return (), {"Authorization": f"Basic {pair}"}
        if app.client_id == self.signing.client_id:
            return tuple(Service(app.client_id, self.service.pair).credentials().items()), {}
        return (("client_id", app.client_id),), {}


def exchange(cast: Cast, app: App) -> Sent:
    """Return a good exchange of a fresh code."""
    pkce = Pkce()
    fields, headers = cast.credentials(app)
    return Sent(
        TOKEN,
        fields=(
            ("grant_type", "authorization_code"),
            ("code", cast.code(app, pkce)),
            ("redirect_uri", app.redirect_uri),
            ("code_verifier", pkce.verifier),
            *fields,
        ),
        headers=headers,
    )


def refresh(cast: Cast, app: App) -> Sent:
    """Return a good refresh with a fresh refresh token."""
    answer = send(Browser(), exchange(cast, app))
    assert answer.status_code == 200, answer.content
    fields, headers = cast.credentials(app)
    token = answer.json()["refresh_token"]
    return Sent(TOKEN, fields=(("grant_type", "refresh_token"), ("refresh_token", token), *fields), headers=headers)


def serve(cast: Cast) -> Sent:
    """Return a good request of a backend service."""
    asked = (("grant_type", "client_credentials"), ("scope", "system/*.rs"))
    return Sent(TOKEN, fields=(*asked, *cast.service.credentials().items()))


GOOD: dict[str, Callable[[Cast], Sent]] = {
    "code, public": lambda cast: exchange(cast, cast.public),
    "code, secret": lambda cast: exchange(cast, cast.secret),
    "code, key": lambda cast: exchange(cast, cast.signing),
    "refresh, public": lambda cast: refresh(cast, cast.public),
    "refresh, secret": lambda cast: refresh(cast, cast.secret),
    "refresh, key": lambda cast: refresh(cast, cast.signing),
    "service": serve,
}


def changed(sent: Sent, name: str, change: Callable[[str], str | None]) -> Sent:
    """Return a request with a field changed, or left out where `change` returns None."""
    pairs = ((one, change(value) if one == name else value) for one, value in sent.fields)
    return replace(sent, fields=tuple((one, value) for one, value in pairs if value is not None))
