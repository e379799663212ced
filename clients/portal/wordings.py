"""States of an app and what happened to it, in words for its owner. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clients.models import Client


@dataclass(frozen=True, slots=True)
class StateWords:
    """A state: its name, what it means, and the mark it is shown with (good, caution or bad)."""

    title: str
    detail: str
    mark: str


Status = Client.Status
STATES: Mapping[str, StateWords] = MappingProxyType(
    {
        Status.DRAFT: StateWords("Not submitted", "It can do nothing until you submit it.", "caution"),
        Status.SUBMITTED: StateWords("Waits for approval", "Somebody at the hospital looks at it.", "caution"),
        Status.APPROVED: StateWords("Approved", "It works wherever a hospital has switched it on.", "good"),
        Status.DECLINED: StateWords("Declined", "Read why below; then change it and submit it again.", "bad"),
        Status.SUSPENDED: StateWords("Suspended", "The operator stopped it. Ask them why.", "bad"),
        Status.RETIRED: StateWords("Retired", "It has ended for good.", "bad"),
    }
)
ACTS: Mapping[str, str] = MappingProxyType(
    {
        "submitted": "Submitted",
        "withdrawn": "Withdrawn",
        "returned": "Changes asked for",
        "approved": "Approved",
        "narrowed": "Fewer scopes than asked for",
        "declined": "Declined",
        "reviewed_again": "Review began again",
        "suspended": "Suspended",
        "resumed": "Resumed",
        "retired": "Retired",
        "requested": "Asked to work",
        "activated": "Switched on",
        "deactivated": "Switched off",
        "changed": "Changed",
        "change_requested": "Change asked for",
        "change_approved": "Change approved",
        "change_declined": "Change declined",
        "change_withdrawn": "Change withdrawn",
        "keys_by_value": "Keys registered by value",
        "secret_issued": "New secret made",
        "secret_withdrawn": "Old secret withdrawn",
    }
)
