"""What belongs to one client: tenants it works at, the change that waits, what happened to it, why it was refused."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients.acting import BY_ITSELF, owner
from clients.activations import activate, request_activation
from clients.api import errors
from clients.api.base import MOST_LISTED, ApiView, answer
from clients.api.clients import ActivationSerializer, ChangeSerializer, activation_json, change_json
from clients.api.describing import describes, query
from clients.api.inputs import Input, Said
from clients.changes import withdraw_change
from clients.findings import Finding
from clients.models import ChangeRequest, Client, ClientEvent
from clients.tenants import TenantInfo, find_tenant
from smartauth.conf import config
from smartauth.receipts.views import describe, find_receipt

SANDBOX_APPROVES = "The sandbox approves by itself; elsewhere somebody at the hospital does it."


class ActivationsSerializer(serializers.Serializer[Any]):
    """Where a client works, or wants to."""

    activations = ActivationSerializer(many=True)


class Wish(Input):
    """Where a client shall work."""

    tenant = Said(max_length=32, help_text="The slug of a tenant")


class EventSerializer(serializers.Serializer[Any]):
    """Something that happened to a client."""

    at = serializers.DateTimeField()
    act = serializers.CharField()
    actor = serializers.ChoiceField(ClientEvent.Actor.values)
    by_you = serializers.BooleanField()
    tenant = serializers.CharField(help_text="Where it concerns one tenant only")
    reason = serializers.CharField()
    state = serializers.ChoiceField(Client.Status.values, help_text="Of the client, afterwards")


class EventsSerializer(serializers.Serializer[Any]):
    """What happened to a client, the newest first."""

    events = EventSerializer(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="To be sent as `before`; null at the end")


class ReceiptSerializer(serializers.Serializer[Any]):
    """Why a request of the client was refused."""

    trace_id = serializers.UUIDField()
    at = serializers.CharField()
    endpoint = serializers.CharField()
    status = serializers.IntegerField()
    error = serializers.CharField()
    rule = serializers.CharField()
    reason = serializers.CharField()
    expected = serializers.CharField()
    seen = serializers.CharField()
    fix = serializers.CharField()
    client_id = serializers.CharField()
    tenant = serializers.CharField()


class Activations(ApiView):
    """Where a client works."""

    @describes("list_activations", ActivationsSerializer, also=(404,))
    def get(self, request: Request, client_id: str) -> Response:
        """List the tenants at which a client works, or waits for it."""
        client = self.own_client(client_id)
        rows = client.activations.select_related("tenant").order_by("tenant__slug")
        return answer(ActivationsSerializer, {"activations": [activation_json(row) for row in rows]})

    @describes("request_activation", ActivationSerializer, takes=Wish, also=(404, 409))
    def post(self, request: Request, client_id: str) -> Response:
        """Ask a tenant to switch a client on. Where it is active, or waits already, nothing changes.

        In the sandbox it is active at once; elsewhere somebody at the hospital decides.
        """
        client = self.own_client(client_id)
        tenant = known_tenant(self.read(Wish)["tenant"])
        activation = request_activation(client, tenant, by=owner(request.user.pk), context=self.context)
        if config().is_sandbox and not activation.is_active:
            activation = activate(
                client, tenant, allowed_scope="", by=BY_ITSELF, context=self.context, note=SANDBOX_APPROVES
            )
        return answer(ActivationSerializer, activation_json(activation))


class Change(ApiView):
    """The change of a client that waits."""

    @describes("get_change", ChangeSerializer, also=(404,))
    def get(self, request: Request, client_id: str) -> Response:
        """Return the change that waits for a decision, with each member before and after."""
        client = self.own_client(client_id)
        change = client.change_requests.filter(state=ChangeRequest.State.OPEN).select_related("client").first()
        if change is None:
            raise errors.no_such("change that waits")
        return answer(ChangeSerializer, change_json(change))

    @describes("withdraw_change", None, status=204, also=(404, 409))
    def delete(self, request: Request, client_id: str) -> Response:
        """Take back the change that waits; the client stays as it is."""
        self.own_client(client_id)
        withdraw_change(client_id, by=owner(request.user.pk), context=self.context)
        return Response(status=204)


class Events(ApiView):
    """What happened to a client."""

    parameters = ("limit", "before")

    @describes(
        "list_events",
        EventsSerializer,
        also=(404,),
        parameters=(
            query("limit", "How many at most", type={"type": "integer", "minimum": 1, "maximum": MOST_LISTED}),
            query("before", "`next` of the page before", type={"type": "integer", "minimum": 1, "maximum": 10**18 - 1}),
        ),
    )
    def get(self, request: Request, client_id: str) -> Response:
        """List what happened to a client, with the reasons given."""
        client = self.own_client(client_id)
        limit = self.number("limit", 50, least=1, most=MOST_LISTED)
        before = self.number("before", 10**18 - 1, least=1, most=10**18 - 1)
        page = list(ClientEvent.objects.filter(client=client, pk__lt=before).order_by("-pk")[: limit + 1])
        more = page[limit - 1].pk if len(page) > limit else None
        return answer(EventsSerializer, {"events": [_event_json(one, request) for one in page[:limit]], "next": more})


class Receipt(ApiView):
    """Why a request of a client was refused."""

    @describes("get_receipt", ReceiptSerializer, also=(404,))
    def get(self, request: Request, client_id: str, trace_id: UUID) -> Response:
        """Return the receipt of a refused request of this client, by the trace id of its answer."""
        client = self.own_client(client_id)
        receipt = find_receipt(trace_id)
        if receipt is None or receipt.client_id != client.client_id:
            raise errors.no_such("receipt of this client")
        return answer(ReceiptSerializer, describe(receipt, "partner"))


def known_tenant(slug: str) -> TenantInfo:
    """Return an active tenant. Raises a refusal of the member `tenant` where there is none."""
    tenant = find_tenant(slug)
    if tenant is None:
        missing = Finding(
            "tenant", "api.tenant", "there is no such hospital here", "Choose among those of /tenants.", slug
        )
        raise errors.WithFindings([missing], code="not_possible", status=409)
    return tenant


def _event_json(event: ClientEvent, request: Request) -> dict[str, Any]:
    return {
        "at": event.at,
        "act": event.act,
        "actor": event.actor,
        "by_you": event.user_id == request.user.pk,
        "tenant": event.tenant,
        "reason": event.reason,
        "state": event.status,
    }
