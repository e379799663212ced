"""System checks that refuse settings which are typed right and still unsafe."""

from typing import Any
from urllib.parse import urlsplit

from django.core.checks import Error, Tags, register

from smartauth.conf import config


@register(Tags.security)
def check_algorithms(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse assertion algorithms that are not asymmetric, and a list without those SMART requires."""
    algorithms = set(config().assertion_algorithms)
    errors = []
    if unsafe := sorted(name for name in algorithms if name[:2] not in ("RS", "ES", "PS")):
        errors.append(Error(f"assertion algorithms must be asymmetric, not {', '.join(unsafe)}.", id="smartauth.E001"))
    if not {"RS384", "ES384"} <= algorithms:
        errors.append(Error("assertion algorithms must include RS384 and ES384.", id="smartauth.E002"))
    return errors


@register(Tags.security)
def check_base_url(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse a base URL without TLS outside the sandbox."""
    if config().is_sandbox or urlsplit(config().base_url).scheme == "https":
        return []
    return [Error("the base URL must be https outside the sandbox.", id="smartauth.E003")]
