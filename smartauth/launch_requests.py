"""What an EHR sends to begin a launch: which members there are, and which values they may have.

Source: SMART 2.2 app-launch, "Launch App: EHR Launch", scopes-and-launch-context, and task-launch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from clients.serializers import Switch, Text, first_problem, is_storable
from clients.uri_rules import web_url_problem
from smartauth.conf import config
from smartauth.errors import InvalidRequest, Refusal
from smartauth.policy.launch import FHIR_ID, fhir_context_problem
from smartauth.policy.task_launch import LONGEST_CONTEXT, InvalidTask, LaunchTask, read_task

REQUIRED = ("client_id", "iss", "user")
CONTEXT = ("patient", "encounter", "fhirContext", "intent", "tenant", "appContext")
FROM_TASK = ("launch_url", "patient", "encounter")  # what a Task says, and nobody else beside it
FOR_STANDALONE = frozenset({"client_id", "iss", "user", "task"})


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A launch an EHR asks for. `launch_url` is "" for the app's first; `context` has SMART 2.2's members.

    client_id: "" when a Task names the app by its launch URL alone.    is_standalone: the app is opened there without
    a launch, and asks on its own.
    """

    client_id: str
    iss: str
    user: str
    launch_url: str
    context: Mapping[str, Any]
    is_standalone: bool = False


class FhirContext(serializers.Field):
    """An array of objects, as SMART 2.2 has it."""

    def to_internal_value(self, data: object) -> object:
        problem = fhir_context_problem(data)
        if problem or not is_storable(data):
            raise serializers.ValidationError(problem or "it has control characters")
        return data


class LaunchSerializer(serializers.Serializer[dict[str, Any]]):
    """Whatever is not listed here is refused: an app must not miss in silence what the EHR meant to tell it."""

    client_id = Text()
    iss = Text(max_length=2_000)
    user = Text(max_length=2_000)
    launch_url = Text(max_length=2_000)
    patient = Text(max_length=64)
    encounter = Text(max_length=64)
    fhirContext = FhirContext(required=False)  # noqa: N815 - the standard's spelling
    intent = Text()
    need_patient_banner = Switch()
    smart_style_url = Text(max_length=2_000)
    tenant = Text()
    appContext = Text(max_length=LONGEST_CONTEXT)  # noqa: N815 - the standard's spelling

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the members alone do not show."""
        for name in self.context.get("required", REQUIRED):
            if not attrs.get(name):
                raise serializers.ValidationError({name: "it is missing"})
        for name in ("patient", "encounter"):
            if attrs.get(name) and FHIR_ID.fullmatch(attrs[name]) is None:
                raise serializers.ValidationError({name: "it is not the logical id of a resource"})
        if attrs.get("encounter") and not attrs.get("patient"):
            raise serializers.ValidationError({"encounter": "an encounter comes with its patient"})
        style = attrs.get("smart_style_url")
        if style and (problem := web_url_problem(style, http_on_loopback=config().is_sandbox)):
            raise serializers.ValidationError({"smart_style_url": problem})
        return attrs


def parse_launch_request(body: Mapping[str, Any], *, style_url: str) -> LaunchRequest:
    """Read the body of a launch request; empty texts are absent. Raises InvalidRequest, naming the first bad member.

    style_url: what the app is told where the EHR names no style of its own.
    """
    known = LaunchSerializer().fields.keys() - {"appContext"} | ({"task"} if config().task_launch else set())
    unknown = sorted(body.keys() - known)
    if unknown:
        raise _bad("a member is not known", unknown[0])
    task = _read_task(body) if "task" in body else None
    required = REQUIRED if task is None else tuple(name for name in REQUIRED if name != "client_id")
    serializer = LaunchSerializer(data=_with_task(body, task), context={"required": required})
    if not serializer.is_valid():
        member, complaint = first_problem(serializer.errors)
        raise _bad(complaint, member)
    found = serializer.validated_data
    context = {name: found[name] for name in CONTEXT if found.get(name)}
    return LaunchRequest(
        client_id=found.get("client_id", ""),
        iss=found["iss"],
        user=found["user"],
        launch_url=found.get("launch_url", ""),
        context=context
        | {
            # An EHR that does not say so shows no patient, and then somebody has to.
            "need_patient_banner": found.get("need_patient_banner", True),
            "smart_style_url": found.get("smart_style_url") or style_url,
        },
        is_standalone=task is not None and task.is_standalone,
    )


def _read_task(body: Mapping[str, Any]) -> LaunchTask:
    """Return what the Task in a request says. Raises InvalidRequest."""
    iss = body.get("iss")
    try:
        task = read_task(body["task"], iss if isinstance(iss, str) else "")
    except InvalidTask as why:
        fix = "Send the whole Task, of the profile task-ehr-launch or task-standalone-launch."
        raise InvalidRequest(
            Refusal("launch.task", f"the task cannot be launched: {why}", fix=fix),
            "The task asks for no launch that can be begun",
        ) from None
    beside = set(body) - FOR_STANDALONE if task.is_standalone else set(body) & set(FROM_TASK)
    if beside:
        complaint = "an app that launches by itself is told nothing" if task.is_standalone else "the task says it"
        raise _bad(complaint, sorted(beside)[0])
    return task


def _with_task(body: Mapping[str, Any], task: LaunchTask | None) -> dict[str, Any]:
    """Return the members of a request with what its Task says in their places."""
    members = {name: value for name, value in body.items() if name != "task"}
    if task is None:
        return members
    said = {"patient": task.patient, "encounter": task.encounter, "appContext": task.app_context}
    return members | {"launch_url": task.url} | {name: value for name, value in said.items() if value}


def _bad(complaint: str, member: str) -> InvalidRequest:
    """Return the refusal of a member. Its name reaches the EHR where it is one of ours, and nothing else it sent."""
    which = f"The member {member}" if member in {*LaunchSerializer().fields, "task"} else "A member"
    return InvalidRequest(
        Refusal("launch.request", complaint, seen=member[:100], fix="Mend the member, or leave it out."),
        f"{which} of the launch request is missing, not valid or not known here",
    )
