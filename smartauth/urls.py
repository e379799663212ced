"""The whole URL map on one page."""

from allauth.mfa.totp.views import activate_totp
from allauth.mfa.webauthn.views import add_webauthn
from django.conf import settings
from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.generic import RedirectView

import clients.portal.urls
import fhirproxy.urls
import wellknown.urls
from smartauth import pages, probes
from smartauth.conf import config
from smartauth.languages import choose_language
from smartauth.people.upstream.fresh import freshly_proven
from smartauth.people.upstream.views import upstream_callback, upstream_sign_in
from smartauth.slugs import TENANT_SLUG
from smartauth.views.authorize import authorize
from smartauth.views.consent import consent
from smartauth.views.introspect import introspect
from smartauth.views.launch import launch
from smartauth.views.logout import confirm_logout, logout
from smartauth.views.my_account import change_password, my_account
from smartauth.views.my_apps import my_apps, stop_app
from smartauth.views.par import par
from smartauth.views.picker import picker
from smartauth.views.refused import refused
from smartauth.views.register import manage_registration, register
from smartauth.views.revoke import revoke
from smartauth.views.skins import logo, stylesheet
from smartauth.views.token import token
from smartauth.views.userinfo import userinfo
from smartauth.views.visit_picker import visit_picker


class TenantConverter:
    """A tenant slug in a path."""

    regex = TENANT_SLUG.pattern

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(TenantConverter, "tenant")

oauth = [
    path("authorize", authorize),
    path("par", par),
    path("token", token),
    path("introspect", introspect),
    path("revoke", revoke),
    path("userinfo", userinfo),
    path("logout", logout),
]

# Before allauth's own: its list is on the page of all second factors.
passkeys = [
    path("account/second-factor/webauthn/", RedirectView.as_view(pattern_name="mfa_index")),
    path("account/second-factor/webauthn/add/", freshly_proven(add_webauthn)),
]
if not settings.PASSKEYS:
    passkeys = []

urlpatterns = [
    path("", pages.landing),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    path("", include(wellknown.urls)),
    path("", include(fhirproxy.urls)),
    path("skin/<slug:digest>.css", stylesheet),
    path("skin/<slug:digest>.<slug:extension>", logo),
    path("auth/", include(oauth)),
    path("auth/launch", launch),
    path("auth/register", register),
    path("auth/register/<str:client_id>", manage_registration),
    path("auth/logout/confirm", confirm_logout, name="confirm_logout"),
    path("auth/consent/<uuid:pk>", consent, name="consent"),
    path("auth/consent/<uuid:pk>/patient", picker, name="picker"),
    path("auth/consent/<uuid:pk>/visit", visit_picker, name="visit_picker"),
    path("auth/refused/<uuid:pk>", refused, name="refused"),
    path("auth/<tenant:tenant>/", include(oauth)),
    path("", include(clients.portal.urls)),
    path("account/login/", pages.sign_in, name="account_login"),
    path("account/signup/", pages.sign_up, name="account_signup"),
    path("account/reauthenticate/", pages.sign_in_again, name="account_reauthenticate"),
    path("account/upstream/", upstream_sign_in, name="upstream_sign_in"),
    path("account/upstream/callback", upstream_callback, name="upstream_callback"),
    path("account/logout/", pages.sign_out, name="account_logout"),
    path("account/second-factor/totp/activate/", freshly_proven(activate_totp)),
    *passkeys,
    path("account/second-factor/", include("allauth.mfa.urls")),
    path("account/language", choose_language, name="language"),
    path("account/", my_account, name="my_account"),
    path("account/password/", change_password, name="account_change_password"),
    path("account/apps", my_apps, name="my_apps"),
    path("account/apps/", my_apps),
    path("account/apps/stop", stop_app, name="stop_app"),
    path("admin/login/", pages.admin_login),
    path("admin", pages.to_admin),
    path("admin/", admin.site.urls),
]

if config().is_sandbox:
    urlpatterns.append(path("", include("smartauth.sandbox.urls")))

handler400 = pages.bad_request
handler403 = pages.forbidden
handler404 = pages.not_found
handler429 = pages.too_many
handler500 = pages.server_error
