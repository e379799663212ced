"""App configuration."""

from django.apps import AppConfig


class SmartauthConfig(AppConfig):
    """The authorization server's own tables and commands."""

    name = "smartauth"
