"""Who is asking: client authentication at the token, introspection, revocation and PAR endpoints.

Source: RFC 6749 §2.3; RFC 7617 §2; RFC 7521 §4.2; RFC 7523 §2.2; SMART 2.2 client-confidential-symmetric and
client-confidential-asymmetric.
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote_plus

from clients.assertions import parse_assertion, verify_assertion
from clients.guesses import note_wrong_secret, require_patience
from clients.jwks_rules import shown
from clients.models import AuthMethod, Client
from clients.registered import CLIENT_ID, RegisteredClient, StoredSecret, find_client, load_client
from smartauth import rates
from smartauth.context import RequestContext
from smartauth.digests import digest
from smartauth.errors import InvalidClient, InvalidRequest, Refusal
from smartauth.storable import looks_like_secret

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_SECRET = 1_024
# What an unknown client's secret is compared with; nothing has this digest.
NO_SECRET = StoredSecret("none", "0" * 64)
# The only first words of an Authorization header that are repeated: any other may be the credential itself.
KNOWN_SCHEMES = frozenset({"bearer", "digest", "dpop", "negotiate"})

Audiences = Callable[[RegisteredClient], frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Credentials:
    """A client_id with its secret, in one reading of the two."""

    client_id: str
    secret: str = field(repr=False)


def authenticate_client(
    headers: Mapping[str, str],
    params: Mapping[str, str],
    *,
    audiences: Audiences,
    context: RequestContext,
    now: datetime,
) -> RegisteredClient:
    """Return the approved client this request comes from, authenticated by the one method it is registered for.

    headers: looked up case-insensitively.    params: single-valued body parameters; empty ones are absent.
    audiences: the `aud` values an assertion of the client may carry at this endpoint.
    A public client is only named, not proven: callers that need proof look at `token_endpoint_auth_method`.
    Writes `context.client_id`: as claimed at first, then as confirmed.
    Raises InvalidClient, whose public answer is the same for every cause, InvalidRequest for two methods at once, and
    TooManyRequests when the client, proven, asks too often.
    """
    authorization = headers.get("Authorization", "").strip()
    methods = {
        "HTTP authentication": bool(authorization),
        "client_assertion": "client_assertion" in params or "client_assertion_type" in params,
        "client_secret": "client_secret" in params,
    }
    used = [name for name, tried in methods.items() if tried]
    if len(used) > 1:
        claim_client(context, params.get("client_id", ""))
        raise InvalidRequest(
            Refusal(
                "client.two_methods",
                "the request authenticates the client in more than one way",
                expected="one method",
                seen=", ".join(used),
                fix="Use only the registered token_endpoint_auth_method.",
            )
        )
    if authorization:
        client = _by_secret(_read_basic(authorization), params, AuthMethod.BASIC, context, now)
    elif methods["client_assertion"]:
        client = _by_assertion(params, audiences, context, now)
    elif methods["client_secret"]:
        client = _by_secret(_read_body(params), params, AuthMethod.POST, context, now)
    else:
        client = _by_name(params, context)
    context.client_id = client.client_id
    if client.token_endpoint_auth_method != AuthMethod.NONE:
        rates.admit_client(context, client.client_id)
    return client


def _by_name(params: Mapping[str, str], context: RequestContext) -> RegisteredClient:
    client_id = _require_named(params)
    claim_client(context, client_id)
    client = require_approved(find_client(client_id), client_id)
    require_method(client, AuthMethod.NONE)
    return client


def _by_secret(
    readings: tuple[_Credentials, ...],
    params: Mapping[str, str],
    method: AuthMethod,
    context: RequestContext,
    now: datetime,
) -> RegisteredClient:
    claimed, basic = readings[0].client_id, method == AuthMethod.BASIC
    claim_client(context, claimed)
    require_patience(claimed, context=context, now=now)
    # Many clients skip the form-encoding of RFC 6749 §2.3.1. Ids have no character it would change, so at most one of
    # the two readings can name a client.
    client = next((found for one in readings if (found := find_client(one.client_id))), None)
    matched = _match(client, readings)
    if matched is None:
        # A secret made within the last second is right, though this worker may not have heard of it yet. A client there
        # is not costs the same.
        client = load_client(client.client_id if client else claimed)
        matched = _match(client, readings)
    if matched is None:  # One that was right once is no guess: an old program must not lock out those with the new one.
        note_wrong_secret(claimed, context=context, now=now)
    approved = require_approved(client, claimed, basic=basic)
    require_method(approved, method)
    if not any(one.secret for one in readings):
        fix = "Use the secret that was shown last."
        raise InvalidClient(Refusal("client.secret_empty", "the client_secret is empty", fix=fix), basic=basic)
    if matched is None:
        raise InvalidClient(
            Refusal("client.secret", "the client_secret is wrong", fix="Use the secret that was shown last."),
            basic=basic,
        )
    if (ended_at := matched.ended_at(now)) is not None:
        raise InvalidClient(_expired(matched.name, ended_at), basic=basic)
    if params.get("client_id", approved.client_id) != approved.client_id:
        raise InvalidClient(
            Refusal(
                "client.id_mismatch",
                "client_id in the body is not the client of the Authorization header",
                expected=approved.client_id,
                seen=repeatable_id(params["client_id"]),
                fix="Leave client_id out of the body, or send the same one.",
            ),
            basic=basic,
        )
    return approved


def _read_body(params: Mapping[str, str]) -> tuple[_Credentials, ...]:
    """Return the credentials of the body, where they stand for themselves (RFC 6749 §2.3.1)."""
    secret = params["client_secret"]
    if len(secret) > MAX_SECRET:
        raise InvalidClient(Refusal("client.secret", "the client_secret is longer than any of ours"))
    return (_Credentials(_require_named(params), secret),)


def _require_named(params: Mapping[str, str]) -> str:
    if not params.get("client_id"):
        raise InvalidClient(
            Refusal("client.missing", "the request names no client", fix="Send client_id, or authenticate the client.")
        )
    return params["client_id"]


def _read_basic(authorization: str) -> tuple[_Credentials, ...]:
    """Return the credentials read form-decoded and as they stand. Only the first colon separates (RFC 7617 §2)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient(
            Refusal(
                "client.auth_scheme",
                "the Authorization header has a scheme that does not authenticate clients",
                expected="Basic",
                seen=scheme if scheme.lower() in KNOWN_SCHEMES else "another word, not repeated here",
                fix="Send Basic, a blank, and base64 of client_id:client_secret.",
            ),
            basic=True,
        )
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:
        text = ""
    client_id, colon, secret = text.partition(":")
    if not colon or len(secret) > MAX_SECRET:
        raise InvalidClient(
            Refusal(
                "client.basic_malformed",
                "the Basic credentials cannot be read",
                expected="base64 of client_id:client_secret",
                fix="Encode client_id, a colon and the secret with base64.",
            ),
            basic=True,
        )
    return (
        _Credentials(unquote_plus(client_id), unquote_plus(secret)),
        _Credentials(client_id, secret),
    )


