"""The page about conformance is true: every row is answered, every mark names a row, and the page says what is."""

from collections import Counter

from tests.conformance.catalogue import LEVELS, ROOT, SAID, chapters, rows
from tests.conformance.markers import answers
from tests.conformance.page import PAGE, state_of, text


def test_every_row_of_a_closed_chapter_is_answered() -> None:
    found = answers()
    unanswered = [
        row.id
        for chapter in chapters()
        if chapter.closed
        for row in chapter.rows
        if state_of(row, found.get(row.id, ())) == "open"
    ]
    assert unanswered == []


def test_what_binds_is_tested_or_the_operators_duty() -> None:
    found = answers()
    waved_through = [
        row.id
        for chapter in chapters()
        if chapter.closed
        for row in chapter.rows
        if row.binds and state_of(row, found.get(row.id, ())) not in ("tested", "operator's duty")
    ]
    assert waved_through == []


def test_every_mark_names_a_row() -> None:
    assert sorted(set(answers()) - set(rows())) == []


def test_no_row_is_told_twice() -> None:
    counts = Counter(row.id for chapter in chapters() for row in chapter.rows)
    assert [name for name, count in counts.items() if count > 1] == []


def test_levels_and_states_are_known_and_what_is_only_said_says_where() -> None:
    for row in rows().values():
        assert row.level in LEVELS, row.id
        assert row.state in ("", *SAID), row.id
        assert bool(row.state) == bool(row.where), row.id
        page = row.where.partition("#")[0]
        assert not page.endswith(".md") or (ROOT / "docs" / page).is_file(), row.id


def test_the_page_is_what_rows_and_tests_say() -> None:
    assert PAGE.read_text() == text(), "stale: run `make conformance`"
