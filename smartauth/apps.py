"""App configuration."""

from django.apps import AppConfig


class SmartauthConfig(AppConfig):
    """The authorization server's own tables and commands."""

    name = "smartauth"

    def ready(self) -> None:
        """Listen to the registry, which knows nothing of tokens."""
        from smartauth.stopped_clients import listen

        listen()
