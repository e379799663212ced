"""The rows: what a standard asks, how strongly, and what is said where no test can answer. One TOML file per chapter.

A chapter's file has `chapter` (the prefix of its ids), `title`, `closed` (every row is answered for) and rows of `id`,
`level`, `behaviour` and, where no test answers, `state` and `where` (a page below docs/, or a sentence).
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = Path(__file__).parent / "rows"
LEVELS = ("MUST", "MUST+", "MUST NOT", "SHOULD", "MAY", "TRAP")
# What may stand in place of a test.
SAID = ("documented", "operator's duty", "not built")


@dataclass(frozen=True, slots=True)
class Row:
    """One demand. `where`: a page below docs/, with or without an anchor, or a sentence that says why."""

    id: str
    level: str
    behaviour: str
    state: str = ""
    where: str = ""

    @property
    def binds(self) -> bool:
        """Return True when only a test or the operator may answer."""
        return self.level.startswith("MUST") or self.level == "TRAP"


@dataclass(frozen=True, slots=True)
class Chapter:
    name: str
    title: str
    closed: bool
    rows: tuple[Row, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """Read all chapters, in the order of their files. Raises TypeError on a member that is not known."""
    found = [tomllib.loads(path.read_text()) for path in sorted(ROWS.glob("*.toml"))]
    return tuple(
        Chapter(one["chapter"], one["title"], one["closed"], tuple(Row(**row) for row in one["row"])) for one in found
    )


def rows() -> dict[str, Row]:
    """Return every row by its id."""
    return {row.id: row for chapter in chapters() for row in chapter.rows}
