"""What the header and the claims of a client assertion must say, times apart. Touches no keys, no database.

Source: RFC 7523 §3; RFC 7515 §4.1; RFC 8725 §3; SMART 2.2 client-confidential-asymmetric.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from clients.assertion_case import Case, Check, refuse
from clients.assertion_forms import claimed_client_id
from clients.jwks_rules import KID, shown
from smartauth import endpoints

# A token of another kind must not pass for an assertion (RFC 8725 §3.11).
TYPES = frozenset({"jwt", "client-authentication+jwt"})


def check_client_id(case: Case) -> None:
    """Raise InvalidClient unless `iss` and `sub` are the client's id."""
    if claimed_client_id(case.assertion) != case.client.client_id:
        raise refuse("client_id", "the assertion is from another client", expected=case.client.client_id)


def check_alg(case: Case) -> None:
    """Raise InvalidClient unless the algorithm is one of ours: never none, never one with a shared secret."""
    if isinstance(case.alg, str) and case.alg in case.algorithms:
        return
    fix = "Sign with RS384 or ES384."
    if isinstance(case.alg, str) and case.alg.startswith("HS"):
        fix = f"A shared secret signs nothing here: use the private key. {fix}"
    raise refuse(
        "alg",
        "the algorithm of the assertion is not accepted",
        expected=", ".join(case.algorithms),
        seen=shown(case.alg),
        fix=fix,
    )


def check_extensions(case: Case) -> None:
    """Raise InvalidClient where the header asks for what is not supported (RFC 7515 §4.1.11)."""
    header = case.assertion.header
    if "crit" in header or "zip" in header or header.get("b64", True) is not True:
        raise refuse(
            "crit",
            "the header asks for an extension that is not supported",
            expected="no crit, b64 or zip",
            seen=shown(header.get("crit", "b64 or zip")),
            fix="Leave out crit, b64 and zip.",
        )


def check_typ(case: Case) -> None:
    """Raise InvalidClient for a JWT of another kind."""
    typ = case.assertion.header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in TYPES:
        raise refuse("typ", "the token is of another kind", expected="JWT", seen=shown(typ), fix="Set typ to JWT.")


def check_kid(case: Case) -> None:
    """Raise InvalidClient unless the header names a key."""
    if case.kid is None:
        raise refuse(
            "kid_missing",
            "the header has no kid",
            expected="the kid of the key that signed",
            seen=f"the members {shown(', '.join(sorted(case.assertion.header)))}",
            fix="Name the key that signed, as in your JWKS, also where it is the only one.",
        )
    if not isinstance(case.kid, str) or KID.fullmatch(case.kid) is None:
        raise refuse(
            "kid",
            "kid is not a string of 1 to 255 characters",
            expected="the kid of the key that signed, as in your JWKS",
            seen=shown(case.kid),
            fix="Write kid as a string, exactly as it stands in the key set.",
        )


def check_jku(case: Case) -> None:
    """Raise InvalidClient where the header names another key set than the registered one."""
    header, jwks_uri = case.assertion.header, case.client.jwks_uri
    if "jku" in header and (not jwks_uri or header["jku"] != jwks_uri):
        raise refuse(
            "jku",
            "jku is not the registered jwks_uri",
            expected=jwks_uri or "no jku: the key set is registered by value",
            seen=shown(header["jku"]),
            fix="Leave jku out, or write it exactly as registered.",
        )


def check_registered_alg(case: Case) -> None:
    """Raise InvalidClient unless the algorithm is the one the client registered, if it did."""
    registered = case.client.token_endpoint_auth_signing_alg
    if registered and case.alg != registered:
        raise refuse(
            "alg_registered",
            "the assertion is signed with another algorithm than the registered one",
            expected=registered,
            seen=shown(case.alg),
            fix="Sign with the registered token_endpoint_auth_signing_alg.",
        )


def check_audience(case: Case) -> None:
    """Raise InvalidClient unless `aud` names this server, and nobody else."""
    audience = _audience(case)
    expected = " or ".join(sorted(case.audiences, key=lambda url: (-len(url), url)))
    if audience is None:
        fix = "Set aud to the token URL."
        raise refuse("aud_missing", "there is no aud", expected=expected, seen="no aud", fix=fix)
    if isinstance(audience, list):
        raise refuse(
            "aud_several",
            "aud must name one audience",
            expected=expected,
            seen=shown(audience),
            fix="Sign one assertion for each server.",
        )
    if not isinstance(audience, str) or audience not in case.audiences:
        raise refuse(
            "aud",
            "aud does not name this server, or names another tenant of it",
            expected=expected,
            seen=shown(audience),
            fix="Copy the token URL from smart-configuration, character by character."
            + (_difference(audience, case.audiences) if isinstance(audience, str) else ""),
        )


def check_jti(case: Case) -> None:
    """Raise InvalidClient unless there is a `jti` to remember."""
    jti = case.assertion.claims.get("jti")
    fix = "Set jti to a fresh random value, such as a UUID, in each assertion."
    if jti is None:
        raise refuse("jti_missing", "there is no jti", expected="jti", seen="no jti", fix=fix)
    if not isinstance(jti, str) or not 1 <= len(jti) <= 255:
        seen = f"{len(jti)} characters" if isinstance(jti, str) else f"{shown(jti)}, which is no string"
        raise refuse("jti", "jti is not a string of 1 to 255 characters", seen=seen, fix=fix)


def _audience(case: Case) -> object:
    audience = case.assertion.claims.get("aud")
    return audience[0] if isinstance(audience, list) and len(audience) == 1 else audience


def _difference(audience: str, audiences: Collection[str]) -> str:
    """Return a sentence on how a wrong audience misses the nearest right one."""
    if endpoints.tenant_of_fhir_base(audience):
        return " It is a FHIR base, which is the aud of an authorization request, not of an assertion."
    if audience.rstrip("/") in audiences:
        return " It differs by the slash at its end."
    if audience.strip() in audiences:
        return " It differs by a blank."
    if audience.lower() in {one.lower() for one in audiences}:
        return " It differs by upper and lower case."
    if _without_scheme(audience) in {_without_scheme(one) for one in audiences}:
        return " It differs by http and https."
    return ""


def _without_scheme(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.netloc, parts.path


CLIENT_CHECK = Check(
    "assertion.iss_sub",
    "iss and sub are the client_id",
    check_client_id,
    show=lambda case: shown(case.assertion.claims.get("iss")),
)
HEADER_CHECKS = (
    Check("assertion.alg", "The algorithm is accepted", check_alg, show=lambda case: shown(case.alg)),
    Check("assertion.crit", "The header asks for nothing unknown", check_extensions),
    Check(
        "assertion.typ",
        "It is of the kind JWT",
        check_typ,
        show=lambda case: shown(case.assertion.header.get("typ", "no typ")),
    ),
    Check("assertion.kid", "The header names a key", check_kid, show=lambda case: shown(case.kid)),
    Check(
        "assertion.jku",
        "jku is the registered jwks_uri, or absent",
        check_jku,
        show=lambda case: shown(case.assertion.header.get("jku", "no jku")),
    ),
    Check(
        "assertion.alg_registered",
        "The algorithm is the registered one, if there is one",
        check_registered_alg,
        ("assertion.alg",),
        lambda case: case.client.token_endpoint_auth_signing_alg or "none is registered",
    ),
)
AUDIENCE_CHECK = Check("assertion.aud", "aud is this server", check_audience, show=lambda case: shown(_audience(case)))
JTI_CHECK = Check(
    "assertion.jti", "There is a jti", check_jti, show=lambda case: shown(case.assertion.claims.get("jti"))
)
