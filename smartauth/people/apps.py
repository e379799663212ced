"""App configuration."""

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """The people, under a label of their own."""

    name = "smartauth.people"
    label = "people"
