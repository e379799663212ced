"""Whether this process runs, and whether it could answer a request: yes or no, nothing else."""

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse


def healthz(request: HttpRequest) -> HttpResponse:
    """Return 200: the process answers."""
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 when the database answers with our tables in it, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM clients_tenant LIMIT 1")
    except Error:
        return HttpResponse(
            "unavailable\n", status=503, content_type="text/plain", headers={"Cache-Control": "no-store"}
        )
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})
