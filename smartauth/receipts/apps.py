"""App configuration."""

from django.apps import AppConfig


class ReceiptsConfig(AppConfig):
    """The receipts, under a label of their own."""

    name = "smartauth.receipts"
    label = "receipts"
