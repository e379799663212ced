"""Which tests answer which rows: the marks `@pytest.mark.requirement("TOK-12")`, read from the source.

They are read, not collected, so that a run of one file knows of all of them.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conformance.catalogue import ROOT

MARK = "requirement"


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """A test: its file relative to the root, and its name there, `Class::name` within a class."""

    path: str
    test: str


@cache
def answers() -> dict[str, list[Answer]]:
    """Return the tests by row id. Raises ValueError for a mark that stands on nothing pytest runs."""
    found: dict[str, set[Answer]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        for row, answer in _marks(path):
            found[row].add(answer)
    return {row: sorted(tests) for row, tests in found.items()}


def _marks(path: Path) -> Iterator[tuple[str, Answer]]:
    text = path.read_text()
    if f"mark.{MARK}" not in text:
        return
    tree, where = ast.parse(text), path.relative_to(ROOT).as_posix()
    claimed = 0
    for test, holders in _tests(tree.body, _module_marks(tree)):
        for row in [row for call in holders for row in _named(call)]:
            yield row, Answer(where, test)
    for holder in (*_holders(tree), *_module_marks(tree)):
        claimed += len(_calls(holder))
    if claimed != len(_calls(tree)):
        raise ValueError(f"{where}: a mark of a row stands neither on a test, nor on its class or module")


def _named(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Starred):  # A long list, in rows.
            yield from ast.literal_eval(argument.value)
        else:
            yield ast.literal_eval(argument)


def _tests(body: list[ast.stmt], inherited: list[ast.Call], within: str = "") -> Iterator[tuple[str, list[ast.Call]]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _tests(node.body, [*inherited, *_on(node)], f"{within}{node.name}::")
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield within + node.name, [*inherited, *_on(node)]


def _on(node: ast.FunctionDef | ast.ClassDef) -> list[ast.Call]:
    return [call for decorator in node.decorator_list for call in _calls(decorator)]


def _holders(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from node.decorator_list
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from node.decorator_list


def _module_marks(tree: ast.Module) -> list[ast.Call]:
    return [
        call
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for call in _calls(node.value)
    ]


def _calls(node: ast.AST) -> list[ast.Call]:
    return [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == MARK
    ]
