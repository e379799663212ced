"""Which Binaries a document attaches, when a Binary is a download, and which value sets are known.

FHIR R4 binary; FHIR R4 datatypes, Attachment.
"""

from typing import Any

import pytest

from fhirproxy.policy.attachments import REFERRER, attached, referrer_searches
from fhirproxy.policy.authority import EVERYONE, Grant
from fhirproxy.policy.binaries import Content, MalformedContent, content, is_download
from fhirproxy.policy.compartments import Checked, check, is_member
from fhirproxy.policy.plans import Limits
from tests.policy.proxy.building import ALIAS, PUBLIC, UPSTREAM, authority_for, bases, unchecked

ANA = frozenset({"ana"})
ATTACHED = [
    # resource type, its attachments, ids of Binaries
    ("DocumentReference", {"content": [{"attachment": {"url": f"Binary/{one}"}} for one in "ab"]}, "ab"),
    ("DocumentReference", {"content": [{"attachment": {"url": f"{UPSTREAM}/Binary/a"}}]}, "a"),
    ("DocumentReference", {"content": [{"attachment": {"url": f"{ALIAS}/Binary/a"}}]}, "a"),
    ("DocumentReference", {"content": [{"attachment": {"url": f"{PUBLIC}/Binary/a"}}]}, "a"),
    ("DocumentReference", {"content": [{"attachment": {"url": f"{UPSTREAM}x/Binary/a"}}]}, ""),
    ("DocumentReference", {"content": [{"attachment": {"url": "https://other.example/Binary/a"}}]}, ""),
    ("DocumentReference", {"content": [{"attachment": {"url": "Binary/a/_history/1"}}]}, ""),
    ("DocumentReference", {"content": [{"attachment": {"url": "Patient/a"}}]}, ""),
    ("DocumentReference", {"content": [{"attachment": {"url": ["Binary/a"]}}]}, ""),
    ("DocumentReference", {"content": [{"attachment": "Binary/a"}]}, ""),
    ("DocumentReference", {"content": "Binary/a"}, ""),
    ("DocumentReference", {"text": {"url": "Binary/a"}}, ""),
    ("DiagnosticReport", {"presentedForm": [{"url": "Binary/a"}]}, "a"),
    ("Media", {"content": {"url": "Binary/a"}}, "a"),
    ("Communication", {"payload": [{"contentAttachment": {"url": "Binary/a"}}]}, ""),
    ("Nothing", {"content": {"url": "Binary/a"}}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "members", "ids"), ATTACHED)
def test_what_a_document_attaches(kind: str, members: dict[str, Any], ids: str) -> None:
    assert attached({"resourceType": kind, **members}, bases()) == frozenset(ids)


def document(patient: str, url: str) -> dict[str, Any]:
    subject = {"reference": f"Patient/{patient}"}
    content = [{"attachment": {"url": url}}]
    return {"resourceType": "DocumentReference", "id": "d", "subject": subject, "content": content}


MEMBERS = [
    # security context           what attaches it               inside
    (None,                       document("ana", "Binary/x"),   True),
    (None,                       document("ben", "Binary/x"),   False),
    (None,                       document("ana", "Binary/y"),   False),
    (None,                       None,                          False),
    ("Patient/ana",              None,                          True),
    ("Patient/ben",              document("ana", "Binary/x"),   False),
    ("https://x.example/P/ana",  document("ana", "Binary/x"),   False),
]  # fmt: skip


@pytest.mark.parametrize(("context", "referrer", "inside"), MEMBERS)
def test_a_security_context_outranks_every_document(
    context: str | None, referrer: dict[str, Any] | None, inside: bool
) -> None:
    stored = {"resourceType": "Binary"} | ({"securityContext": {"reference": context}} if context else {})
    assert is_member(unchecked(stored), ANA, bases(), {(REFERRER, "x"): referrer}) is inside


def test_documents_are_looked_for_within_both_grants() -> None:
    authority = authority_for("patient/Binary.r patient/DocumentReference.r patient/Media.s", "ana")
    (only,) = referrer_searches(authority.having("r", "Binary"), authority)
    assert only.plan.request is not None
    assert only.plan.request.target == "DocumentReference?patient=Patient%2Fana&_count=100"
    assert referrer_searches(authority_for("system/*.r").having("r", "Binary"), authority_for("system/*.r")) == ()


def binary(content_type: Any, data: Any = "YQ==") -> Checked:
    stored = unchecked({"resourceType": "Binary", "contentType": content_type, "data": data})
    found = check(stored, (Grant("system", "Binary", "r", EVERYONE),), "r", bases())
    assert found is not None
    return found


def test_content_comes_from_a_checked_binary_only() -> None:
    assert content(binary("image/png")).data == b"a"
    with pytest.raises(TypeError, match="only a checked Binary"):
        Content("text/html", b"", object())
    for data in ("***", "YQ=", 7, "YQ==YQ=="):
        with pytest.raises(MalformedContent):
            content(binary("image/png", data))


@pytest.mark.parametrize(
    ("stored", "accept", "download", "sent"),
    [
        ("image/png", "image/png", True, "image/png"),
        ("IMAGE/PNG", "image/png;q=0.5", True, "image/png"),
        ("image/png", "image/*", True, "image/png"),
        ("image/png", "*/*", False, "image/png"),
        ("image/png", "image/png;q=0", False, "image/png"),
        ("text/html; charset=utf-8", "text/html", True, "application/octet-stream"),
        ("text/plain; charset=UTF-8", "text/plain", True, "text/plain; charset=utf-8"),
        ("text/plain; charset=utf-7", "text/plain", True, "text/plain"),
        ("application/json", "application/json", False, "application/octet-stream"),
        ("no type", "no type", False, "application/octet-stream"),
        (None, "image/png", False, "application/octet-stream"),
    ],
)
def test_downloads(stored: str | None, accept: str, download: bool, sent: str) -> None:
    found = binary(stored)
    assert is_download(found, accept) is download
    assert content(found).media_type == sent


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("http://loinc.org/vs", True),
        ("https://LOINC.org", True),
        ("http://loinc.org|2", True),
        ("http://loinc.org.evil.example/", False),
        ("http://loinc.org:8080/", False),
        ("http://loinc.org@evil.example/", False),
        ("ftp://loinc.org/", False),
        ("urn:oid:1.2", True),
        ("urn:uuid:1", False),
        ("urn:oidx:1", False),
        ("loinc.org", False),
    ],
)
def test_known_value_sets(url: str, known: bool) -> None:
    assert Limits(valueset_hosts=frozenset({"loinc.org", "urn:oid"})).knows_value_set(url) is known
