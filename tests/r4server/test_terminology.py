"""The little terminology service."""

import pytest

from tests.r4server.caller import Caller

CODES = {"resourceType": "CodeSystem", "id": "cs", "url": "http://x", "concept": [{"code": "a", "display": "First"}]}


@pytest.mark.parametrize(
    ("target", "status", "told"),
    [
        ("CodeSystem/$lookup?system=http://x&code=a", 200, "First"),
        ("CodeSystem/cs/$lookup?code=a", 200, "First"),
        ("CodeSystem/$lookup?system=http://x&code=b", 404, "not-found"),
        ("CodeSystem/$lookup?system=http://y&code=a", 404, "not-found"),
        ("CodeSystem/$validate-code?url=http://x&code=b", 200, "false"),
        ("CodeSystem/$subsumes?system=http://x&codeA=a&codeB=b", 200, "not-subsumed"),
        ("ValueSet/$expand?url=http://x", 404, "not-found"),
    ],
)
def test_questions_about_codes(scratch: Caller, target: str, status: int, told: str) -> None:
    scratch.load(CODES)
    answer = scratch.send("GET", target)
    assert (answer.status, told in answer.body.decode()) == (status, True)
