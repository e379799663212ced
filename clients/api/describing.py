"""How an operation describes itself in the OpenAPI document: what it takes, gives, and may answer instead."""

from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

# Known to every operation; 405 is the answer to a method that is none.
ALWAYS = (400, 401, 403, 406, 414, 429, 503)
WITH_BODY = (411, 413, 415)
# Words of RFC 9110 §15.
MEANINGS = {
    400: "The request cannot be understood; findings name each mistake.",
    401: "No credentials, or none that are good here.",
    403: "Who asks may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    406: "The answer is JSON.",
    409: "It cannot be done as things are now; findings say why.",
    411: "The body has no Content-Length.",
    413: "The body is too large.",
    414: "The URL is too long.",
    415: "The body is not JSON.",
    429: "Too many requests; Retry-After says when there is room.",
    503: "The server cannot decide now.",
}
Shape = type[serializers.Serializer[Any]]


class FindingSerializer(serializers.Serializer[Any]):
    """Something to mend."""

    member = serializers.CharField(help_text="The member it stands at; empty where it concerns the whole request")
    rule = serializers.CharField(help_text="Stable id of the check")
    message = serializers.CharField()
    fix = serializers.CharField(help_text="What to do")
    seen = serializers.CharField(help_text="What was found, shortened")
    step = serializers.CharField(help_text="Of the wizard: identity, connection or data; else empty")


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error has this shape."""

    error = serializers.CharField(help_text="Stable code")
    error_description = serializers.CharField()
    trace_id = serializers.UUIDField(help_text="Its receipt tells more")
    findings = FindingSerializer(many=True, required=False)


def describes(
    operation_id: str,
    gives: Shape | None,
    *,
    takes: Shape | None = None,
    status: int = 200,
    also: tuple[int, ...] = (),
    parameters: tuple[OpenApiParameter, ...] = (),
    session_only: bool = False,
    example: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe a handler.

    gives: the shape of its answer, None for an empty one.    also: other statuses, 404 for instance; those below 400
    have the same shape.    session_only: tokens are not enough.    example: a body.
    """

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        with_body = WITH_BODY if handler.__name__ in ("post", "put", "patch") else ()
        refusals = (*ALWAYS, *(one for one in also if one >= 400), *with_body)
        answers: dict[int, Any] = {one: OpenApiResponse(gives, "Done") for one in (status, *also) if one < 400}
        answers |= {one: OpenApiResponse(ErrorSerializer, MEANINGS[one]) for one in sorted(refusals)}
        extended = extend_schema(
            operation_id=operation_id,
            request=takes,
            responses=answers,
            parameters=list(parameters),
            auth=[{"session": []}] if session_only else None,
            examples=[OpenApiExample("Example", example, request_only=True)] if example else None,
        )
        described: Callable[..., Any] = extended(handler)
        return described

    return decorate


def query(name: str, description: str, **options: Any) -> OpenApiParameter:
    """Return the description of a query parameter."""
    return OpenApiParameter(name, location=OpenApiParameter.QUERY, description=description, **options)
