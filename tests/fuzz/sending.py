"""One request as a value, how it is sent, and what every answer must be, whatever was asked."""

import json
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpResponse
from django.test import Client as Browser

from smartauth.receipts.models import Receipt

FORM = "application/x-www-form-urlencoded"
# Put into values; it must not come back in a page as markup.
MARKUP = "\"><fuzz x='"
# Where each refusal leaves a receipt. Pages for people and the admin answer with forms and pages instead.
EXPLAINED = ("/auth/", "/fhir/")
PAGES = ("/auth/consent/",)

_addresses = count(1)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request. `fields` become the query of a GET and the form of anything else; `body` replaces the form."""

    path: str
    method: str = "POST"
    fields: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = FORM
    body: bytes | None = None
    in_query: bool = False

    def value(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for one, value in self.fields if one == name), None)


def send(browser: Browser, sent: Sent) -> HttpResponse:
    """Send a request from an address of its own, so that no limit of one address speaks for the others."""
    number = next(_addresses)
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    query = urlencode(sent.fields, errors="surrogatepass")
    is_query = sent.in_query or sent.method in ("GET", "HEAD", "OPTIONS")
    body = sent.body if sent.body is not None else b"" if is_query else query.encode()
    environ = {
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sent.headers.items()},
        "QUERY_STRING": query if is_query else "",
        "REMOTE_ADDR": address,
        "CONTENT_LENGTH": str(len(body)),
    }
    answer = browser.generic(sent.method, sent.path, body, sent.content_type, **environ)
    assert isinstance(answer, HttpResponse) or answer.streaming
    return answer


def content(answer: HttpResponse) -> bytes:
    """Return the body, streamed or not."""
    return b"".join(answer) if answer.streaming else answer.content


def require_an_answer(sent: Sent, answer: HttpResponse) -> None:
    """Assert what holds for every answer: no failure of ours, readable, numbered, explained, nothing injected."""
    assert answer.status_code < 500, (sent, answer.status_code, answer.content[:300])
    assert answer.headers["X-Trace-Id"]
    body = content(answer)
    if "json" in answer.headers.get("Content-Type", "") and body:
        json.loads(body)
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        assert b"<fuzz" not in body
    assert "\n" not in "".join(answer.headers.values())
    if sent.path.startswith(EXPLAINED) and not sent.path.startswith(PAGES) and is_refusal(answer):
        receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
        assert receipt.rule, receipt
        assert receipt.reason, receipt
    assert not Receipt.objects.filter(rule="").exists()


def is_refusal(answer: HttpResponse) -> bool:
    """Return True for an answer that says no, be it by a redirect."""
    if answer.status_code >= 400:
        return True
    target = answer.headers.get("Location", "")
    return 300 <= answer.status_code < 400 and "error" in parse_qs(urlsplit(target).query)


def gives_something(answer: HttpResponse) -> bool:
    """Return True when an answer holds a token, or leads to an app with a code."""
    target = answer.headers.get("Location", "")
    return b'"access_token"' in content(answer) or "code" in parse_qs(urlsplit(target).query)
