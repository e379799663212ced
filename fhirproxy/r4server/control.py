"""The URLs beside the base URL with which tests steer the server and ask what it saw."""

from dataclasses import dataclass, field

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.faults import HEALTHY, Fault, parse_fault
from fhirproxy.r4server.interactions import FhirService
from fhirproxy.r4server.messages import Request, Response, json_response
from fhirproxy.r4server.modes import parse_mode
from fhirproxy.r4server.received import ReceivedLog


@dataclass(slots=True)
class Control:
    """The switches of one server."""

    service: FhirService
    received: ReceivedLog = field(default_factory=ReceivedLog)
    fault: Fault = HEALTHY

    def handle(self, request: Request) -> Response:
        """Answer a request to a control URL. Raises FhirError."""
        match (request.method, request.path):
            case ("GET", "/_received"):
                return json_response(self.received.as_json())
            case ("DELETE", "/_received"):
                self.received.clear()
                return Response(204)
            case ("GET", "/_fault"):
                return json_response(self.fault.as_json())
            case ("PUT", "/_fault"):
                self.fault = parse_fault(request.json_body())
                return json_response(self.fault.as_json())
            case ("GET", "/_mode"):
                return json_response({"mode": self.service.mode.name})
            case ("PUT", "/_mode"):
                return self._switch_mode(request.json_body())
            case ("POST", "/_load"):
                return self._load(request.json_body())
            case ("DELETE", "/_store"):
                self.service.store.clear()
                return Response(204)
            case _:
                raise FhirError(404, "not-found", "nothing is served here")

    def _switch_mode(self, document: object) -> Response:
        self.service.mode = parse_mode(document)
        return json_response({"mode": self.service.mode.name})

    def _load(self, document: object) -> Response:
        if not isinstance(document, list) or not all(isinstance(resource, dict) for resource in document):
            raise FhirError(400, "invalid", "the body is not an array of resources")
        return json_response({"loaded": self.service.store.load(document)})
