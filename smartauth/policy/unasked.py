"""When an app gets a code although nobody is asked: by what somebody agreed to before, or by the administrator. Pure.

Source: RFC 6749 §10.2; RFC 8252 §8.6; RFC 9700 §2.1 and §4.11; OIDC Core §3.1.2.1, `prompt`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from smartauth.policy.scopes import split_scope

# The app asks for a page, or the user may want to be somebody else.
PAGE_WANTED = frozenset({"consent", "select_account"})


def may_be_remembered(*, is_public: bool, redirect_uri: str, prompts: Collection[str]) -> bool:
    """Return True when an answer may stand for later requests like it.

    Who has nothing to prove itself with and is answered at a place that any program on a device can take could be
    somebody else the next time, so it is asked about each time (RFC 8252 §8.6).
    """
    return PAGE_WANTED.isdisjoint(prompts) and (not is_public or redirect_uri.startswith("https://"))


def may_be_skipped(
    *,
    is_public: bool,
    from_ehr: bool,
    is_clinician: bool,
    allowed_scope: str,
    reaches_sensitive: bool,
    prompts: Collection[str],
) -> bool:
    """Return True when the page may be left out for an app of which an administrator decided that it may.

    Only where a system of the institution launched it for somebody who works there: patients are always asked. It must
    prove who it is, and what it may have must be written down at the tenant, so that no later registration widens it.
    """
    return (
        not is_public
        and from_ehr
        and is_clinician
        and bool(allowed_scope.strip())
        and not reaches_sensitive
        and PAGE_WANTED.isdisjoint(prompts)
    )


def stands_until(said: datetime, given_at: datetime, days: int) -> datetime:
    """Return until when an answer stands for others like it.

    said: what was said with it.    given_at: when that was.    days: for how many the tenant lets answers stand now.
    """
    return min(said, given_at + timedelta(days=days))


def same_scopes(asked: str, remembered: str) -> bool:
    """Return True when two scope values ask for the same, in whatever order. What is merely covered is not the same."""
    return set(split_scope(asked)) == set(split_scope(remembered))


def as_text(scopes: Iterable[object]) -> str:
    """Return scopes as one `scope` value."""
    return " ".join(map(str, scopes))
