"""The registry's rows."""

from clients.models.api_tokens import ApiToken
from clients.models.clients import WITH_SECRET, AppKind, AuthMethod, Client, SpentClientId
from clients.models.initial_tokens import InitialAccessToken
from clients.models.keys import AssertionId, KeyFinding, KeySet, KeyUse, KeyWatchRound
from clients.models.life_cycle import ChangeRequest, ClientEvent, Draft
from clients.models.reviews import Review
from clients.models.skins import Skin
from clients.models.tenants import Activation, Brand, Tenant

__all__ = [
    "WITH_SECRET",
    "Activation",
    "ApiToken",
    "AppKind",
    "AssertionId",
    "AuthMethod",
    "Brand",
    "ChangeRequest",
    "Client",
    "ClientEvent",
    "Draft",
    "InitialAccessToken",
    "KeyFinding",
    "KeySet",
    "KeyUse",
    "KeyWatchRound",
    "Review",
    "Skin",
    "SpentClientId",
    "Tenant",
]
