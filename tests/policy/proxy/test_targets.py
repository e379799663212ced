"""Request targets and form bodies: decoded once, or refused.  RFC 3986 §2; RFC 9112 §3.2."""

import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhirproxy.policy.outcomes import FhirRefusal
from fhirproxy.policy.targets import Target, parse_form, parse_query, parse_target, render
from tests.policy.proxy.building import PREFIX

ALLOWED = [
    ("",                                     ()),
    ("/",                                    ()),
    ("/metadata",                            ("metadata",)),
    ("/Patient/ana",                         ("Patient", "ana")),
    ("/%50atient/ana",                       ("Patient", "ana")),
    ("/Patient/%61na",                       ("Patient", "ana")),
    ("/Patient/ana/%24everything",           ("Patient", "ana", "$everything")),
    ("/Patient/a.b-C.9",                     ("Patient", "a.b-C.9")),
    ("/Patient/ana/*",                       ("Patient", "ana", "*")),
    ("/Patient/...",                         ("Patient", "...")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "segments"), ALLOWED)
def test_paths_that_are_read(path: str, segments: tuple[str, ...]) -> None:
    assert parse_target(PREFIX + path, prefix=PREFIX) == Target(segments)


REFUSED = [
    ("https://smart.example.org/fhir/north/r4/Patient", 400),
    ("*", 400),
    ("", 400),
    (PREFIX + "/Patient#frag", 400),
    ("/fhir/south/r4/Patient", 400),
    ("/fhir/north/r44/Patient", 400),
    ("/fhir/north/%72%34/Patient", 400),
    (PREFIX + "//Patient", 400),
    (PREFIX + "/Patient//ana", 400),
    (PREFIX + "/Patient/ana//", 400),
    (PREFIX + "/Patient/.", 400),
    (PREFIX + "/Patient/..", 400),
    (PREFIX + "/Patient/%2e%2e", 400),
    (PREFIX + "/Patient/%2E", 400),
    (PREFIX + "/Patient/%252e", 400),
    (PREFIX + "/Patient/%2Fana", 400),
    (PREFIX + "/Patient/%2f", 400),
    (PREFIX + "/Patient/%5c", 400),
    (PREFIX + "/Patient\\ana", 400),
    (PREFIX + "/Patient/ana;v=1", 400),
    (PREFIX + "/Patient/ana%3Bv=1", 400),
    (PREFIX + "/Patient/%", 400),
    (PREFIX + "/Patient/%4", 400),
    (PREFIX + "/Patient/%zz", 400),
    (PREFIX + "/Patient/%00", 400),
    (PREFIX + "/Patient/%0a", 400),
    (PREFIX + "/Patient/a b", 400),
    (PREFIX + "/Patient/a%20b", 400),
    (PREFIX + "/Patient/a+b", 400),
    (PREFIX + "/Patient/ä", 400),
    (PREFIX + "/Patient/%C3%A4", 400),
    (PREFIX + "/Patient/%EF%BC%8F", 400),
    (PREFIX + "/Patient?name", 400),
    (PREFIX + "/Patient?name=", 400),
    (PREFIX + "/Patient?=x", 400),
    (PREFIX + "/Patient?&name=x", 400),
    (PREFIX + "/Patient?name=x&", 400),
    (PREFIX + "/Patient?name=%", 400),
    (PREFIX + "/Patient?name=%f", 400),
    (PREFIX + "/Patient?name=%ff", 400),
    (PREFIX + "/Patient?name=%c0%af", 400),
    (PREFIX + "/Patient?name=%ed%a0%80", 400),
    (PREFIX + "/Patient?name=%00", 400),
    (PREFIX + "/Patient?name=%0d%0aX", 400),
    (PREFIX + "/Patient?name=%c2%85", 400),
    (PREFIX + "/Patient?a;b=x", 400),
    (PREFIX + "/Patient?a%3bb=x", 400),
    (PREFIX + "/Patient?a[]=x", 400),
    (PREFIX + "/Patient?a%5b%5d=x", 400),
    (PREFIX + "/Patient?" + "x" * 129 + "=1", 414),
    (PREFIX + "/Patient?x=" + "1" * 2049, 414),
    (PREFIX + "/Patient?x=" + "%C3%A4" * 1025, 414),
    (PREFIX + "/Patient?" + "&".join(["x=1"] * 101), 414),
    (PREFIX + "/Patient?x=" + "1" * 8200, 414),
]  # fmt: skip


@pytest.mark.requirement("PROXY-09")
@pytest.mark.parametrize(("raw", "status"), REFUSED)
def test_targets_that_are_refused(raw: str, status: int) -> None:
    with pytest.raises(FhirRefusal) as refused:
        parse_target(raw, prefix=PREFIX)
    assert refused.value.status == status


def test_one_trailing_slash_is_noted_below_the_base_only() -> None:
    assert parse_target(PREFIX + "/Patient/", prefix=PREFIX) == Target(("Patient",), (), trailing_slash=True)
    assert parse_target(PREFIX + "/", prefix=PREFIX) == Target(())


def test_a_plus_sign_is_a_blank_and_an_equals_sign_may_follow() -> None:
    assert parse_query("a=b+c%2Bd=e") == (("a", "b c+d=e"),)
    assert parse_query("a=1&a=2&b=3") == (("a", "1"), ("a", "2"), ("b", "3"))


@pytest.mark.parametrize("body", [b"a=\xff", b"a=b c", b"a=b\n", b"a", b"x" * 9000])
def test_form_bodies_follow_the_same_rules(body: bytes) -> None:
    assert parse_form(b"a=b&c=%C3%A4") == (("a", "b"), ("c", "ä"))
    with pytest.raises(FhirRefusal):
        parse_form(body)


def refusal_of(read: Callable[[], object]) -> int | None:
    try:
        read()
    except FhirRefusal as refused:
        return refused.status
    return None


@given(st.text(max_size=200))
@example("?\x00")
@example("/%")
def test_any_text_is_read_or_refused(text: str) -> None:
    for raw in (text, PREFIX + text, f"{PREFIX}/{text}"):
        status = refusal_of(lambda raw=raw: parse_target(raw, prefix=PREFIX))
        assert status in (None, 400, 414)
        if status is None:
            read = parse_target(raw, prefix=PREFIX).segments
            assert all(set(one) <= set(SEGMENT_CHARACTERS) and one not in (".", "..") for one in read)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    assert refusal_of(lambda: parse_form(body)) in (None, 400, 414)


SEGMENT_CHARACTERS = string.ascii_letters + string.digits + "-._$*"
segments = st.lists(
    st.text(SEGMENT_CHARACTERS, min_size=1, max_size=20).filter(lambda one: one not in (".", "..")), max_size=4
)
names = st.text(string.ascii_letters + "-_:.", min_size=1, max_size=20)
values = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)


@given(segments, st.lists(st.tuples(names, values), max_size=8))
def test_reading_what_was_written_gives_the_same(path: list[str], pairs: list[tuple[str, str]]) -> None:
    written = render(tuple(path), tuple(pairs))
    assert written.isascii()
    assert parse_target(f"{PREFIX}/{written}", prefix=PREFIX) == Target(tuple(path), tuple(pairs))
