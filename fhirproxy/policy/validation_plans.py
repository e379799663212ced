"""Decide a validation: it is judged as the write it stands for, and is nothing without the right to that write.

Source: FHIR R4 resource-operation-validate; SMART 2.2 scopes-and-launch-context.
"""

from dataclasses import dataclass, field

from fhirproxy.policy.authority import Authority, Grant
from fhirproxy.policy.bodies import Resource, write_json
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.plans import Deny, Limits, deny_letter
from fhirproxy.policy.references import is_id
from fhirproxy.policy.requests import Create, Delete, Update
from fhirproxy.policy.results import Shape
from fhirproxy.policy.sent import Sent
from fhirproxy.policy.validation import Asked, Mode, Validate, read_asked
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.policy.writes import decide_write


@dataclass(frozen=True, slots=True)
class ValidationPlan:
    """Judge a write, then have the upstream look at its body. Nothing is written. `profile`: empty, or a known one."""

    write: WritePlan
    mode: Mode
    profile: str = ""
    shape: Shape = field(default_factory=Shape)
    interaction: str = "$validate"
    request: None = None  # made of what was judged
    rule: str = "allow"

    @property
    def type(self) -> str:
        """Return the type of what would be written."""
        return self.write.type

    @property
    def id(self) -> str:
        """Return the id of what would be written, or the empty text."""
        return self.write.id

    @property
    def via(self) -> tuple[Grant, ...]:
        """Return the grants of the write."""
        return self.write.via


def decide_validation(wanted: Validate, authority: Authority, limits: Limits) -> ValidationPlan | Deny:
    """Say what a validation needs, or why not. Raises FhirRefusal (400, 415, 422) for what cannot be read of it."""
    if not authority.having("cud", wanted.type):
        return deny_letter(authority, "u" if wanted.id else "c", wanted.type, "validating")
    asked = read_asked(wanted)
    if asked.profile and not limits.knows_value_set(asked.profile):
        return Deny("validate.profile", "the profile is not on a host this server knows")
    write = decide_write(_write_meant(wanted, asked), authority, limits)
    if isinstance(write, Deny):
        return write
    return ValidationPlan(write, asked.mode, asked.profile, wanted.shape)


def _write_meant(wanted: Validate, asked: Asked) -> Create | Update | Delete:
    if asked.resource is None:
        return Delete(wanted.type, wanted.id, Sent(returns="minimal"))
    sent = Sent("application/fhir+json", write_json(asked.resource), returns="minimal")
    if asked.mode == "create":
        return Create(wanted.type, sent)
    resource_id = wanted.id or asked.resource.get("id")
    if not isinstance(resource_id, str) or not is_id(resource_id):
        raise bad_request("body.id", "the resource of an update has an id")
    return Update(wanted.type, resource_id, sent)


def validation_body(plan: ValidationPlan, checked: Checked) -> bytes:
    """Return the parameters of the operation in our words. `checked`: what would be written, or deleted."""
    parameters: list[Resource] = [{"name": "mode", "valueCode": plan.mode}]
    if plan.mode != "delete":
        parameters.insert(0, {"name": "resource", "resource": checked.resource})
    if plan.profile:
        parameters.append({"name": "profile", "valueUri": plan.profile})
    return write_json({"resourceType": "Parameters", "parameter": [*parameters]})
