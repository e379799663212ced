"""Where the public documents are."""

from django.urls import path

from wellknown import views

urlpatterns = [
    path(".well-known/smart-configuration", views.smart_configuration),
    path(".well-known/openid-configuration", views.openid_configuration),
    path(".well-known/oauth-authorization-server", views.oauth_authorization_server),
    path(".well-known/jwks.json", views.jwks),
    path(".well-known/oauth-protected-resource/fhir/<slug:tenant>/r4", views.oauth_protected_resource),
    path("brands.json", views.brands),
    path("brands/<slug:tenant>.json", views.brands),
    path("style/<slug:digest>.json", views.style),
    path("fhir/<slug:tenant>/r4/.well-known/smart-configuration", views.smart_configuration),
    path("fhir/<slug:tenant>/r4/.well-known/udap", views.udap),
]
