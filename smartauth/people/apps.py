"""App configuration."""

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """The people, under a label of their own."""

    name = "smartauth.people"
    label = "people"

    def ready(self) -> None:
        """Record sign-ins and sign-outs, and keep the roles of the administration."""
        from smartauth.administration import roles
        from smartauth.people import recording

        recording.listen()
        roles.keep()
