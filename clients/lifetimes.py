"""How long tokens of one client last, where its operator wants it otherwise than for everybody. Pure.

Source: RFC 9700 §2.2 and §4.14; SMART 2.2 backend-services, "Issue access token".
"""

from dataclasses import dataclass
from datetime import timedelta

ACCESS_TOKEN_SECONDS = (60, 3_600)
SERVICE_TOKEN_SECONDS = (60, 300)  # Nobody can sign a service out, and it can ask again at any time.
REFRESH_TOKEN_DAYS = (1, 365)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """What differs for a client; None for what is as for everybody.

    access_token: what the operator chose; `of_service_token` is what is left of it for client_credentials.
    """

    access_token: timedelta | None = None
    refresh_token: timedelta | None = None

    @classmethod
    def of(cls, access_token_lifetime: int | None, refresh_token_days: int | None) -> "Lifetimes":
        """Return stored lifetimes as a value: seconds of an access token, days of a refresh token."""
        return cls(
            None if access_token_lifetime is None else timedelta(seconds=access_token_lifetime),
            None if refresh_token_days is None else timedelta(days=refresh_token_days),
        )

    @property
    def of_service_token(self) -> timedelta | None:
        longest = timedelta(seconds=SERVICE_TOKEN_SECONDS[1])
        return None if self.access_token is None else min(self.access_token, longest)


AS_FOR_EVERYBODY = Lifetimes()


def lifetime_problem(
    access_token_lifetime: int | None, refresh_token_days: int | None, *, is_service: bool
) -> tuple[str, str] | None:
    """Return the member that is out of bounds and why, None where both are fine. Absent ones are."""
    shortest, longest = SERVICE_TOKEN_SECONDS if is_service else ACCESS_TOKEN_SECONDS
    if access_token_lifetime is not None and not shortest <= access_token_lifetime <= longest:
        for_whom = " for a backend service" if is_service else ""
        return "access_token_lifetime", f"it must be from {shortest} to {longest} seconds{for_whom}"
    fewest, most = REFRESH_TOKEN_DAYS
    if refresh_token_days is not None and not fewest <= refresh_token_days <= most:
        return "refresh_token_days", f"it must be from {fewest} to {most} days"
    return None
