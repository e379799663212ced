"""The style that apps are asked to wear at a tenant: ours, in the tenant's colour.

Source: SMART 2.2 scopes-and-launch-context, "Styling".
"""

from collections.abc import Mapping
from typing import Any

from clients.tenants import find_tenant
from smartauth.styling import is_own, smart_style_url

MEMBER = "smart_style_url"


def style_url_at(slug: str) -> str:
    """Return the URL that apps are told at a tenant."""
    tenant = find_tenant(slug)
    return smart_style_url(tenant.skin.accent_light if tenant is not None and tenant.skin is not None else "")


def with_present_style(context: Mapping[str, Any], slug: str) -> Mapping[str, Any]:
    """Return a launch context that was stored earlier, with the style as it is now; one of the EHR's own stays.

    What was granted outlives the colours of the day it was granted on.
    """
    return {**context, MEMBER: style_url_at(slug)} if is_own(context.get(MEMBER)) else context
