"""A public SMART app as its package has it: Jupyter notebooks that an EHR opens, and that read with the app's token.

The PyPI package jupyter-smart-on-fhir, with its dependencies in an environment of its own, next to this file.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = Path(__file__).resolve().parent / ".venv"
SCOPE = "openid profile fhirUser launch patient/*.*"  # what the app asks for unless told otherwise
IDENTITY = "jupyter_smart_on_fhir.server_extension.SMARTIdentityProvider"
FOLDERS = {"CONFIG": "config", "DATA": "data", "RUNTIME": "run"}
READY_WITHIN = 60.0  # seconds
# What a notebook does, in the words of the app's documentation.
NOTEBOOK = """
import json, os, requests
told = json.load(open(os.environ["SMART_TOKEN_FILE"]))
headers = {"Authorization": f"Bearer {told['token']['access_token']}"}
patient = told["token"]["patient"]
found = requests.get(f"{told['fhir_url']}/Condition", params={"patient": patient}, headers=headers, timeout=10)
found.raise_for_status()
print(json.dumps([patient, sorted(entry["resource"]["id"] for entry in found.json()["entry"])]))
"""


@dataclass(frozen=True, slots=True)
class Jupyter:
    """A running server of notebooks, or one to be: `base_url` is known before it runs."""

    port: int
    folder: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def redirect_uri(self) -> str:
        return f"{self.base_url}/smart-on-fhir/callback"

    @property
    def launch_url(self) -> str:
        return f"{self.base_url}/smart-on-fhir/launch"

    @property
    def token_file(self) -> Path:
        return self.folder / "run" / "smart_token.json"

    @property
    def log(self) -> Path:
        return self.folder / "jupyter.log"

    def told(self) -> dict[str, Any]:
        """Return the token response that the app keeps."""
        found: dict[str, Any] = json.loads(self.token_file.read_text())["token"]
        return found

    def read(self) -> tuple[str, list[str]]:
        """Return the patient in context and the ids of their conditions, as a notebook of the app finds them."""
        own = {**os.environ, "SMART_TOKEN_FILE": str(self.token_file)}
        command = [str(ENVIRONMENT / "bin" / "python"), "-c", NOTEBOOK]
        done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=True)
        patient, conditions = json.loads(done.stdout)
        return patient, conditions


@contextmanager
def running(jupyter: Jupyter, client_id: str) -> Iterator[None]:
    """Run the app for a registered client until the block ends; who is signed in, SMART says."""
    folders = {f"JUPYTER_{kind}_DIR": str(jupyter.folder / name) for kind, name in FOLDERS.items()}
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "jupyter", "server", "--allow-root", "--no-browser"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={jupyter.port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={jupyter.folder}", f"--ServerApp.identity_provider_class={IDENTITY}"]
    command += [f"--SMARTExtensionApp.client_id={client_id}"]
    with jupyter.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=jupyter.folder,
            env={**os.environ, **folders},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(jupyter, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def require_jupyter() -> None:
    """Skip the test, and say why, where the app could not be had."""
    if not (ENVIRONMENT / ".installed").exists():
        pytest.skip("NO JUPYTER: its packages could not be had; run `make test` to try again")


def _wait_until_ready(jupyter: Jupyter, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{jupyter.base_url}/api", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # It answers.
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"jupyter did not become ready: {jupyter.log.read_text()[-2000:]}")
