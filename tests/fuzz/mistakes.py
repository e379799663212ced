"""What can be wrong with a good token request, and what may be odd about it and changes nothing."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from clients.models import Client, Tenant
from smartauth.models import Authorization, AuthorizationCode, RefreshToken
from smartauth.people.models import User
from tests.endpoints.app_launch import FHIR_BASE
from tests.factories import ASSERTION_TYPE, claims_at, signed
from tests.fuzz.good import Cast, changed
from tests.fuzz.sending import Sent

# Takes a good request and returns a bad one; None where it does not apply.
Change = Callable[[Cast, Sent], Sent | None]
SECRETS = ("code", "code_verifier", "refresh_token", "client_assertion")
NEEDED = ("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "client_assertion")


@dataclass(frozen=True, slots=True)
class Mistake:
    """`part`: what it touches; of two mistakes about one part the second could mend the first."""

    name: str
    part: str
    change: Change


def _on_field(name: str, change: Callable[[Cast, str], str | None]) -> Change:
    def apply(cast: Cast, sent: Sent) -> Sent | None:
        if sent.value(name) is None:
            return None
        return changed(sent, name, lambda value: change(cast, value))

    return apply


def _per_field() -> Iterator[Mistake]:
    for name in NEEDED:
        yield Mistake(f"no {name}", name, _on_field(name, lambda _, value: None))
        yield Mistake(f"empty {name}", name, _on_field(name, lambda _, value: ""))
        yield Mistake(f"upper case {name}", name, _on_field(name, lambda _, value: _other_case(value)))
        yield Mistake(f"{name} with a space", name, _on_field(name, lambda _, value: value + " "))
        yield Mistake(f"{name} with NUL", name, _on_field(name, lambda _, value: value + "\x00"))
        yield Mistake(f"{name} escaped twice", name, _on_field(name, lambda _, value: _escaped(value)))
        yield Mistake(f"{name} twice", "repeated", _repeated(name))
    for name in SECRETS:
        yield Mistake(f"cut {name}", name, _on_field(name, lambda _, value: value[:-1]))
        yield Mistake(f"longer {name}", name, _on_field(name, lambda _, value: f"{value}A"))


def _other_case(value: str) -> str:
    swapped = value.swapcase()
    assert swapped != value
    return swapped


def _escaped(value: str) -> str:
    return quote(value, safe="") if quote(value, safe="") != value else f"%{ord(value[0]):02x}{value[1:]}"


def _repeated(name: str) -> Change:
    def apply(_: Cast, sent: Sent) -> Sent | None:
        value = sent.value(name)
        return None if value is None else replace(sent, fields=(*sent.fields, (name, value)))

    return apply


def _authorization(change: Callable[[Cast, str, str], str | None]) -> Change:
    """Change id and secret of Basic credentials."""

    def apply(cast: Cast, sent: Sent) -> Sent | None:
        header = sent.headers.get("Authorization")
        if header is None:
            return None
        name, _, secret = base64.b64decode(header.split(" ")[-1]).decode().partition(":")
        new = change(cast, name, secret)
        kept = {one: value for one, value in sent.headers.items() if one != "Authorization"}
        return replace(sent, headers=kept if new is None else kept | {"Authorization": new})

    return apply


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def _assertion(**changes: object) -> Change:
    """Make the assertion anew, by the same key, with claims changed."""

    def apply(cast: Cast, sent: Sent) -> Sent | None:
        client = _claimed(sent)
        if client is None:
            return None
        mine = {"iss": client, "sub": client, **changes}
        return changed(sent, "client_assertion", lambda _: signed(cast.service.pair, claims_at(_now(), **mine)))

    return apply


def _header(**members: object) -> Change:
    def apply(cast: Cast, sent: Sent) -> Sent | None:
        client = _claimed(sent)
        if client is None:
            return None
        claims = claims_at(_now(), iss=client, sub=client)
        return changed(sent, "client_assertion", lambda _: signed(cast.service.pair, claims, **members))

    return apply


def _claimed(sent: Sent) -> str | None:
    assertion = sent.value("client_assertion")
    if assertion is None or assertion.count(".") != 2:
        return None
    part = assertion.split(".")[1]
    issuer: str = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["iss"]
    return issuer


def _unsigned(cast: Cast, sent: Sent) -> Sent | None:
    client = _claimed(sent)
    if client is None:
        return None
    parts = [{"alg": "none", "kid": "ec-1", "typ": "JWT"}, claims_at(_now(), iss=client, sub=client)]
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts]
    return changed(sent, "client_assertion", lambda _: ".".join((*encoded, "")))


def _by_a_stranger(cast: Cast, sent: Sent) -> Sent | None:
    client = _claimed(sent)
    if client is None:
        return None
    claims = claims_at(_now(), iss=client, sub=client)
    return changed(sent, "client_assertion", lambda _: signed(cast.stranger.pair, claims, kid="ec-1"))


def _now() -> datetime:
    return datetime.now(UTC)


def _seconds(seconds: int) -> int:
    return int((_now() + timedelta(seconds=seconds)).timestamp())


def _wire(**changes: object) -> Change:
    def apply(_: Cast, sent: Sent) -> Sent:
        return replace(sent, **changes)  # type: ignore[arg-type]

    return apply


def _as_json(_: Cast, sent: Sent) -> Sent:
    return replace(sent, content_type="application/json", body=json.dumps(dict(sent.fields)).encode())


def _added(*fields: tuple[str, str], only: str = "") -> Change:
    def apply(_: Cast, sent: Sent) -> Sent | None:
        if only and sent.value(only) is None:
            return None
        return replace(sent, fields=(*sent.fields, *fields))

    return apply


def _of_another_app(cast: Cast, sent: Sent) -> Sent | None:
    if sent.value("client_id") is None:
        return None
    return changed(sent, "client_id", lambda _: cast.other.client_id)


def _meanwhile(change: Callable[[Cast], object], *, needs: str = "") -> Change:
    """Let something happen before the request comes."""

    def apply(cast: Cast, sent: Sent) -> Sent | None:
        if needs and sent.value(needs) is None:
            return None
        change(cast)
        return sent

    return apply


def _for_apps(change: Callable[[Cast], object]) -> Change:
    def apply(cast: Cast, sent: Sent) -> Sent | None:
        if sent.value("grant_type") == "client_credentials":
            return None
        change(cast)
        return sent

    return apply


def _everybody_is(status: str) -> Change:
    return _meanwhile(lambda _: Client.objects.update(status=status))


def _past() -> datetime:
    return _now() - timedelta(seconds=1)


FATAL: tuple[Mistake, ...] = (
    *_per_field(),
    # Who asks
    Mistake("another app's id", "client", _of_another_app),
    Mistake("no client", "client", _on_field("client_id", lambda *_: "nobody-here")),
    Mistake("no secret sent", "client", _authorization(lambda _, name, secret: None)),
    Mistake("an empty secret", "client", _authorization(lambda _, name, secret: _basic(name, ""))),
    Mistake("a wrong secret", "client", _authorization(lambda _, name, secret: _basic(name, secret[:-1]))),
    Mistake("the secret of nobody", "client", _authorization(lambda _, name, secret: _basic("nobody", secret))),
    Mistake("the id alone", "client", _authorization(lambda _, name, secret: f"Basic {name}")),
    Mistake("another scheme", "client", _authorization(lambda _, name, secret: f"Bearer {secret}")),
    Mistake("a second way to authenticate", "client", _added(("client_secret", "x"), only="client_assertion")),
    Mistake("assertion of another type", "type", _on_field("client_assertion_type", lambda *_: f"{ASSERTION_TYPE}2")),
    Mistake("assertion without a type", "type", _on_field("client_assertion_type", lambda *_: None)),
    Mistake("unsigned assertion", "client_assertion", _unsigned),
    Mistake("assertion by another's key", "client_assertion", _by_a_stranger),
    Mistake("assertion without kid", "client_assertion", _header(kid=...)),
    Mistake("assertion with an unknown kid", "client_assertion", _header(kid="ec-0")),
    Mistake("assertion as an access token", "client_assertion", _header(typ="at+jwt")),
    Mistake("assertion with a key of its own", "client_assertion", _header(jku="https://evil.example/jwks.json")),
    Mistake("assertion for somebody else", "client_assertion", _assertion(aud="https://evil.example/token")),
    Mistake("assertion for two", "client_assertion", _assertion(aud=["http://127.0.0.1:8000", "https://evil.example"])),
    Mistake("assertion about another", "client_assertion", _assertion(sub="another-service")),
    Mistake("assertion without jti", "client_assertion", _assertion(jti=...)),
    Mistake("assertion with a number for a jti", "client_assertion", _assertion(jti=7)),
    Mistake("assertion without exp", "client_assertion", _assertion(exp=...)),
    Mistake("assertion with exp as text", "client_assertion", _assertion(exp="9999999999")),
    Mistake("assertion that lasts a day", "client_assertion", _assertion(exp=_seconds(86_400))),
    Mistake("assertion of yesterday", "client_assertion", _assertion(exp=_seconds(-86_400), iat=_seconds(-86_700))),
    Mistake("assertion of tomorrow", "client_assertion", _assertion(nbf=_seconds(86_400))),
    # What for
    Mistake("unknown grant", "grant_type", _on_field("grant_type", lambda *_: "password")),
    Mistake("a code as a refresh token", "grant_type", _on_field("code", lambda *_: "refresh_token")),
    Mistake("another redirect URI", "redirect_uri",
            _on_field("redirect_uri", lambda *_: "https://other.example.org/callback")),
    Mistake("redirect URI with a slash", "redirect_uri", _on_field("redirect_uri", lambda _, value: f"{value}/")),
    Mistake("redirect URI with a query", "redirect_uri", _on_field("redirect_uri", lambda _, value: f"{value}?a=b")),
    Mistake("another verifier", "code_verifier", _on_field("code_verifier", lambda *_: "v" * 43)),
    Mistake("another base", "resource", _added(("resource", "https://evil.example/fhir"))),
    Mistake("two bases", "resource", _added(("resource", FHIR_BASE), ("resource", FHIR_BASE))),
    Mistake("a wider scope", "scope", _added(("scope", "patient/*.cruds"), only="refresh_token")),
    # How
    Mistake("as JSON", "wire", _as_json),
    Mistake("as multipart", "wire", _wire(content_type="multipart/form-data; boundary=x")),
    Mistake("as text", "wire", _wire(content_type="text/plain")),
    Mistake("in the URL", "wire", _wire(in_query=True)),
    Mistake("by GET", "wire", _wire(method="GET")),
    Mistake("by PUT", "wire", _wire(method="PUT")),
    Mistake("at another tenant", "where", _wire(path="/auth/elsewhere/token")),
    # What happened meanwhile
    Mistake("the code expired", "time", _meanwhile(
        lambda _: AuthorizationCode.objects.update(expires=_past()), needs="code")),
    Mistake("the code was used", "time", _meanwhile(
        lambda _: AuthorizationCode.objects.update(spent_at=_past()), needs="code")),
    Mistake("the refresh token expired", "time", _meanwhile(
        lambda _: RefreshToken.objects.update(expires=_past()), needs="refresh_token")),
    Mistake("the refresh token was revoked", "time", _meanwhile(
        lambda _: RefreshToken.objects.update(revoked=_past()), needs="refresh_token")),
    Mistake("everything was revoked", "time", _for_apps(
        lambda _: Authorization.objects.update(revoked_at=_past(), revoked_by="user"))),
    Mistake("the user may not sign in", "time", _for_apps(lambda _: User.objects.update(is_active=False))),
    Mistake("the clients are suspended", "registry", _everybody_is(Client.Status.SUSPENDED)),
    Mistake("the clients are drafts", "registry", _everybody_is(Client.Status.DRAFT)),
    Mistake("the tenant is closed", "registry", _meanwhile(lambda _: Tenant.objects.update(is_active=False))),
)  # fmt: skip

HARMLESS: tuple[Mistake, ...] = (
    Mistake("an unknown field", "", _added(("utm_source", "x"), ("utm_source", "y"))),
    Mistake("an empty field", "", _added(("token_type_hint", ""))),
    Mistake("the right base", "", _added(("resource", FHIR_BASE))),
    Mistake("a scope at the exchange", "", _added(("scope", "patient/*.cruds system/*.cruds"), only="code")),
    Mistake("a charset", "", _wire(content_type="application/x-www-form-urlencoded; charset=UTF-8")),
    Mistake("fields in another order", "", lambda _, sent: replace(sent, fields=tuple(reversed(sent.fields)))),
    Mistake("headers of a browser", "", lambda _, sent: replace(
        sent, headers=sent.headers | {"Origin": "https://evil.example", "Accept": "text/html", "Cookie": "a=b"})),
    Mistake("another host said to be meant", "", lambda _, sent: replace(
        sent, headers=sent.headers | {"X-Forwarded-Host": "evil.example", "X-HTTP-Method-Override": "GET"})),
    Mistake("the scheme in lower case", "", _authorization(
        lambda _, name, secret: _basic(name, secret).replace("Basic", "basic"))),
)  # fmt: skip
