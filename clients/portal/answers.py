"""A step's form to members of client metadata, and back to what the form shows. Whatever was typed is kept."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from msgspec import json

from clients.app_kinds import KINDS
from clients.findings import TENANTS, Finding
from clients.models import AuthMethod
from clients.portal import data_table
from clients.portal.fields import Field, Section, sections, step_fields
from clients.portal.pasted_keys import read_pasted_keys

CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")
# Where the keys come from; the first is what a page of nobody's answers shows in the sandbox.
KEY_SOURCES = ("generate", "url", "paste")


@dataclass(frozen=True, slots=True)
class Read:
    """Answers read from a form. `had_private_key`: one was pasted; it is not among the answers."""

    answers: dict[str, Any]
    had_private_key: bool = False


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with what is in it and what is wrong with it."""

    field: Field
    value: str
    is_on: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section with its fields filled in. A folded one with answers or findings is open."""

    section: Section
    fields: tuple[ShownField, ...]
    is_open: bool


def read_step(step: str, kind: str, form: QueryDict) -> Read:
    """Return the answers in the form of one step. Members that the form does not carry are left out."""
    answers = {field.member: _value(field, form) for field in step_fields(step, kind) if _is_sent(field, form)}
    if step == "connection":
        return _with_keys(kind, answers, form)
    if step == "data":
        return Read(_data(kind, form))
    return Read(answers)


def shown_sections(
    step: str, kind: str, answers: Mapping[str, Any], findings: Iterable[Finding]
) -> tuple[ShownSection, ...]:
    """Return the fields of a step as they are filled in, each with its findings."""
    by_member: dict[str, list[Finding]] = {}
    for one in findings:
        by_member.setdefault(one.member, []).append(one)
    found = []
    for section in sections(step, kind):
        fields = tuple(_shown(one, answers.get(one.member), by_member.get(one.member, ())) for one in section.fields)
        is_open = not section.is_folded or any(one.findings or _is_answered(one) for one in fields)
        found.append(ShownSection(section, fields, is_open))
    return tuple(found)


def keys_text(answers: Mapping[str, Any]) -> str:
    """Return the registered keys as text for a form."""
    jwks = answers.get("jwks")
    if not jwks:
        return ""
    return jwks if isinstance(jwks, str) else json.format(json.encode(jwks), indent=2).decode()


def key_source(answers: Mapping[str, Any], *, is_sandbox: bool) -> str:
    """Return where the keys come from: what was answered, or what is easiest here."""
    if answers.get("jwks"):
        return "paste"
    if answers.get("jwks_uri") or not is_sandbox:
        return "url"
    return "generate"


def _value(field: Field, form: QueryDict) -> Any:
    match field.widget:
        case "switch":
            return field.member in form
        case "lines":
            return _listed(form[field.member].splitlines())
        case "email_lines":
            return _listed(re.split(r"[\s,;]+", form[field.member]))
    # One line in the registry, so the lines of a long text become one.
    return CONTROL.sub(" ", form[field.member]).strip()


def _is_sent(field: Field, form: QueryDict) -> bool:
    return field.widget == "switch" or field.member in form


def _listed(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(one for text in texts if (one := CONTROL.sub(" ", text).strip())))


def _with_keys(kind: str, answers: dict[str, Any], form: QueryDict) -> Read:
    """Take keys from where the form says they are; the other place is emptied, since both together mean nothing."""
    method = answers.get("token_endpoint_auth_method", AuthMethod.PRIVATE_KEY_JWT)
    source = form.get("keys_from", "")
    if "keys_from" not in form:
        return Read(answers)
    pasted = read_pasted_keys(form.get("jwks", ""))
    keys: dict[str, Any] = {"jwks": None, "jwks_uri": ""}
    if method == AuthMethod.PRIVATE_KEY_JWT and source == "url":
        keys["jwks_uri"] = CONTROL.sub(" ", form.get("jwks_uri", "")).strip()
    elif method == AuthMethod.PRIVATE_KEY_JWT:
        keys["jwks"] = pasted.jwks
    return Read(answers | keys, pasted.is_private and source != "url")


def _data(kind: str, form: QueryDict) -> dict[str, Any]:
    level = form.get("level", "")
    chosen = KINDS[kind]
    level = level if chosen.level == "user" and level in ("user", "patient") else chosen.level
    named = [one for one in chosen.launch_scopes if one in form.getlist("named")]
    rest = CONTROL.sub(" ", form.get("more_scopes", ""))
    scope = data_table.put_together(level, form.getlist("data"), named, rest)
    return {"scope": scope, TENANTS: list(dict.fromkeys(form.getlist(TENANTS)))[:100]}


def _shown(field: Field, value: Any, findings: Iterable[Finding]) -> ShownField:
    text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    return ShownField(field, text, value is True, tuple(findings))


def _is_answered(shown: ShownField) -> bool:
    return bool(shown.is_on or (shown.value and shown.value not in (one.value for one in shown.field.choices[:1])))
