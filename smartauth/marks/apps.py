"""App configuration."""

from django.apps import AppConfig


class MarksConfig(AppConfig):
    """The table of marks, under a label of its own."""

    name = "smartauth.marks"
    label = "marks"
