"""The shape of RFC 7591 client metadata: which members there are and which JSON types they have.

What the values may be, and how they go together, is in `metadata.py`.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

# Control characters and halves of surrogate pairs cannot be stored or shown.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
DEEPEST = 100  # levels of JSON; what is deeper could be decoded here and encoded nowhere


class Text(serializers.CharField):
    """A JSON string, and nothing that could be turned into one."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 255)
        super().__init__(required=False, trim_whitespace=False, allow_blank=True, **kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("it must be a string")
        if UNPRINTABLE.search(data):
            raise serializers.ValidationError("it has control characters")
        return data


class TextList(serializers.ListField):
    """A JSON array of strings; repeated ones count once."""

    def __init__(self, *, of: int = 2_000) -> None:
        super().__init__(child=Text(max_length=of), required=False, max_length=100)

    def to_internal_value(self, data: object) -> list[str]:
        if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
            raise serializers.ValidationError("it must be an array of strings")
        return list(dict.fromkeys(super().to_internal_value(data)))


class Switch(serializers.Field):
    """`true` or `false`, and nothing that could be taken for one."""

    def __init__(self) -> None:
        super().__init__(required=False)

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("it must be true or false")
        return data

    def to_representation(self, value: bool) -> bool:
        return value


class Number(serializers.Field):
    """A whole JSON number; `true` is none."""

    def __init__(self) -> None:
        super().__init__(required=False)

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("it must be a whole number")
        return data

    def to_representation(self, value: int) -> int:
        return value


class JsonObject(serializers.Field):
    """A JSON object, handed on as it is."""

    def to_internal_value(self, data: object) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("it must be an object")
        if not is_storable(data):
            raise serializers.ValidationError("it has control characters or a number that is none")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


class ClientMetadataSerializer(serializers.Serializer[dict[str, Any]]):
    """Members that are stored, and ours. Others are ignored (RFC 7591 §2).

    Source: RFC 7591 §2; OIDC Registration §2; RFC 9126 §6; RFC 9449 §5.2.
    """

    client_id = Text()
    client_name = Text()
    token_endpoint_auth_method = Text()
    token_endpoint_auth_signing_alg = Text()
    id_token_signed_response_alg = Text()
    application_type = Text()
    grant_types = TextList(of=64)
    response_types = TextList(of=32)
    redirect_uris = TextList()
    post_logout_redirect_uris = TextList()
    scope = Text(max_length=20_000)
    jwks = JsonObject(required=False)
    jwks_uri = Text(max_length=2_000)
    client_uri = Text(max_length=2_000)
    logo_uri = Text(max_length=2_000)
    tos_uri = Text(max_length=2_000)
    policy_uri = Text(max_length=2_000)
    contacts = TextList(of=255)
    software_id = Text()
    software_version = Text()
    initiate_login_uri = Text(max_length=2_000)
    require_pushed_authorization_requests = Switch()
    dpop_bound_access_tokens = Switch()
    # Ours, beyond the standards.
    publisher = Text()
    purpose = Text(max_length=1_000)
    intended_users = Text()
    funding = Text(max_length=1_000)
    data_sharing = Text(max_length=1_000)
    data_deletion = Text(max_length=1_000)
    smart_version = Text()
    require_dpop_nonce = Switch()
    launch_urls = TextList()
    allowed_origins = TextList()
    restrictions = JsonObject(required=False)
    access_token_lifetime = Number()
    refresh_token_days = Number()


def is_storable(value: object) -> bool:
    """Return True for JSON the database can keep: no control characters, no NaN, and not nested past all reason."""
    level = [value]
    for _ in range(DEEPEST):
        if any(isinstance(one, str) and UNPRINTABLE.search(one) for one in level):
            return False
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            return False
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return (*value, *value.values())
    return value if isinstance(value, list) else ()


def first_problem(errors: Any) -> tuple[str, str]:
    """Return the first member DRF complains about and its complaint, as text."""
    member, detail = next(iter(errors.items()))
    while isinstance(detail, dict | list) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(member), str(detail).rstrip(".")
