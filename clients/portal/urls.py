"""The pages of the partner portal."""

from django.urls import include, path

from clients.api import urls as api
from clients.api.document import PREFIX, Document
from clients.portal import client_page, key_test, secret_forms, token_page, wizard
from clients.portal.clinic_page import clinic_page
from clients.portal.home import home
from clients.portal.probe_page import probe_page
from clients.portal.receipt_page import receipt_page

urlpatterns = [
    path("developers", home),
    path("developers/", home, name="developers"),
    path(f"{PREFIX}schema", Document.as_view()),
    path(PREFIX, include(api)),
    path("developers/tokens", token_page.tokens_page, name="api_tokens"),
    path("developers/tokens/<int:pk>/withdraw", token_page.withdraw_token, name="withdraw_token"),
    path("developers/new", wizard.new, name="new_app"),
    path("developers/drafts/<int:pk>/kind", wizard.change_kind, name="change_kind"),
    path("developers/drafts/<int:pk>/review", wizard.review, name="review"),
    path("developers/drafts/<int:pk>/submit", wizard.submit, name="submit_draft"),
    path("developers/drafts/<int:pk>/discard", wizard.discard, name="discard_draft"),
    path("developers/drafts/<int:pk>/export", wizard.export, name="export_draft"),
    path("developers/drafts/<int:pk>/<slug:name>", wizard.step, name="step"),
    path("developers/drafts/<int:pk>/<slug:name>/check", wizard.check, name="check_step"),
    path("developers/apps/<str:client_id>", client_page.client_page, name="client_page"),
    path("developers/apps/<str:client_id>/revise", wizard.revise, name="revise_client"),
    path("developers/apps/<str:client_id>/steps/<slug:name>", client_page.take_client_step, name="client_step"),
    path("developers/apps/<str:client_id>/withdraw-change", client_page.withdraw_client_change, name="withdraw_change"),
    path("developers/apps/<str:client_id>/secret", secret_forms.new_secret, name="new_secret"),
    path("developers/apps/<str:client_id>/secret/end", secret_forms.end_former_secret, name="end_former_secret"),
    path("developers/apps/<str:client_id>/works/<str:tenant>", probe_page, name="probe"),
    path("developers/apps/<str:client_id>/clinic", clinic_page, name="clinic"),
    path("developers/receipts/<uuid:trace_id>", receipt_page, name="receipt"),
    path("developers/keys/test", key_test.test_keys, name="test_keys"),
]
