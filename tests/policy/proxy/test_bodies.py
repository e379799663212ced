"""Strict JSON: what two parsers could read differently is refused.  RFC 8259 §4; RFC 7493; FHIR R4 json."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.policy.bodies import MalformedJson, parse_json, parse_resource, write_json

REFUSED = [
    (b'{"a":1,"a":1}', "same name twice"),
    (b'{"a":1,"\\u0061":1}', "same name twice"),
    (b'{"x":{"a":1,"a":2}}', "same name twice"),
    (b'{"subject":1,"Subject":2}', "case"),
    (b'{"\xc5\xbf":1,"s":2}', "case"),
    (b'{"a":NaN}', "NaN"),
    (b'{"a":Infinity}', "NaN"),
    (b'{"a":-Infinity}', "NaN"),
    (b"[1,]", "not JSON"),
    (b"{'a':1}", "not JSON"),
    (b'{"a":1}x', "not JSON"),
    (b'{"a":01}', "not JSON"),
    (b'{"a":+1}', "not JSON"),
    (b'{"a":.5}', "not JSON"),
    (b'// c\n{"a":1}', "not JSON"),
    (b'{"a":"\n"}', "not JSON"),
    (b'{"a":"b"', "not JSON"),
    (b"", "not JSON"),
    (b"\xef\xbb\xbf{}", "byte order"),
    (b'{"a":"\xff"}', "UTF-8"),
    (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
    (b'{"a":"\\ud800"}', "half a character"),
    (b'{"\\udfff":"a"}', "half a character"),
    (b'{"a":"\\u0000"}', "NUL"),
    (b'{"a":' + b"1" * 65 + b"}", "too long"),
    (b'{"a":0.' + b"1" * 63 + b"}", "too long"),
    (b"[" * 51 + b"]" * 51, "deeply"),
    (b"[" * 100_000, "deeply"),
    (b"[" + b",".join([b"1"] * 200_001) + b"]", "too many"),
]


@pytest.mark.parametrize(("text", "because"), REFUSED, ids=lambda value: str(value)[:30])
def test_ambiguous_or_oversized_texts_are_refused(text: bytes, because: str) -> None:
    with pytest.raises(MalformedJson, match=because):
        parse_json(text)


KEPT = [
    b'{"value":70.10}',
    b'{"value":1.0E+2}',
    b'{"value":-0.00}',
    b'{"value":-0}',
    b'{"value":0.000000000000000000000000000001}',
    b'{"value":123456789012345678901234567890}',
    b'{"value":1e400}',
]


@pytest.mark.parametrize("text", KEPT)
def test_numbers_leave_as_they_came(text: bytes) -> None:
    assert write_json(parse_json(text)) == text


def test_pairs_of_surrogates_and_escaped_backslashes_are_plain_text() -> None:
    assert parse_json(b'["\\ud83d\\ude00", "\\\\u0000", "\\\\ud800"]') == ["\U0001f600", "\\u0000", "\\ud800"]


@pytest.mark.parametrize("text", [b"[]", b'"Patient"', b"{}", b'{"resourceType":1}', b"null"])
def test_a_resource_is_an_object_with_a_type(text: bytes) -> None:
    assert parse_resource(b'{"resourceType":"Patient"}') == {"resourceType": "Patient"}
    with pytest.raises(MalformedJson, match="not a FHIR resource"):
        parse_resource(text)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        tree = parse_json(data)
    except MalformedJson:
        return
    assert json.loads(write_json(tree)) == json.loads(data)


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_reading_what_was_written_gives_the_same(tree: object) -> None:
    assert parse_json(write_json(tree)) == tree  # type: ignore[arg-type]
    assert parse_json(write_json(tree, pretty=True)) == tree  # type: ignore[arg-type]
