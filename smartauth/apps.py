"""App configuration."""

from django.apps import AppConfig


class SmartauthConfig(AppConfig):
    """The authorization server's own tables and checks."""

    name = "smartauth"

    def ready(self) -> None:
        """Register the system checks."""
        from smartauth import checks  # noqa: F401 - registering is importing
