"""The OpenAPI document of this interface, written from the views themselves."""

from functools import cache
from typing import Any

from django.urls import include, path
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer, OpenApiYamlRenderer2
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from clients.api.base import ApiView
from clients.api.inputs import Input
from clients.api.urls import urlpatterns

# What a string may not have in it, in the words of ECMA 262: see clients/serializers.py.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
PREFIX = "developers/api/"
_OF_A_DRAFT = ("get_draft", "replace_answers", "change_answers", "submit_draft", "delete_draft")
_OF_A_CLIENT = ("get_client", "revise_client", "retire_client", "list_events", "list_activations", "get_change")
# What an answer leads to: operations, by the parameter that is found in it (OpenAPI 3.0.3, "Link Object").
LINKS = {
    ("begin_draft", "201"): (_OF_A_DRAFT, "id", "/id"),
    ("list_drafts", "200"): (_OF_A_DRAFT, "id", "/drafts/0/id"),
    ("submit_draft", "201"): (_OF_A_CLIENT, "client_id", "/client/client_id"),
    ("list_clients", "200"): (_OF_A_CLIENT, "client_id", "/clients/0/client_id"),
    ("issue_token", "201"): (("withdraw_token",), "id", "/id"),
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a program shows its token."""

    target_class = "clients.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token made in the portal, never one of an app."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the portal's own pages show who is signed in."""

    target_class = "clients.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "What changes something needs the csrftoken cookie's value as X-CSRFToken, too."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": description}


class _FieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    match_subclasses = True
    schema: dict[str, Any] = {}

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return dict(self.schema)


class TextSchema(_FieldExtension):
    """A string without control characters."""

    target_class = "clients.serializers.Text"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        said = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
        return {
            "type": "string",
            "maxLength": self.target.max_length,
            "pattern": PRINTABLE if self.target.allow_blank else said,
        }


class TextListSchema(_FieldExtension):
    """An array of such strings."""

    target_class = "clients.serializers.TextList"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        items = {"type": "string", "maxLength": self.target.child.max_length, "pattern": PRINTABLE}
        return {"type": "array", "items": items, "maxItems": self.target.max_length}


class SwitchSchema(_FieldExtension):
    """true or false."""

    target_class = "clients.serializers.Switch"
    schema = {"type": "boolean"}


class AnyObjectSchema(_FieldExtension):
    """An object, as it is."""

    target_class = "clients.api.inputs.AnyObject"
    schema = {"type": "object", "additionalProperties": True}


class Document(ApiView):
    """The OpenAPI document."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (OpenApiJsonRenderer, JSONRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer)
    schema = None

    def get(self, request: Request) -> Response:
        """Return the document as JSON, or as YAML to who accepts only that."""
        return Response(openapi_document())


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3 document of every resource."""
    generator = SchemaGenerator(patterns=[path(PREFIX, include(urlpatterns))])  # type: ignore[no-untyped-call]
    document: dict[str, Any] = generator.get_schema(request=None, public=True)
    return document


def mend(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Say of every body that other members are refused, and take out what the generator adds for itself."""
    only_one = {kind.__name__ for kind in _all_below(Input) if kind.exactly_one}
    for methods in result["paths"].values():
        for operation in methods.values():
            body = operation.get("requestBody", {})
            if any(name in str(body) for name in only_one):
                body["required"] = True
            for status, answer in operation["responses"].items():
                targets, parameter, pointer = LINKS.get((operation["operationId"], status), ((), "", ""))
                for target in targets:
                    to = {"operationId": target, "parameters": {parameter: f"$response.body#{pointer}"}}
                    answer.setdefault("links", {})[target] = to
    schemas: dict[str, Any] = result["components"]["schemas"]
    for kind in _all_below(Input):
        if kind.__name__ in schemas:
            one = {"minProperties": 1, "maxProperties": 1} if kind.exactly_one else {}
            schemas[kind.__name__].update({"additionalProperties": False, **one})
    for schema in schemas.values():
        for member in schema.get("properties", {}).values():
            member.pop("x-spec-enum-id", None)
            # Our patterns allow an empty text by themselves; as two alternatives it would match both.
            if member.get("oneOf", [{}])[-1] == {"type": "string", "maxLength": 0}:
                member.update(member.pop("oneOf")[0])
    return result


def _all_below(kind: type[Input]) -> list[type[Input]]:
    return [found for one in kind.__subclasses__() for found in (one, *_all_below(one))]
