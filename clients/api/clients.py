"""Clients: what is registered, how it stands with it, and what its owner can do next."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients import drafts
from clients.acting import owner
from clients.api import errors
from clients.api.base import MOST_LISTED, ApiView, answer
from clients.api.describing import describes, query
from clients.app_kinds import kind_of
from clients.changes import differences_of
from clients.lifecycle import possible_steps, take_step
from clients.models import Activation, AppKind, ChangeRequest, Client, ClientEvent
from clients.registration import describe_metadata
from smartauth import endpoints

STATES = [state.value for state in Client.Status]
CHANGED_IN = (Client.Status.DRAFT, Client.Status.DECLINED, Client.Status.APPROVED)
STEPS = {"withdrawn": "withdraw", "retired": "retire"}  # an owner's steps that need nothing but to be taken


class ActivationSerializer(serializers.Serializer[Any]):
    """How a client stands with a tenant."""

    tenant = serializers.CharField()
    name = serializers.CharField(help_text="Of the tenant")
    fhir_base = serializers.CharField()
    state = serializers.ChoiceField(["active", "waiting", "off"])
    allowed_scope = serializers.CharField(help_text="The most it gets there; empty for all it is registered for")
    decided_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(help_text="Why it was decided so")


class ClientSummarySerializer(serializers.Serializer[Any]):
    """A client in a list."""

    client_id = serializers.CharField()
    client_name = serializers.CharField()
    kind = serializers.ChoiceField(AppKind.values)
    state = serializers.ChoiceField(STATES)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    activations = ActivationSerializer(many=True)


class ClientsSerializer(serializers.Serializer[Any]):
    """Clients, the newest first."""

    clients = ClientSummarySerializer(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="To be sent as `before`; null at the end")


class DifferenceSerializer(serializers.Serializer[Any]):
    """A member that changes."""

    member = serializers.CharField()
    label = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    widens = serializers.BooleanField(help_text="It gives more than was approved, or shows people something else")


class ChangeSerializer(serializers.Serializer[Any]):
    """A change that waits until somebody decides; the client goes on as it was."""

    requested_at = serializers.DateTimeField()
    differences = DifferenceSerializer(many=True)


class NextStepSerializer(serializers.Serializer[Any]):
    """Something its owner can do now."""

    step = serializers.ChoiceField(["revise", *STEPS.values()])
    method = serializers.ChoiceField(["POST"])
    url = serializers.CharField()


class SecretsSerializer(serializers.Serializer[Any]):
    """Which secrets there are; what they are is told once, when they are made."""

    has_secret = serializers.BooleanField()
    expires_at = serializers.DateTimeField(allow_null=True, help_text="null: never")
    has_previous = serializers.BooleanField(help_text="The one before is good until it expires or is withdrawn")
    previous_expires_at = serializers.DateTimeField(allow_null=True)


class ClientSerializer(ClientSummarySerializer):
    """A client."""

    metadata = serializers.DictField(help_text="As registered, in the words of RFC 7591")
    secrets = SecretsSerializer()
    change = ChangeSerializer(allow_null=True)
    draft = serializers.IntegerField(allow_null=True, help_text="The draft in which it is being changed")
    next_steps = NextStepSerializer(many=True)


class Clients(ApiView):
    """Clients."""

    parameters = ("state", "limit", "before")

    @describes(
        "list_clients",
        ClientsSerializer,
        parameters=(
            query("state", "Only those in this state", enum=STATES),
            query("limit", "How many at most", type={"type": "integer", "minimum": 1, "maximum": MOST_LISTED}),
            query("before", "`next` of the page before", type={"type": "integer", "minimum": 1, "maximum": 10**18 - 1}),
        ),
    )
    def get(self, request: Request) -> Response:
        """List the clients of whoever asks."""
        limit = self.number("limit", 100, least=1, most=MOST_LISTED)
        before = self.number("before", 10**18 - 1, least=1, most=10**18 - 1)
        rows = _with_activations(Client.objects.filter(user=request.user.pk, pk__lt=before).order_by("-pk"))
        state = request.query_params.get("state")
        if state is not None:
            if state not in STATES:
                raise errors.refused_input("state", "invalid_choice", "there is no such state", seen=state)
            rows = rows.filter(status=state)
        page = list(rows[: limit + 1])
        more = page[limit - 1].pk if len(page) > limit else None
        return answer(ClientsSerializer, {"clients": [_summary(row) for row in page[:limit]], "next": more})


class OneClient(ApiView):
    """One client."""

    @describes("get_client", ClientSerializer, also=(404,))
    def get(self, request: Request, client_id: str) -> Response:
        """Return a client: its metadata, its state, where it works, what waits, and what can be done next."""
        return answer(ClientSerializer, client_json(self.own_client(client_id)))


class Revise(ApiView):
    """Changing a client by a draft."""

    @describes("revise_client", None, status=303, also=(404, 409))
    def post(self, request: Request, client_id: str) -> Response:
        """Begin to change a client. The answer leads to its draft, made from what is registered unless there is one."""
        self.read_nothing()
        draft = drafts.revise(self.own_client(client_id), request.user.pk)
        return Response(status=303, headers={"Location": f"/developers/api/drafts/{draft.pk}"})


class _Step(ApiView):
    """A step of a client's way that its owner takes."""

    name: str

    def take(self, request: Request, client_id: str) -> Response:
        self.read_nothing()
        self.own_client(client_id)
        client = take_step(client_id, self.name, by=owner(request.user.pk), context=self.context)
        return answer(ClientSerializer, client_json(client))


