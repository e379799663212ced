"""The application as a server loads it, which also tells with every answer what it was made of: route and templates.

A server process loads it, and nothing else may: importing it begins to serve. Without it nobody would know whether a
test that looks at pages has seen all of them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import local
from typing import Any

from smartauth.wsgi import application as served  # first: it sets Django up
from tests.browser.told import MADE_OF, ROUTE

from django.conf import settings  # isort: skip
from django.template.base import Template  # isort: skip
from django.test.signals import template_rendered  # isort: skip
from django.test.utils import instrumented_test_render  # isort: skip
from django.urls import Resolver404, resolve  # isort: skip

TEMPLATES = Path(settings.BASE_DIR) / "templates"

_rendered = local()


def _note(template: Template, **_: Any) -> None:
    """Remember a template of ours; Django's own and the library's are not in our folder."""
    path = Path(template.origin.name)
    if path.is_relative_to(TEMPLATES):
        _rendered.names = getattr(_rendered, "names", set()) | {str(path.relative_to(TEMPLATES))}


Template._render = instrumented_test_render  # type: ignore[method-assign]
template_rendered.connect(_note, weak=False)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request, with two more headers."""
    _rendered.names = set()
    try:
        route = resolve(environ["PATH_INFO"]).route
    except Resolver404:
        route = ""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        told = [(ROUTE, route), (MADE_OF, " ".join(sorted(_rendered.names)))]
        return start_response(status, [*headers, *told], *rest)

    answer: Iterable[bytes] = served(environ, start)
    return answer
