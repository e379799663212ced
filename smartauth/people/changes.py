"""What changed lately in how somebody signs in. No mail is sent, so the person hears of it here: on the page of their
account, and once on the first page after the next sign-in, when it may have been somebody else.

Source: NIST SP 800-63B §6.1.2.3, notice of new authenticators.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_noop as _

from smartauth.audit.models import AuditRecord

PERIOD = timedelta(days=90)
MOST = 10
SESSION_KEY = "account_changes"
PASSWORD = "password-changed"
# What was done to what, as the audit trail has it.
TITLES = {
    (PASSWORD, ""): _("Password changed"),
    ("second-factor-added", "webauthn"): _("Passkey added"),
    ("second-factor-removed", "webauthn"): _("Passkey removed"),
    ("second-factor-added", "totp"): _("Authenticator app set up"),
    ("second-factor-removed", "totp"): _("Authenticator app removed"),
    ("second-factor-added", "recovery_codes"): _("Recovery codes made"),
    ("second-factor-renewed", "recovery_codes"): _("Recovery codes made anew"),
    ("second-factor-removed", "recovery_codes"): _("Recovery codes removed"),
}
ACTIONS = sorted({action for action, _kind in TITLES})


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its name in English, and when."""

    title: str
    at: datetime


def recent(user: int, *, now: datetime) -> tuple[Change, ...]:
    """Return the changes of the last 90 days, the newest first. One statement."""
    rows = _of(user).filter(action__in=ACTIONS, at__gte=now - PERIOD)
    return tuple(Change(_title(row), row.at) for row in rows[:MOST])


def move_to_session(request: HttpRequest, user: int) -> None:
    """Let the person who is signing in hear of what was changed since they did so before, once. One statement."""
    told = []
    for row in _of(user).filter(action__in=[*ACTIONS, "sign-in"])[: MOST + 1]:
        if row.action == "sign-in":
            break
        told.append([_title(row), row.at.timestamp()])
    if told:
        request.session[SESSION_KEY] = told


def take(request: HttpRequest) -> tuple[Change, ...]:
    """Return what is to be told on this page, and forget it."""
    found = request.session.pop(SESSION_KEY, []) if hasattr(request, "session") else []
    return tuple(Change(title, datetime.fromtimestamp(at, UTC)) for title, at in found)


def _of(user: int) -> QuerySet[AuditRecord]:
    return AuditRecord.objects.filter(user_id=user, patient="").order_by("-at")


def _title(row: AuditRecord) -> str:
    return TITLES.get((row.action, row.details.get("type", "")), _("Second factor changed"))
