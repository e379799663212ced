"""The environment as typed values. A bad value stops the start with one sentence that says which and why."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_ip_address(host: str) -> bool:
    """Return True for an IPv4 or IPv6 address, False for a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Environment:
    """A reader over environment variables. Every method raises ImproperlyConfigured, naming the variable."""

    values: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of `name`, without surrounding blanks; an empty value counts as unset."""
        return self.values.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        """Return a secret given as `name`, or in the file that `name`_FILE names; empty when neither is set."""
        path = self.text(f"{name}_FILE")
        if path and self.text(name):
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; set one of them.")
        if not path:
            return self.text(name)
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from None

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        """Return one of `options`."""
        value = self.text(name, default)
        if value not in options:
            raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(options)}.")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return True for "on", False for "off", and the default for nothing."""
        return self.choice(name, ("on", "off"), "on" if default else "off") == "on"

    def number(self, name: str, default: int, *, most: int, what: str = "a number") -> int:
        """Return a whole number from 1 to `most`."""
        text = self.text(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 16 and 0 < int(text) <= most):
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be {what} between 1 and {most}.")
        return int(text)

    def choices(self, name: str, options: tuple[str, ...], *, required: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a comma list out of `options`, in its own order, with all of `required`; unset: all of them."""
        chosen = tuple(dict.fromkeys(self._list(name))) or options
        for one in chosen:
            if one not in options:
                raise ImproperlyConfigured(f"{name} holds {one!r}; each must be one of {', '.join(options)}.")
        for one in required:
            if one not in chosen:
                raise ImproperlyConfigured(f"{name} leaves out {one}, which it must have.")
        return chosen

    def port(self, name: str, default: int) -> int:
        """Return a TCP port."""
        return self.number(name, default, most=65535, what="a port")

    def days(self, name: str, default: int | None) -> timedelta | None:
        """Return a number of days, at least one; None where neither the variable nor a default is given."""
        text = self.text(name, "" if default is None else str(default))
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 3_650:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be a number of days between 1 and 3650.")
        return timedelta(days=int(text))

    def base_url(self, name: str, default: str) -> str:
        """Return an absolute http(s) URL without trailing slash, query, fragment or user."""
        text = self.text(name, default).removesuffix("/")
        if not text:
            raise ImproperlyConfigured(f"{name} is not set; it is the public https URL of this server.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} is {text!r}, which is not a URL: {error}.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or port == 0:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be an absolute http or https URL without a query.")
        if parts.username is not None or text != text.strip() or parts.netloc != parts.netloc.lower():
            raise ImproperlyConfigured(f"{name} is {text!r}; it must name a lower-case host and no user.")
        if parts.path:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be an origin, without a path.")
        return text

    def issuer(self, name: str, *, is_sandbox: bool) -> str:
        """Return the issuer of somebody else's OpenID provider, character for character; empty when unset.

        Source: OIDC Discovery §3, `issuer`: https, without query and fragment. In the sandbox also http on loopback.
        """
        text = self.text(name)
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            good = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            good = False
        if not good or not text.isascii() or "?" in text or "#" in text or " " in text:
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be the issuer URL, without query and fragment.")
        on_loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_sandbox and on_loopback):
            raise ImproperlyConfigured(f"{name} is {text!r}; it must be https.")
        return text

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return a comma list of `left=right`, no left twice."""
        found: dict[str, str] = {}
        for part in self._list(name):
            left, _, right = (half.strip() for half in part.partition("="))
            if not left or not right or left in found:
                raise ImproperlyConfigured(f"{name} holds {part!r}; each entry must be name=claim, each name once.")
            found[left] = right
        return tuple(found.items())

    def networks(self, name: str) -> tuple[Network, ...]:
        """Return a comma list of CIDRs."""
        found = []
        for part in self._list(name):
            try:
                found.append(ipaddress.ip_network(part))
            except ValueError as error:
                raise ImproperlyConfigured(f"{name} holds {part!r}, which is not a CIDR: {error}.") from None
        return tuple(found)

    def hosts(self, name: str) -> frozenset[str]:
        """Return a comma list of `host` or `host:port`."""
        found = set()
        for part in self._list(name):
            try:
                parts = urlsplit(f"//{part}")
                good = parts.hostname and parts.netloc == part and (parts.port is None or parts.port > 0)
            except ValueError:
                good = False
            if not good or "@" in part:
                raise ImproperlyConfigured(f"{name} holds {part!r}; each entry must be host or host:port.")
            found.add(part.lower())
        return frozenset(found)

    def fernet_keys(self, name: str) -> tuple[str, ...]:
        """Return a comma list of Fernet keys; the first encrypts."""
        keys = tuple(part.strip() for part in self.secret(name).split(",") if part.strip())
        for number, key in enumerate(keys, 1):
            try:
                Fernet(key)
            except ValueError:
                raise ImproperlyConfigured(f"{name}: key {number} is not a Fernet key (32 bytes, base64url).") from None
        return keys

    def _list(self, name: str) -> list[str]:
        return [part.strip() for part in self.text(name).split(",") if part.strip()]
