"""docs/conformance.md, written from the rows and the tests."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conformance.catalogue import ROOT, Chapter, Row, chapters
from tests.conformance.markers import Answer, answers

PAGE = ROOT / "docs" / "conformance.md"
SHOWN = 3  # tests named for one row; how many more there are is said

BEGINNING = """\
# What the standards ask, and how it is answered

Each row is a demand of SMART App Launch 2.2, of the OAuth and OpenID Connect standards below it, or of the rules for
certified systems, in our own words. A row marked MUST+ is one that we hold although its source asks for less.

| State | Means |
|---|---|
| tested | The tests named fail when the behaviour is taken away |
| documented | Optional, and answered by a decision that is written down |
| operator's duty | What only those who run the server can do; the page named says how |
| not built | Optional, and not offered; nothing advertises it |

This page is written by `make conformance` from `tests/conformance/rows/` and the marks on the tests. A test fails when
it is stale, when a row of a closed chapter has no answer, and when a mark names no row.
"""


def state_of(row: Row, tests: Iterable[Answer]) -> str:
    """Return one word for how a row is answered; `open` when it is not."""
    return "tested" if tests else row.state or "open"


def text() -> str:
    """Return the whole page."""
    return "\n".join((BEGINNING, _overview(), *(_chapter(one) for one in chapters())))


def _overview() -> str:
    found = answers()
    lines = ["| Chapter | Rows | Tested | Otherwise answered | Open |", "|---|---|---|---|---|"]
    for chapter in chapters():
        counts = Counter(state_of(row, found.get(row.id, ())) for row in chapter.rows)
        said = sum(counts.values()) - counts["tested"] - counts["open"]
        name = f"[{chapter.title}](#{_anchor(chapter.title)})"
        lines.append(f"| {name} | {len(chapter.rows)} | {counts['tested']} | {said} | {counts['open']} |")
    return "\n".join((*lines, ""))


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _chapter(chapter: Chapter) -> str:
    found = answers()
    lines = [f"## {chapter.title}", ""]
    if not chapter.closed:
        lines += ["This chapter is not closed yet.", ""]
    lines += ["| Row | Level | Behaviour | State | Shown by |", "|---|---|---|---|---|"]
    for row in chapter.rows:
        tests = found.get(row.id, [])
        shown = "<br>".join(_named(tests)) if tests else _link(row.where)
        level = "" if row.level == "TRAP" else row.level
        lines.append(f"| {row.id} | {level} | {_cell(row.behaviour)} | {state_of(row, tests)} | {shown} |")
    return "\n".join((*lines, ""))


def _named(tests: list[Answer]) -> Iterator[str]:
    for one in tests[:SHOWN]:
        yield f"[{one.test}](../{one.path})"
    if len(tests) > SHOWN:
        yield f"and {len(tests) - SHOWN} more"


def _link(where: str) -> str:
    page = where.partition("#")[0]
    return f"[{Path(page).stem}]({where})" if page.endswith(".md") else _cell(where)


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ").strip()
