"""The whole URL map on one page."""

from django.contrib import admin
from django.urls import include, path, register_converter

import fhirproxy.urls
import wellknown.urls
from smartauth import pages, probes
from smartauth.slugs import TENANT_SLUG
from smartauth.views.introspect import introspect
from smartauth.views.revoke import revoke
from smartauth.views.token import token


class TenantConverter:
    """A tenant slug in a path."""

    regex = TENANT_SLUG.pattern

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(TenantConverter, "tenant")

oauth = [
    path("token", token),
    path("introspect", introspect),
    path("revoke", revoke),
]

urlpatterns = [
    path("", pages.landing),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    path("", include(wellknown.urls)),
    path("", include(fhirproxy.urls)),
    path("auth/", include(oauth)),
    path("auth/<tenant:tenant>/", include(oauth)),
    path("account/login/", pages.sign_in, name="account_login"),
    path("account/logout/", pages.sign_out, name="account_logout"),
    path("admin/login/", pages.admin_login),
    path("admin", pages.to_admin),
    path("admin/", admin.site.urls),
]

handler400 = pages.bad_request
handler403 = pages.forbidden
handler404 = pages.not_found
handler500 = pages.server_error
