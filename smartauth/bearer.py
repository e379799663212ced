"""Reading the headers of a request that shows a token."""

from collections.abc import Mapping

from smartauth.policy.showing import Shown, split_authorization


def shown_token(headers: Mapping[str, str], *, method: str, url: str) -> tuple[str, Shown] | None:
    """Return the token of a `Bearer` or `DPoP` header, "" when the scheme stands alone, and what came with it.

    None for another scheme or no header. url: of this endpoint, as we publish it.
    """
    found = split_authorization(headers.get("Authorization", ""))
    if found is None:
        return None
    scheme, token = found
    return token, Shown(scheme, headers.get("DPoP", ""), method, url)
