"""Which words may name a tenant in a URL."""

import re

TENANT_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Names that are, or may become, paths of their own next to a tenant's.
RESERVED_SLUGS = frozenset(
    {
        "authorize",
        "token",
        "introspect",
        "revoke",
        "userinfo",
        "logout",
        "par",
        "register",
        "launch",
        "style",
        "consent",
        "refused",
    }
)


def is_tenant_slug(text: str) -> bool:
    """Return True for what a tenant may be called: the grammar, less the words that are paths of their own."""
    return TENANT_SLUG.fullmatch(text) is not None and text not in RESERVED_SLUGS
