"""App configuration."""

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig

# Tables that libraries bring along and that stay empty here: no e-mail is sent, and ID tokens are signed and forgotten.
EMPTY = ("account.EmailAddress", "smartauth.IDToken")


class AdministrationConfig(AdminConfig):
    """Django's administration with our site in it."""

    default_site = "smartauth.administration.site.Administration"

    def ready(self) -> None:
        """Let every app register its tables, then take away those that nobody has a use for."""
        super().ready()
        for model in EMPTY:
            admin.site.unregister(apps.get_model(model))
