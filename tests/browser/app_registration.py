"""Registering an app over HTTP, as its developer would (RFC 7591)."""

from typing import Any

import requests

from tests.world import World


def initial_token(world: World, *, uses: int = 1) -> str:
    """Return an initial access token that an operator made."""
    made = world.server.command("create_initial_access_token", "--tenant", world.tenant, "--uses", str(uses))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def register_over_http(world: World, token: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the server answered to the registration."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{world.base_url}/auth/register", json=metadata, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told
