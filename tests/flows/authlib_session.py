"""Authlib's sessions as its documentation has them, but with a fresh assertion each time for clients with keys."""

import time
from typing import Any

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import Key

from tests.world import App, World


class FreshAssertion(PrivateKeyJWT):
    """Authlib signs for an hour and repeats the jti of a claims dict it was given: so give new claims each time."""

    def sign(self, auth: Any, token_endpoint: str) -> str:
        self.claims = {"exp": int(time.time()) + 300}
        return str(super().sign(auth, token_endpoint))


def keyed_session(world: World, client_id: str, key: Key, *, alg: str, scope: str, **options: Any) -> OAuth2Session:
    """Return an Authlib session that signs a five-minute assertion for each request it authenticates."""
    session = OAuth2Session(
        client_id,
        key,
        scope=scope,
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
        **options,
    )
    session.register_client_auth_method(FreshAssertion(world.token_url, headers={"kid": key.kid}, alg=alg))
    return session


def session_of(world: World, app: App, token: Any, **options: Any) -> OAuth2Session:
    """Return an Authlib session of an app that holds tokens already, and authenticates everywhere as registered."""
    if app.key is not None:
        return keyed_session(world, app.client_id, app.key, alg="ES384", scope=token["scope"], token=token, **options)
    return OAuth2Session(
        app.client_id,
        app.secret,
        token=token,
        token_endpoint_auth_method=app.method,
        revocation_endpoint_auth_method=app.method,
        **options,
    )
