"""The FHIRPath library, behind the same signature as a plain walk."""

import re
import threading
from collections.abc import Callable

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode, TypeInfo
from fhirpathpy.models import models

from fhirproxy.r4server.search.paths import Node

# R4's expressions cast collections; the library, right by FHIRPath N1, casts single values only. `ofType` does both.
_CAST_OPERATOR = re.compile(r"\((?P<operand>[\w.]+) as (?P<type>\w+)\)")
_CAST_FUNCTION = re.compile(r"\.as\((?P<type>\w+)\)")

# The library keeps the model and the evaluation's time in class and module variables.
_one_at_a_time = threading.Lock()


def compile_expression(expression: str) -> Callable[[Node], list[Node]]:
    """Return a function from a node to the nodes a FHIRPath expression reaches from it; it raises ValueError."""
    rewritten = _CAST_OPERATOR.sub(r"\g<operand>.ofType(\g<type>)", expression)
    rewritten = _CAST_FUNCTION.sub(r".ofType(\g<type>)", rewritten)
    with _one_at_a_time:
        setattr(TypeInfo, "model", models["r4"])  # noqa: B010  the library declares it as always None
        compiled = fhirpathpy.compile(rewritten, models["r4"], options={"returnRawData": True})

    def evaluate(start: Node) -> list[Node]:
        try:
            with _one_at_a_time:
                reached = compiled(start.value, {})
        except Exception as error:  # The library raises bare Exceptions too.
            raise ValueError(f"{expression} cannot be evaluated here") from error
        return [
            Node(item.data, item.path or "") if isinstance(item, ResourceNode) else Node(item, "") for item in reached
        ]

    return evaluate
