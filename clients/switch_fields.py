"""A tenant's policy switches as fields of a form: one for each, left empty for the default."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from django import forms
from django.core.exceptions import ValidationError

from clients.switches import meaning, stored
from clients.tenants import WEAKENING, TenantPolicy, parse_policy

PREFIX = "policy_"
GROUPS = (
    (
        "Whose a resource is, and whom a user may act for",
        (
            *("compartment_mode", "type_overrides", "shared_read", "binary"),
            *("practitioner_access", "panel_by", "panels", "proxy_relations"),
        ),
    ),
    ("What may be asked", ("extra_parameters", "extra_operations", "valueset_hosts", "trust_totals")),
    ("What may be written", ("writes", "update_as_create", "allow_unversioned_writes", "compensate")),
    ("What people are asked", ("sensitive_categories", "max_consent_days", "remember_days", "age_of_majority")),
    (
        "How much",
        (
            *("max_count", "default_count", "max_entries", "max_jobs"),
            *("max_concurrent", "max_requests_per_minute", "max_results_per_hour"),
        ),
    ),
)
ON_OFF = {True: "on", False: "off"}


def switch_fields() -> dict[str, forms.Field]:
    """Return one field for each switch, by its name in the form."""
    defaults = TenantPolicy()
    return {
        PREFIX + field.name: _field(field.name, field.type, getattr(defaults, field.name))
        for field in msgspec.structs.fields(TenantPolicy)
    }


def fieldsets() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the switches in groups, as the admin lays them out."""
    return tuple((title, {"fields": tuple(PREFIX + name for name in names)}) for title, names in GROUPS)


def initial(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fields show for a stored policy, whether or not every value of it is a good one."""
    return {PREFIX + name: _shown(value) for name, value in policy.items()}


def mark_weakened(fields: Mapping[str, forms.Field], policy: Mapping[str, Any]) -> None:
    """Say beside each switch that weakens a rule as it is stored that it does so now."""
    try:
        weakened = parse_policy(policy).weakened
    except ValueError:
        return  # Its fields are marked when the form is sent.
    for name in weakened:
        fields[PREFIX + name].label = f"{name}: WEAKENS A RULE NOW"


def policy_from(cleaned: Mapping[str, Any]) -> dict[str, object]:
    """Return the policy of a filled-in form as it is stored. Raises ValidationError beside the switch that is wrong."""
    chosen: dict[str, Any] = {}
    for field in msgspec.structs.fields(TenantPolicy):
        value = cleaned.get(PREFIX + field.name)
        if value not in (None, ""):
            chosen[field.name] = _read(field.type, value)
    for name, value in chosen.items():
        try:
            msgspec.convert({name: value}, TenantPolicy)
        except msgspec.ValidationError as error:
            raise ValidationError({PREFIX + name: str(error)}) from error
    return stored(msgspec.convert(chosen, TenantPolicy))


def _field(name: str, kind: Any, default: Any) -> forms.Field:
    label = f"{name} (can weaken a rule)" if name in WEAKENING else name
    common = {"required": False, "label": label, "help_text": f"{meaning(name)} Default: {_shown(default) or 'none'}."}
    if kind is int:
        return forms.IntegerField(min_value=0, **common)
    if kind is bool or get_origin(kind) is Literal:
        names = [ON_OFF[one] for one in (True, False)] if kind is bool else list(get_args(kind))
        return forms.ChoiceField(choices=[("", "default"), *((one, one) for one in names)], **common)
    return forms.CharField(widget=forms.Textarea(attrs={"rows": 2, "cols": 90, "spellcheck": "false"}), **common)


def _shown(value: Any) -> Any:
    match value:
        case bool():
            return ON_OFF[value]
        case dict():
            return json.dumps(value) if value else ""
        case list() | tuple():
            return " ".join(map(str, value))
    return value


def _read(kind: Any, value: Any) -> Any:
    """Return what a field says, as JSON would. What is no JSON object stays text, and is refused as one."""
    if kind is bool:
        return value == ON_OFF[True]
    if get_origin(kind) is tuple:
        return value.split()
    if get_origin(kind) is dict:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
