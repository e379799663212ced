{% autoescape off %}# pip install Authlib joserfc requests
import time
from pathlib import Path

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import {{ key_class }}

CLIENT_ID = {{ client_id }}
TOKEN_URL = {{ token_url }}
FHIR_BASE = {{ fhir_base }}
SCOPE = {{ scope }}
KEY_FILE = {{ key_file }}  # stays with you; never send it anywhere


class FiveMinutes(PrivateKeyJWT):
    """Signs a new assertion for each token request; we accept five minutes at most, and each one once."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 300}
        return super().sign(auth, token_endpoint)


key = {{ key_class }}.import_key(Path(KEY_FILE).read_text())
kid = {{ kid_python }}
session = OAuth2Session(CLIENT_ID, key, scope=SCOPE, token_endpoint_auth_method="private_key_jwt")
session.register_client_auth_method(FiveMinutes(TOKEN_URL, headers={"kid": kid}, alg={{ alg }}))
session.fetch_token(TOKEN_URL, grant_type="client_credentials")

answer = session.get(f"{FHIR_BASE}/{{ read }}", headers={"Accept": "application/fhir+json"})
print(answer.text)
answer.raise_for_status()
{% endautoescape %}
