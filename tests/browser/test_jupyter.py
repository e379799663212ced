"""A public SMART app that nobody here wrote, opened by an EHR in a real browser: Jupyter, with jupyter-smart-on-fhir.

It keeps its state on a server of its own, is a public client with PKCE, and knows the scopes of SMART 1.
"""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.app_registration import initial_token, register_over_http
from tests.browser.ehr_client import register_ehr
from tests.browser.signing_in import allow, sign_in
from tests.hospital import hospital
from tests.jupyter.server import SCOPE, Jupyter, require_jupyter, running
from tests.servers import free_port
from tests.world import World

__all__ = ["hospital"]


def test_an_ehr_opens_jupyter_about_a_patient_and_a_notebook_reads(page: Page, hospital: World, tmp_path: Path) -> None:
    require_jupyter()
    jupyter = Jupyter(free_port(), tmp_path)
    metadata = {
        "client_name": "Notebooks",
        "redirect_uris": [jupyter.redirect_uri],
        "launch_urls": [jupyter.launch_url],
        "scope": SCOPE,
        "token_endpoint_auth_method": "none",
    }
    client_id = register_over_http(hospital, initial_token(hospital), metadata)["client_id"]
    with running(jupyter, client_id):
        page.goto(register_ehr(hospital).launch(client_id, user="dr-grey", patient="ana"))
        sign_in(page, "dr-grey")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Notebooks")
        allow(page)
        page.wait_for_url(f"{jupyter.base_url}/**")
        page.goto(f"{jupyter.base_url}/api/me")
        me = json.loads(page.locator("pre").inner_text())["identity"]
        assert me["username"] == f"{hospital.fhir_base}/Practitioner/dr-grey"
        told = jupyter.told()
        assert (told["patient"], told["scope"], told["token_type"]) == ("ana", SCOPE, "Bearer")
        assert jupyter.read() == ("ana", ["ana-concern", "ana-diagnosis", "ana-problem-1", "ana-problem-2"])
