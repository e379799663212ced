"""JSON Patch, computed here. RFC 6902 and its appendix A; RFC 6901."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.policy.bodies import parse_json, write_json
from fhirproxy.policy.jsonpatch import MalformedPatch, PatchFailed, apply_patch, copy_tree, is_same, parse_patch

APPENDIX = [
    # document, patch, result (None: the patch fails); RFC 6902 appendix A
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], None),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
     {"foo": "bar", "child": {"grandchild": {}}}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}], {"foo": "bar", "baz": "qux"}),
    ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], None),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], None),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}], {"foo": ["bar", ["abc", "def"]]}),
    ({"foo": [1]}, [{"op": "copy", "from": "/foo", "path": "/bar"}, {"op": "add", "path": "/bar/0", "value": 2}],
     {"foo": [1], "bar": [2, 1]}),
    ({"foo": [1]}, [{"op": "remove", "path": "/foo/-"}], None),
    ({"foo": [1]}, [{"op": "replace", "path": "/foo/01", "value": 2}], None),
    ({"foo": [1]}, [{"op": "replace", "path": "/foo/1", "value": 2}], None),
    ({"foo": [1]}, [{"op": "add", "path": "/foo/2", "value": 2}], None),
    ({"foo": [1]}, [{"op": "remove", "path": "/foo/0/x"}], None),
    ({"foo": True}, [{"op": "test", "path": "/foo", "value": 1}], None),
    ({"foo": 1}, [{"op": "copy", "from": "", "path": "/bar"}], {"foo": 1, "bar": {"foo": 1}}),
]  # fmt: skip


def patched(document: Any, patch: Any) -> Any:
    tree = parse_json(json.dumps(document).encode())
    before = write_json(tree)
    result = apply_patch(tree, parse_patch(json.dumps(patch).encode()))
    assert write_json(tree) == before
    return json.loads(write_json(result))


@pytest.mark.parametrize(("document", "patch", "result"), APPENDIX)
def test_patches_do_what_the_rfc_says(document: Any, patch: Any, result: Any) -> None:
    if result is None:
        with pytest.raises(PatchFailed):
            patched(document, patch)
    else:
        assert patched(document, patch) == result


MALFORMED = [
    b"", b"{}", b"[]", b"[1]", b'[{"path":"/a","value":1}]', b'[{"op":"ADD","path":"/a","value":1}]',
    b'[{"op":"add","path":"a","value":1}]', b'[{"op":"add","path":"/a"}]', b'[{"op":"add","path":"/a~2","value":1}]',
    b'[{"op":"add","path":"","value":{}}]', b'[{"op":"remove","path":""}]', b'[{"op":"move","path":"/a"}]',
    b'[{"op":"move","from":"/a","path":"/a/b"}]', b'[{"op":"add","op":"remove","path":"/a","value":1}]',
    json.dumps([{"op": "remove", "path": "/a"}] * 51).encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_patch_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPatch):
        parse_patch(data)


def test_numbers_are_compared_by_value_and_kept_by_text() -> None:
    tree = parse_json(b'{"a":1.50,"b":2}')
    result = apply_patch(
        tree, parse_patch(b'[{"op":"test","path":"/a","value":1.5},{"op":"copy","from":"/a","path":"/c"}]')
    )
    assert write_json(result) == b'{"a":1.50,"b":2,"c":1.50}'
    assert is_same(parse_json(b"[1, 2.0, null]"), parse_json(b"[1.0, 2, null]"))
    assert not is_same(True, 1)
    assert not is_same("1", 1)


def test_copies_of_copies_come_to_an_end() -> None:
    doubling = parse_patch(json.dumps([{"op": "copy", "from": "/a", "path": "/a/-"}] * 50).encode())
    with pytest.raises(PatchFailed):
        apply_patch(parse_json(json.dumps({"a": [[1] * 20]}).encode()), doubling)
    large = parse_json(json.dumps({"a": ["x" * 1_000_000]}).encode())
    with pytest.raises(PatchFailed):
        apply_patch(large, parse_patch(json.dumps([{"op": "copy", "from": "/a/0", "path": "/a/-"}] * 20).encode()))


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
pointers = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", ""]), min_size=1, max_size=3).map(
    lambda steps: "".join(f"/{step}" for step in steps)
)
changes = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": pointers, "from": pointers,
     "value": trees}
)  # fmt: skip


@given(st.dictionaries(st.text("ab/~", max_size=2), trees, max_size=3), st.lists(changes, min_size=1, max_size=4))
def test_a_patch_is_applied_whole_or_not_at_all(document: Any, patch: Any) -> None:
    original = copy_tree(document)
    try:
        result = apply_patch(document, parse_patch(json.dumps(patch).encode()))
    except (MalformedPatch, PatchFailed):
        result = None
    assert document == original
    assert result is not document
