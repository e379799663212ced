"""The registry in the admin site. The toolkit registers `ClientAdmin`, which its settings name."""

from clients.administration import activations, clients, keys, tenants

__all__ = ["activations", "clients", "keys", "tenants"]
