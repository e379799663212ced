"""Changing the parameters of a request before its view reads them, as if it had come so, and those of an answer."""

from collections.abc import Mapping
from io import BytesIO
from urllib.parse import parse_qsl, quote, urlencode

from django.http import HttpRequest


def change(request: HttpRequest, changes: Mapping[str, str]) -> bool:
    """Give parameters other values, wherever they stand: in the query, in the form, or in both.

    Those that are absent stay so. Returns whether there was one.
    """
    query = request.META.get("QUERY_STRING", "")
    new_query = _changed(query, changes)
    if new_query != query:
        request.META["QUERY_STRING"] = new_query
    if not hasattr(request, "_body"):  # Nobody has read a form, so there is none that launches have.
        return new_query != query
    form = request.body.decode("ascii", errors="replace")
    new_form = _changed(form, changes)
    if new_form != form:
        body = new_form.encode()
        request._body, request._stream = body, BytesIO(body)  # type: ignore[attr-defined]
        request.META["CONTENT_LENGTH"] = str(len(body))
    return (new_query, new_form) != (query, form)


def with_other_values(url: str, changes: Mapping[str, str]) -> str:
    """Return a URL with other values for the parameters it has; it is the same where it has none of them."""
    before, mark, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    if not changes.keys() & dict(pairs).keys():
        return url
    return f"{before}{mark}{urlencode([(name, changes.get(name, value)) for name, value in pairs], quote_via=quote)}"


def _changed(text: str, changes: Mapping[str, str]) -> str:
    pairs = parse_qsl(text, keep_blank_values=True)
    if not any(name in changes and value != changes[name] for name, value in pairs):
        return text
    return urlencode([(name, changes.get(name, value)) for name, value in pairs])
