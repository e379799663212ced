"""How commands typed beside a running sandbox find it: the environment it was started with, kept under var/."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

FILE = "environment.json"
# What decides which server a command talks about.
JOINED = (
    "PORT",
    "DATABASE_URL",
    "SMARTAUTH_BASE_URL",
    "SMARTAUTH_DEFAULT_TENANT",
    "SMARTAUTH_SECRET_KEY",
    "SMARTAUTH_KEY_ENCRYPTION_KEYS",
    "SMARTAUTH_JWKS_ALLOWED_HOSTS",
)


def remember(var: Path, environment: Mapping[str, str]) -> None:
    """Keep what decides about this sandbox for as long as this process runs."""
    kept = {name: environment[name] for base in JOINED for name in (base, f"{base}_FILE") if environment.get(name)}
    write_private(var / FILE, json.dumps({"pid": os.getpid(), "environment": kept}))


def forget(var: Path) -> None:
    """Remove what was kept."""
    (var / FILE).unlink(missing_ok=True)


def is_running(var: Path) -> bool:
    """Return True while the sandbox that remembered itself on `var` lives."""
    return _found(var) is not None


def joined(var: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` completed by that of the sandbox running on `var`, if one runs; what is set stays."""
    found = _found(var)
    if found is None or any(environment.get(name) for name in ("PORT", "SMARTAUTH_BASE_URL")):
        return dict(environment)  # None runs, or another server is meant.
    return {**found, **{name: value for name, value in environment.items() if value}}


def _found(var: Path) -> dict[str, str] | None:
    try:
        kept = json.loads((var / FILE).read_text())
        os.kill(kept["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    environment: dict[str, str] = kept["environment"]
    return environment


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all at once."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.rename(path)
