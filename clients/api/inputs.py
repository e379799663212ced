"""What requests to the portal's JSON interface have in common: strict types, and no member that nobody knows."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from clients.serializers import Text

KNOWN = RegexValidator(r"\S", "it is empty", "blank")


class Input(serializers.Serializer[dict[str, Any]]):
    """A body. A member that nobody knows is refused, since a misspelt one would be lost in silence."""

    exactly_one = False  # of its members is sent

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping):
            known = ", ".join(self.fields)
            unknown = {
                str(name): ErrorDetail(self._unknown(str(name)), "unknown") for name in data if name not in self.fields
            }
            if unknown:
                raise serializers.ValidationError(unknown)
            if self.exactly_one and len(data) != 1:
                one_of = ErrorDetail(f"exactly one is to be sent of {known}", "one_of")
                raise serializers.ValidationError({next(iter(self.fields)): one_of})
        found: dict[str, Any] = super().to_internal_value(data)
        return found

    def _unknown(self, name: str) -> ErrorDetail:
        near = get_close_matches(name[:100], self.fields, n=1)
        return ErrorDetail("it is not known here" + (f"; did you mean {near[0]}" if near else ""), "unknown")


class Said(Text):
    """A string that must be sent, and must say something."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validators=[KNOWN], **kwargs)
        self.required, self.allow_blank = True, False


class AnyObject(serializers.Field[Any, Any, Any, Any]):
    """A JSON object, whatever is in it: what is wrong with a key set is found by those who know key sets."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("it must be an object", "invalid")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


class Whole(serializers.IntegerField):
    """A JSON number without a fraction, and nothing that could be turned into one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or data != int(data):
            raise serializers.ValidationError("it must be a whole number", "invalid")
        return int(data)
