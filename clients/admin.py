"""The registry in the admin site. The toolkit registers the class of clients, which its settings name."""

from clients.administration import activations, api_tokens, clients, keys, skins, tenants, waiting

__all__ = ["activations", "api_tokens", "clients", "keys", "skins", "tenants", "waiting"]
