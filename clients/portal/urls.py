"""The pages of the partner portal."""

from django.urls import include, path

from clients.api import urls as api
from clients.portal.home import home

urlpatterns = [
    path("developers", home),
    path("developers/", home, name="developers"),
    path("developers/api/", include(api)),
]