class Withdraw(_Step):
    """Taking back what was submitted."""

    name = "withdrawn"

    @describes("withdraw_client", ClientSerializer, also=(404, 409))
    def post(self, request: Request, client_id: str) -> Response:
        """Take back a client that waits for a decision, to change it."""
        return self.take(request, client_id)


class Retire(_Step):
    """The end of a client."""

    name = "retired"

    @describes("retire_client", ClientSerializer, also=(404, 409))
    def post(self, request: Request, client_id: str) -> Response:
        """End a client and everything granted to it, for good."""
        return self.take(request, client_id)


def client_json(client: Client) -> dict[str, Any]:
    """Return a client in full, as it is stored now."""
    client = _with_activations(Client.objects.filter(pk=client.pk)).select_related("draft").get()
    change = client.change_requests.filter(state=ChangeRequest.State.OPEN).select_related("client").first()
    draft = getattr(client, "draft", None)
    return {
        **_summary(client),
        "metadata": describe_metadata(client),
        "secrets": {
            "has_secret": bool(client.client_secret),
            "expires_at": client.client_secret_expires_at,
            "has_previous": bool(client.previous_client_secret),
            "previous_expires_at": client.previous_client_secret_expires_at,
        },
        "change": change_json(change) if change else None,
        "draft": draft.pk if draft else None,
        "next_steps": _next_steps(client),
    }


def change_json(change: ChangeRequest) -> dict[str, Any]:
    """Return a change that waits, member by member."""
    return {"requested_at": change.requested_at, "differences": differences_of(change)}


def activation_json(activation: Activation) -> dict[str, Any]:
    """Return how a client stands with a tenant."""
    tenant = activation.tenant
    state = "active" if activation.is_active else "off" if activation.decided_at else "waiting"
    return {
        "tenant": tenant.slug,
        "name": tenant.name or tenant.slug,
        "fhir_base": endpoints.fhir_base(tenant.slug),
        "state": state,
        "allowed_scope": activation.allowed_scope,
        "decided_at": activation.decided_at,
        "note": activation.note,
    }


def _with_activations(rows: QuerySet[Client]) -> QuerySet[Client]:
    activations = Activation.objects.select_related("tenant").order_by("tenant__slug")
    return rows.prefetch_related(Prefetch("activations", queryset=activations))


def _summary(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "client_name": client.name,
        "kind": kind_of(client),
        "state": client.status,
        "created_at": client.created,
        "updated_at": client.updated,
        "activations": [activation_json(one) for one in client.activations.all()],
    }


def _next_steps(client: Client) -> list[dict[str, str]]:
    possible = possible_steps(client, ClientEvent.Actor.OWNER)
    steps = ["revise"] if client.status in CHANGED_IN else []
    steps += [word for name, word in STEPS.items() if name in possible]
    where = f"/developers/api/clients/{client.client_id}"
    return [
        {"step": step, "method": "POST", "url": f"{where}/{'draft' if step == 'revise' else step}"} for step in steps
    ]
