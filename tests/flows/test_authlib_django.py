"""App launch in a Django site of a partner, with Authlib's client for Django: from discovery to signing out.

It reads the configuration, keeps state, nonce and verifier in the session, and judges ID tokens (issuer, signature,
nonce, times, at_hash) by itself.  OIDC Core §3.1.3.7; RFC 7636; RFC 7009; RFC 7662; OIDC RP-Initiated Logout.
"""

import time
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.http import HttpRequest
from django.test import RequestFactory

from smartauth.people.models import User
from tests.flows.authlib_session import FreshAssertion, keyed_session, session_of
from tests.person import Person
from tests.world import LAUNCH_SCOPE, App, MakeApp, MakePartner, MakePerson, World

MARK_TIME = 1.0  # seconds within which a change is seen by every worker
HOME = "https://app.example.org/home"


def site_of(world: World, app: App) -> Any:
    """Return Authlib's client as a Django site registers it, from the URL of the configuration alone."""
    return OAuth().register(
        "sandbox",
        client_id=app.client_id,
        client_secret=app.key or app.secret,
        server_metadata_url=f"{world.base_url}/.well-known/openid-configuration",
        client_kwargs={
            "scope": LAUNCH_SCOPE,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": app.method,
        },
        client_auth_methods=[FreshAssertion(world.token_url, headers={"kid": app.key.kid}, alg="ES384")]
        if app.key
        else None,
    )


class Visitor:
    """Somebody's session at the partner's site."""

    def __init__(self) -> None:
        self._session: dict[str, Any] = {}

    def visit(self, url: str) -> HttpRequest:
        request = RequestFactory().get(url)
        request.session = self._session  # type: ignore[assignment]  # All that Authlib asks of it is a mapping.
        return request


@pytest.mark.clocked
@pytest.mark.requirement("OIDC-02", "OIDC-04", "OIDC-05", "OIDC-12", "OIDC-13", "OIDC-15", "OIDC-16", "OIDC-17")
@pytest.mark.requirement("TOK-04", "TOK-14", "SYM-01", "SYM-04", "ASYM-19", "REVOKE-01", "REVOKE-02", "REVOKE-08")
@pytest.mark.requirement("INTRO-04", "INTRO-07", "T-42", "T-44")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_a_django_site_launches_reads_revokes_and_signs_out(
    world: World, make_app: MakeApp, make_partner: MakePartner, make_person: MakePerson, method: str
) -> None:
    name = f"authlib-django-{method.replace('_', '-')}"
    app = make_app(name, method, post_logout_redirect_uris=[HOME])
    site, visitor = site_of(world, app), Visitor()
    ana = make_person(f"ana-{name}", "Patient/ana")

    leave = site.authorize_redirect(visitor.visit("/launch"), app.redirect_uri, aud=world.fhir_base)
    callback = ana.launch(leave["Location"], patient="ana")
    token = site.authorize_access_token(visitor.visit(callback))
    claims = token["userinfo"]
    assert claims["sub"] == str(User.objects.get(username=ana.username).subject)
    assert claims["fhirUser"] == f"{world.fhir_base}/Patient/ana"
    assert claims["at_hash"]
    assert site.userinfo(token=token)["sub"] == claims["sub"]
    assert site.get(f"{world.fhir_base}/Patient/ana", token=token).json()["id"] == "ana"

    metadata = site.load_server_metadata()
    checks = make_partner(f"checks-{name}", scope="__introspect")
    checker = keyed_session(world, checks.client_id, checks.key, alg=checks.alg, scope="__introspect")

    def introspected() -> dict[str, Any]:
        answer = checker.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
        found: dict[str, Any] = answer.json()
        return found

    assert introspected().items() >= {"active": True, "sub": claims["sub"], "iss": claims["iss"]}.items()
    session = session_of(world, app, token)
    assert session.revoke_token(metadata["revocation_endpoint"]).status_code == 200  # of the refresh token
    assert introspected() == {"active": False}
    time.sleep(MARK_TIME)
    assert site.get(f"{world.fhir_base}/Patient/ana", token=token).status_code == 401
    with pytest.raises(OAuthError) as refused:
        session.refresh_token(metadata["token_endpoint"])
    assert refused.value.error == "invalid_grant"

    leave = site.logout_redirect(visitor.visit("/"), HOME, id_token_hint=token["id_token"])
    returned = ana.launch(leave["Location"])
    assert ana.kinds == []
    assert site.validate_logout_response(visitor.visit(returned)) == {"post_logout_redirect_uri": HOME}


CALLBACK_ERRORS = [
    # parameters                   error
    ({"prompt": "none"},           "login_required"),
    ({"scope": "system/*.rs"},     "invalid_scope"),
    ({"response_mode": "fragment"}, "invalid_request"),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-17", "AUTHZ-24", "AUTHZ-27")
def test_a_django_site_understands_errors_on_its_callback(world: World, make_app: MakeApp) -> None:
    app = make_app("authlib-django-errors")
    site, visitor = site_of(world, app), Visitor()
    nobody = Person(world.base_url, "nobody", "")
    for parameters, error in CALLBACK_ERRORS:
        leave = site.authorize_redirect(
            visitor.visit("/launch"), app.redirect_uri, **({"aud": world.fhir_base} | parameters)
        )
        callback = nobody.launch(leave["Location"])
        with pytest.raises(OAuthError) as refused:
            site.authorize_access_token(visitor.visit(callback))
        assert refused.value.error == error
