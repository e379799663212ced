"""What every resource of the portal's JSON interface has in common: who may ask, how it is read, how it answers."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clients.api import errors
from clients.api.authentication import MayUsePortal, SessionAuthentication, TokenAuthentication
from clients.models import Client
from clients.registered import CLIENT_ID
from smartauth import rates
from smartauth.context import RequestContext, context_of
from smartauth.errors import ContentLengthRequired, Refusal
from smartauth.json_bodies import json_object
from smartauth.responses import failure_response, private

LARGEST_BODY = 256 * 1024  # bytes; a draft may have the longest lists there are
MOST_LISTED = 200


class StrictJson(BaseParser):
    """One JSON object, no member twice, of bounded size."""

    media_type = "application/json"

    def parse(self, stream: object, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        request = parser_context["request"]._request
        if request.content_type != self.media_type:  # A pattern such as */* got here, too.
            raise UnsupportedMediaType(request.content_type)
        return json_object(request, LARGEST_BODY)


class ApiView(APIView):
    """A resource. Its handlers return `Response`, and raise OAuthError for what they refuse.

    `parameters` are the query parameters a GET takes; others are refused, since a misspelt filter would filter nothing.
    """

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (MayUsePortal,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (StrictJson,)
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    endpoint = "developers.api"
    parameters: tuple[str, ...] = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = context_of(request)
        context.endpoint = self.endpoint
        response = super().dispatch(request, *args, **kwargs)
        if not context.is_proven:
            rates.count_unproven(context)
        return private(response)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Look at everything that is the same for all resources before the handler is called."""
        rates.require_room(context_of(request._request))
        super().initial(request, *args, **kwargs)
        for name in request.query_params:
            if name not in self.parameters or len(request.query_params.getlist(name)) > 1:
                known = f"The parameters are {', '.join(self.parameters)}." if self.parameters else "There are none."
                raise errors.refused_input(name, "unknown", "it is no parameter here, or is repeated", fix=known)
        if request.META.get("HTTP_TRANSFER_ENCODING"):
            raise ContentLengthRequired(Refusal("http.length", "the body has no Content-Length", fix="Send it."))

    def handle_exception(self, exc: Exception) -> HttpResponse:
        request = self.request._request
        error = errors.as_error(exc, allow=self.allowed_methods)
        return failure_response(request, exc) if error is None else errors.answer(request, error)

    @property
    def context(self) -> RequestContext:
        return context_of(self.request._request)

    def read(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the body as that serializer understands it. Raises ValidationError and what StrictJson raises."""
        serializer = kind(data=self.request.data, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def read_nothing(self) -> None:
        """Take no body, or an empty object."""
        for name in self.request.data:
            raise errors.refused_input(name, "unknown", "nothing is to be sent here")

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a query parameter that is a number."""
        text = self.request.query_params.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
            raise errors.refused_input(name, "invalid", f"it must be a number from {least} to {most}", seen=text)
        return int(text)

    def own_client(self, client_id: str) -> Client:
        """Return a client of whoever asks. Raises NotFound, the same for somebody else's and for none."""
        found = None
        if CLIENT_ID.fullmatch(client_id):
            found = Client.objects.filter(user=self.request.user.pk, client_id=client_id).first()
        if found is None:
            raise errors.no_such("client")
        self.context.client_id = found.client_id  # Whatever is refused from here on concerns this client.
        return found


class Nothing(ApiView):
    """Where no resource is."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        rates.require_room(context_of(request._request))
        raise errors.nothing_here()


def answer(shape: type[serializers.Serializer[Any]], value: Any, status: int = 200, **headers: str) -> Response:
    """Return a value in the shape the schema declares."""
    return Response(shape(value).data, status=status, headers=headers or None)
