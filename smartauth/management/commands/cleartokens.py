"""The toolkit's command of this name deletes spent codes and live refresh tokens that reuse detection needs."""

from smartauth.management.commands.purge import Command

__all__ = ["Command"]