def _match(client: RegisteredClient | None, readings: tuple[_Credentials, ...]) -> StoredSecret | None:
    """Return the secret that was shown, expired or not, or None.

    Every reading is compared with two digests, always: how long it takes says nothing about who exists.
    """
    stored = (*(client.secrets if client else ()), NO_SECRET, NO_SECRET)[:2]
    found = None
    for reading in readings:
        presented = digest(reading.secret)
        for one in stored:
            if hmac.compare_digest(presented, one.digest) and reading.secret != "":
                found = one
    return found if client is not None else None


def _expired(name: str, ended_at: datetime) -> Refusal:
    return Refusal(
        "client.secret_expired",
        "the client_secret was right once and has expired",
        expected="a secret that has not expired",
        seen=f"the {name} secret, expired at {ended_at.isoformat(timespec='seconds')}",
        fix="Use the secret that took its place."
        if name == "previous"
        else "Make a new secret in the developer portal, or ask the operator for one.",
    )


def _by_assertion(
    params: Mapping[str, str], audiences: Audiences, context: RequestContext, now: datetime
) -> RegisteredClient:
    claim_client(context, params.get("client_id", ""))
    if "client_assertion" not in params:
        raise InvalidClient(
            Refusal("assertion.missing", "client_assertion_type comes without client_assertion", fix="Send both.")
        )
    if params.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidClient(
            Refusal(
                "assertion.type",
                "client_assertion_type is missing or not the one for JWTs",
                expected=ASSERTION_TYPE,
                seen=shown(params.get("client_assertion_type", "")),
                fix="Copy client_assertion_type as expected.",
            )
        )
    assertion, claimed = parse_assertion(params["client_assertion"])
    claim_client(context, claimed)
    if params.get("client_id", claimed) != claimed:
        raise InvalidClient(
            Refusal(
                "client.id_mismatch",
                "client_id in the body is not the sub of the assertion",
                expected=shown(claimed),
                seen=repeatable_id(params["client_id"]),
                fix="Leave client_id out of the body, or send the same one.",
            )
        )
    client = require_approved(find_client(claimed), claimed)
    require_method(client, AuthMethod.PRIVATE_KEY_JWT)
    verify_assertion(assertion, client, audiences=audiences(client), now=now)
    return client


def require_approved(client: RegisteredClient | None, claimed: str, *, basic: bool = False) -> RegisteredClient:
    """Return the client that was found for the `client_id` claimed, if it may act at all. Raises InvalidClient."""
    if client is None:
        refusal = Refusal(
            "client.unknown", "no client has this client_id", seen=repeatable_id(claimed), fix="Check the client_id."
        )
        raise InvalidClient(refusal, basic=basic)
    if client.status == Client.Status.SUSPENDED:
        refusal = Refusal(
            "client.suspended", "the client is suspended", "approved", client.status, fix="Ask the operator why."
        )
        raise InvalidClient(refusal, basic=basic)
    if not client.is_approved:
        refusal = Refusal(
            "client.not_approved",
            "the client is not approved",
            expected="approved",
            seen=client.status,
            fix="Submit the registration and wait for the operator's approval, or ask the operator.",
        )
        raise InvalidClient(refusal, basic=basic)
    return client


def require_method(client: RegisteredClient, tried: AuthMethod) -> None:
    """Raise InvalidClient unless the client is registered for the method it tried."""
    if client.token_endpoint_auth_method != tried:
        raise InvalidClient(
            Refusal(
                "client.auth_method",
                "the client authenticates in another way than it is registered for",
                expected=client.token_endpoint_auth_method,
                seen=tried,
                fix="Use the registered method, or ask the operator to change the registration.",
            ),
            basic=tried == AuthMethod.BASIC,
        )


def claim_client(context: RequestContext, client_id: str) -> None:
    """Note who is claimed, so that a refusal reaches the owner's receipts. Nothing that cannot be an id is noted."""
    if CLIENT_ID.fullmatch(client_id) and (not looks_like_secret(client_id) or find_client(client_id) is not None):
        context.client_id = client_id


def repeatable_id(claimed: str) -> str:
    """Return a client_id that was sent as a refusal may repeat it: a secret may have been sent in its place."""
    return "what looks like a client_secret, not repeated here" if looks_like_secret(claimed) else shown(claimed)
