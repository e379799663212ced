"""What the sandbox says when it is ready: where to go and what to paste."""

from smartauth import endpoints
from smartauth.conf import config
from smartauth.sandbox.seed import TENANT, Seeded

COMMAND = "SMARTAUTH_MODE=sandbox .venv/bin/python manage.py"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def welcome(seeded: Seeded) -> str:
    """Return the text that `make run` ends with: the address, the people, and lines that work when pasted."""
    base = config().base_url
    fhir_base = endpoints.fhir_base(TENANT)
    service = next(client for client in seeded.clients if client.client_id == "bulk-loader")
    people = "\n".join(
        f"  {user.username:<10} {user.password:<18} {user.fhir_user or ''}".rstrip() for user in seeded.users
    )
    return f"""
Ready: {base}

  Launcher      {base}/launcher/
  Sample app    {base}/launcher/app/
  FHIR base     {fhir_base}
  Documents     {fhir_base}/.well-known/smart-configuration
                {fhir_base}/metadata
  Admin         {base}/admin/

People (all synthetic), for the sign-in page:
{people}

Open the sample app, connect, sign in as ana (a patient) or dr-grey (a clinician), and decide what it may see.
Or let an EHR launch it: the launcher is one, breaks things on purpose, and shows each request.

To register an app of yours, go to {base}/developers/, or see docs/how-to/register-by-protocol.md, which takes
the initial access token
  {seeded.initial_access_token}

A backend service gets a token and reads patients. Paste this into another terminal, in this folder:

TOKEN=$(curl -sS {endpoints.oauth(TENANT, "token")} \\
  -d grant_type=client_credentials -d scope=system/Patient.rs \\
  -d client_assertion_type={ASSERTION_TYPE} \\
  -d client_assertion="$({COMMAND} sign_assertion --client {service.client_id} --key {service.key_file})" \\
  | sed -E 's/.*"access_token":"([^"]+)".*/\\1/')

curl -sS -H "Authorization: Bearer $TOKEN" "{fhir_base}/Patient?_count=2"

This it may not read, and the answer says why under a trace id:

curl -sS -H "Authorization: Bearer $TOKEN" "{fhir_base}/Observation?_count=2"
{COMMAND} explain TRACE_ID

Everything a script needs is in {config().var / "sandbox.json"}. Ctrl-C stops the sandbox; `make reset` starts anew.
"""
