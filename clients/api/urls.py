"""The JSON interface of the partner portal. Its OpenAPI document is written from this map, and stands beside it."""

from django.urls import path, re_path

from clients.api import choices, clients, drafts, key_tests, tokens
from clients.api import client_parts as parts
from clients.api import client_work as work
from clients.api.base import Nothing

CLIENT = "clients/<str:client_id>"

urlpatterns = [
    path("kinds", choices.Kinds.as_view()),
    path("scopes", choices.Scopes.as_view()),
    path("tenants", choices.Tenants.as_view()),
    path("tokens", tokens.Tokens.as_view()),
    path("tokens/<int:pk>", tokens.OneToken.as_view()),
    path("test-jwks", key_tests.TestJwks.as_view()),
    path("diagnose", key_tests.Diagnose.as_view()),
    path("drafts", drafts.Drafts.as_view()),
    path("drafts/<int:pk>", drafts.OneDraft.as_view()),
    path("drafts/<int:pk>/submit", drafts.Submit.as_view()),
    path("clients", clients.Clients.as_view()),
    path(CLIENT, clients.OneClient.as_view()),
    path(f"{CLIENT}/draft", clients.Revise.as_view()),
    path(f"{CLIENT}/withdraw", clients.Withdraw.as_view()),
    path(f"{CLIENT}/retire", clients.Retire.as_view()),
    path(f"{CLIENT}/change", parts.Change.as_view()),
    path(f"{CLIENT}/events", parts.Events.as_view()),
    path(f"{CLIENT}/activations", parts.Activations.as_view()),
    path(f"{CLIENT}/activations/<str:tenant>/probe", work.Probe.as_view()),
    path(f"{CLIENT}/keys", work.Keys.as_view()),
    path(f"{CLIENT}/secrets", work.Secrets.as_view()),
    path(f"{CLIENT}/secrets/previous", work.PreviousSecret.as_view()),
    path(f"{CLIENT}/snippets", work.Snippets.as_view()),
    path(f"{CLIENT}/requests", work.RecentRequests.as_view()),
    path(f"{CLIENT}/receipts/<uuid:trace_id>", parts.Receipt.as_view()),
    # Whatever is left, with line ends in it too, which <path:> does not take.
    re_path("", Nothing.as_view()),
]
