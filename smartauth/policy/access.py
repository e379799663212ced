"""What a valid access token turns into: everything a decision about it needs, and nothing that must be looked up."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from smartauth.policy.scopes import ResourceScope


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What a client may reach at most, whatever its scopes say. None means unrestricted; empty means nothing."""

    patients: frozenset[str] | None = None  # logical ids
    groups: frozenset[str] | None = None  # logical ids of Group resources whose members it may reach
    operator_types: frozenset[str] = frozenset()  # types of class operator it may read with system/ scopes
    panel: bool = False  # clinicians reach their panel through it, also where the tenant lets them reach everyone
    proxy_relations: bool = True  # people act through it for others they have a stored relation to


UNRESTRICTED = Restrictions()


@dataclass(frozen=True, slots=True)
class Access:
    """The authority behind one access token at one tenant, as of the moment it was looked up.

    `scopes` are already granted ∩ registered ∩ activated, in meaning; unreadable ones are gone. `patient` and
    `fhir_user` are as the token carries them and may be malformed: whoever uses them checks them.
    """

    tenant: str
    client_id: str
    subject: str
    scopes: tuple[ResourceScope, ...]
    named_scopes: frozenset[str]  # "openid", "launch/patient", "__introspect", …
    grant_types: frozenset[str]  # the client's registered grant types
    expires_at: datetime
    authorization: UUID | None = None  # None only for tokens minted for debugging
    user: int | None = None
    patient: str | None = None
    fhir_user: str | None = None  # relative to the tenant's FHIR base, or absolute
    related_patients: frozenset[str] = frozenset()  # patients the user may act for at this tenant, by proxy relation
    restrictions: Restrictions = UNRESTRICTED
    origins: frozenset[str] = frozenset()  # registered browser origins of the client
    key_binding: str | None = None  # RFC 9449 `jkt`: the token is good with a proof by this key only
    requires_nonce: bool = False  # and such a proof must have a nonce of ours
    token_digest: str = ""
