"""App configuration."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Installed in sandbox mode only: its commands must not exist anywhere else."""

    name = "smartauth.sandbox"
    label = "sandbox"
