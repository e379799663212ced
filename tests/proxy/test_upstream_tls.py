"""An upstream over TLS is believed with a certificate this machine trusts, and only then."""

from pathlib import Path

import pytest

from clients.tenants import TenantInfo
from fhirproxy import upstream
from smartauth.receipts.models import Receipt
from tests.certificates import self_signed
from tests.clients.jwks_host import Page, run_jwks_host
from tests.proxy.conftest import Caller, Mint, put_behind


def test_only_a_trusted_certificate_is_believed(
    tenant: TenantInfo, minted: Mint, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = self_signed(tmp_path)
    with run_jwks_host(context) as host:
        host.page = Page({"resourceType": "Patient", "id": "ana"})
        put_behind(tenant, f"https://127.0.0.1:{host.port}/r4", bearer="")
        token = minted("system/Patient.r")

        refused = call("/Patient/ana", token)
        assert refused.status_code == 502
        assert "certificate" in Receipt.objects.get(trace_id=refused["X-Trace-Id"]).officer.lower()
        assert host.visits == 0

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        upstream._handles.by_base.clear()
        assert call("/Patient/ana", token).json()["id"] == "ana"
