"""Who may import whom, read from the source with `ast`, so that nobody has to remember it.

Two questions per layer: which modules of this project it names itself, and what it can reach through others.
"""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("smartauth", "clients", "wellknown", "fhirproxy")

# What has no I/O of its own may still be handed values of these types.
IMPURE = (
    *("django", "rest_framework", "oauth2_provider", "allauth", "psycopg", "pycurl", "joserfc", "authlib"),
    *("os", "time", "random", "secrets", "socket", "subprocess", "threading", "urllib.request", "http", "logging"),
    *("smartauth.settings", "smartauth.conf", "clients"),
)
GROUND = (
    *("smartauth.errors", "smartauth.policy", "smartauth.conf", "smartauth.endpoints", "smartauth.context"),
    *("smartauth.digests", "smartauth.sealing", "smartauth.marks", "smartauth.receipts", "smartauth.audit"),
    *("smartauth.responses", "smartauth.bearer", "smartauth.outbound", "smartauth.readonly_admin"),
    *("smartauth.storable", "smartauth.slugs", "smartauth.bodies", "smartauth.forms", "smartauth.browser"),
    *("smartauth.styling", "smartauth.cross_origin", "smartauth.rates", "smartauth.alarms", "smartauth.json_bodies"),
    *("smartauth.sent_twice", "smartauth.administration.pages", "smartauth.administration.waiting"),
)
COMPOSITION = ("smartauth.settings", "smartauth.urls", "smartauth.wsgi", "smartauth.sandbox", "smartauth.environment")

# layer: (its modules, project modules it may name, what it may never reach)
LAYERS = {
    "pure policy of granting": (
        ("smartauth.policy", "smartauth.errors"),
        ("smartauth.policy", "smartauth.errors"),
        (*IMPURE, "fhirproxy"),
    ),
    "pure policy of the proxy": (
        ("fhirproxy.policy",),
        ("fhirproxy.policy", "smartauth.policy", "smartauth.errors"),
        IMPURE,
    ),
    "ground": (
        GROUND[2:],
        GROUND,
        ("smartauth.tokens", "smartauth.models", "smartauth.views", "clients", "fhirproxy", "wellknown"),
    ),
    "registry": (
        ("clients",),
        ("clients", *GROUND),
        (
            *("smartauth.models", "smartauth.tokens", "smartauth.grants", "smartauth.views", "smartauth.people"),
            *("fhirproxy", "wellknown"),
        ),
    ),
    "authorization server": (
        ("smartauth",),
        ("smartauth", "clients"),
        ("fhirproxy", "wellknown"),
    ),
    "proxy": (
        ("fhirproxy",),
        ("fhirproxy", *GROUND, "smartauth.tokens", "smartauth.records", "clients.tenants", "clients.origins"),
        ("wellknown",),
    ),
    "documents": (
        ("wellknown",),
        (
            *("wellknown", *GROUND, "smartauth.keys"),
            *("clients.tenants", "clients.brands", "clients.brand_details", "clients.authentication"),
            "clients.skins",
        ),
        ("fhirproxy",),
    ),
}


def modules() -> dict[str, Path]:
    """Return every module of the project by dotted name, those that compose or test it left out."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


MODULES = modules()


def is_under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


@cache
def imports(name: str) -> frozenset[str]:
    """Return what a module names, wherever in the file: `from a import b` is `a.b` where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module or "")
    return frozenset(found)


@cache
def reach(name: str) -> dict[str, tuple[str, ...]]:
    """Return everything reachable from a module, each with the shortest way there."""
    ways: dict[str, tuple[str, ...]] = {}
    waiting = [(name, (name,))]
    while waiting:
        current, way = waiting.pop(0)
        for target in sorted(imports(current)):
            if target not in ways:
                ways[target] = (*way, target)
                if target in MODULES:
                    waiting.append((target, ways[target]))
    return ways


def layer_of(name: str) -> str | None:
    """Return the layer a module belongs to: the first that claims it, None for composition, commands and admin."""
    composes = is_under(name, COMPOSITION) or ".management" in name or ".migrations" in name
    # The map of URLs and the admin put pages of several layers in one place.
    if composes or name in ("smartauth.pages", "smartauth.admin") or name.endswith(".admin"):
        return None
    return next((layer for layer, (own, _, _) in LAYERS.items() if is_under(name, own)), None)


CLAIMED = sorted((name, layer) for name in MODULES if (layer := layer_of(name)))


@pytest.mark.parametrize(("name", "layer"), CLAIMED)
def test_a_module_names_only_what_its_layer_may(name: str, layer: str) -> None:
    _, allowed, _ = LAYERS[layer]
    own = {target for target in imports(name) if is_under(target, PACKAGES)}
    assert {target for target in own if not is_under(target, allowed)} == set()


@pytest.mark.parametrize(("name", "layer"), CLAIMED)
def test_a_module_reaches_nothing_its_layer_must_not(name: str, layer: str) -> None:
    _, _, never = LAYERS[layer]
    forbidden = [" → ".join(way) for target, way in reach(name).items() if is_under(target, never)]
    assert forbidden == []


def test_nothing_imports_what_composes_the_parts() -> None:
    users = {
        name
        for name, layer in CLAIMED
        if any(is_under(target, (*COMPOSITION, "tests")) for target in imports(name)) and layer
    }
    assert users == set()


def test_the_deprecated_jose_of_authlib_is_not_used() -> None:
    assert {name for name in MODULES if any(is_under(t, ("authlib.jose",)) for t in imports(name))} == set()


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {name: {target for target in imports(name) if target in MODULES} for name in MODULES}
    # The toolkit asks a token's row whether it counts, and tells it to end; `tokens` answers, which writes the rows.
    graph["smartauth.models.tokens"].remove("smartauth.tokens")
    TopologicalSorter(graph).prepare()  # It names the modules of a circle.


def test_every_module_belongs_to_a_layer_or_composes() -> None:
    unclaimed = {name for name in MODULES if layer_of(name) is None}
    expected = (*COMPOSITION, "smartauth.pages", "smartauth.admin")
    assert {n for n in unclaimed if not is_under(n, expected) and ".m" not in n and not n.endswith(".admin")} == set()
