"""What a registrar should look at twice before approving a client: hints, never refusals.

Source: RFC 7591 §5, on metadata that misleads; RFC 9700 §2 and §4.1; SMART 2.2 app-launch, "Considerations for Scope
Consent".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from clients import lookalikes
from clients.key_finding_words import WORDS
from clients.key_watch import Kind
from clients.models import WITH_SECRET, Client, KeyFinding
from clients.uri_rules import LOOPBACK_HOSTS
from smartauth.policy.scopes import ResourceScope, find_scope, split_scope

MOST_SHOWN = 6  # values named in one hint
WRITES = frozenset("cud")
# Where the app is reached, and where it reaches others from. Its website is what they are compared with.
HOSTED = ("redirect_uris", "launch_urls", "jwks_uri", "policy_uri")


@dataclass(frozen=True, slots=True)
class Hint:
    """Something to look at. `rule` is stable; `detail` names what it is about; `is_grave`: look here first."""

    rule: str
    title: str
    detail: str
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another client, as far as it matters to this one."""

    pk: int
    client_id: str
    name: str
    owner: int | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Every client that is registered, by what its name looks like and by the hosts it is called back at."""

    by_look: Mapping[str, tuple[Neighbour, ...]] = field(default_factory=dict)
    by_host: Mapping[str, tuple[Neighbour, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Self:
        """Read them, in one statement. Retired clients count for their names only: nobody comes back at their hosts."""
        by_look: dict[str, list[Neighbour]] = {}
        by_host: dict[str, list[Neighbour]] = {}
        fields = ("pk", "client_id", "name", "user_id", "status", "redirect_uris")
        for *names, status, redirects in Client.objects.values_list(*fields).iterator():
            one = Neighbour(*names)
            by_look.setdefault(lookalikes.skeleton(one.name), []).append(one)
            if status != Client.Status.RETIRED:
                for host in hosts_of(redirects.split()):
                    by_host.setdefault(host, []).append(one)
        return cls({k: tuple(v) for k, v in by_look.items()}, {k: tuple(v) for k, v in by_host.items()})

    def name_warning(self, pk: int, name: str) -> str:
        """Return why the name of the client `pk` may mislead, "" when nothing speaks against it."""
        alike = [one.name for one in self.by_look.get(lookalikes.skeleton(name), ()) if one.pk != pk]
        return lookalikes.warning(name, alike) if name else ""


def hosts_of(urls: Iterable[str]) -> frozenset[str]:
    """Return the hosts of web URLs; loopback and private-use schemes belong to nobody."""
    split = [urlsplit(url) for url in urls]
    return frozenset(one.hostname for one in split if one.scheme in ("http", "https") and one.hostname) - frozenset(
        LOOPBACK_HOSTS
    )


def hints_of(
    client: Client, asked: Mapping[str, Any], neighbours: Neighbours, findings: Iterable[KeyFinding] = ()
) -> tuple[Hint, ...]:
    """Return what to look at twice in `asked`, the metadata of `client` as it shall be; grave ones first.

    findings: what the watch over key sets found wrong with the client and is not mended.
    """
    found = [
        *_scopes(str(asked.get("scope", ""))),
        *_hosts(client, asked, neighbours),
        *_name(client, str(asked.get("client_name", "")), neighbours),
        *_proof(asked),
        *(Hint("keys.finding", WORDS[Kind(one.kind)].title, _since(one), is_grave=True) for one in findings),
    ]
    return tuple(sorted(found, key=lambda one: not one.is_grave))


def _scopes(text: str) -> Iterator[Hint]:
    scopes = split_scope(text)
    parsed = {text: scope for text in scopes if isinstance(scope := find_scope(text), ResourceScope)}
    for rule, title, chosen, is_grave in (
        (
            "scope.system",
            "Reads without anybody signed in",
            [t for t, s in parsed.items() if s.level == "system"],
            False,
        ),
        ("scope.writes", "Writes", [t for t, s in parsed.items() if WRITES & set(s.permissions)], True),
        (
            "scope.wide",
            "Wide scopes: every type of resource",
            [t for t, s in parsed.items() if s.resource == "*"],
            True,
        ),
        (
            "scope.offline",
            "Goes on when the person is away",
            [one for one in scopes if one == "offline_access"],
            False,
        ),
        ("scope.right", "Rights on this server itself", [one for one in scopes if one.startswith("__")], True),
    ):
        if chosen:
            yield Hint(rule, title, _listed(chosen), is_grave)


def _hosts(client: Client, asked: Mapping[str, Any], neighbours: Neighbours) -> Iterator[Hint]:
    urls = {name: _urls(asked.get(name)) for name in HOSTED}
    site = next(iter(hosts_of(_urls(asked.get("client_uri")))), "")
    foreign = sorted(
        host for host in hosts_of(url for some in urls.values() for url in some) if not _is_under(host, site)
    )
    if foreign and site:
        yield Hint("host.elsewhere", f"Not under the publisher's website ({site})", _listed(foreign), is_grave=True)
    elif not site:
        yield Hint("host.no_website", "The publisher names no website", "There is nothing to compare its hosts with.")
    for host in sorted(hosts_of(urls["redirect_uris"])):
        others = [one for one in neighbours.by_host.get(host, ()) if not _is_same(client, one)]
        if others:
            detail = f"{host} is also used by {_listed(one.client_id for one in others)}"
            yield Hint("host.shared", "Redirect host of somebody else's client", detail, is_grave=True)
    plain = [url for some in urls.values() for url in some if url.startswith("http://")]
    if plain:
        yield Hint("host.plain_http", "http without encryption", _listed(plain))
    if not asked.get("policy_uri"):
        yield Hint("policy.none", "No privacy policy", "The permission page has none to show.")


def _urls(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or ())


def _is_under(host: str, site: str) -> bool:
    site = site.removeprefix("www.")
    return host == site or host.endswith(f".{site}")


def _is_same(client: Client, other: Neighbour) -> bool:
    """Return True for the client itself, and for another one of its owner."""
    return other.pk == client.pk or (other.owner is not None and other.owner == client.user_id)


def _name(client: Client, name: str, neighbours: Neighbours) -> Iterator[Hint]:
    why = neighbours.name_warning(client.pk, name)
    if why:
        yield Hint("name.lookalike", "Its name may mislead", f"It {why}.", is_grave=True)


def _proof(asked: Mapping[str, Any]) -> Iterator[Hint]:
    method = asked.get("token_endpoint_auth_method")
    if method in WITH_SECRET:
        yield Hint("proof.secret", "Proves itself with a shared secret", "A key pair never leaves the partner.")
    if method == "none":
        yield Hint("proof.none", "Cannot prove itself", "A public client: anybody can name its client_id.")
    if asked.get("jwks"):
        yield Hint("keys.inline", "Keys without a URL", "Each new key has to be registered by hand.")


def _since(finding: KeyFinding) -> str:
    return f"Found by the watch over key sets, first at {finding.first_seen_at:%Y-%m-%d %H:%M} UTC."


def _listed(values: Iterable[str]) -> str:
    found = list(dict.fromkeys(values))
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return ", ".join(found[:MOST_SHOWN]) + more
