"""App configuration."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Django's administration with our site in it."""

    default_site = "smartauth.administration.site.Administration"
