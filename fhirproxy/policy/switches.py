"""The switches of a tenant that decide about writing, as the policy needs them."""

from dataclasses import dataclass

WRITE_LEVELS = {
    "off": frozenset[str](),
    "user": frozenset({"patient", "user"}),
    "system": frozenset({"system"}),
    "all": frozenset({"patient", "user", "system"}),
}


@dataclass(frozen=True, slots=True)
class WriteSwitches:
    """What a tenant lets be written, and how. The defaults are the strict ones."""

    levels: frozenset[str] = WRITE_LEVELS["user"]  # levels of scope that may write
    update_as_create: bool = False  # a PUT to an id that was never used creates it; for full authority only
    allow_unversioned: bool = False  # write although the upstream cannot tie a write to the version that was checked
    compensate: bool = False  # delete again what the upstream created outside the authority
    attached_binaries: bool = False  # a document that attached a Binary without a security context may go on to
