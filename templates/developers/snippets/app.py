{% autoescape off %}# pip install Authlib joserfc requests
{% if has_secret %}import os
{% endif %}import time
{% if has_key %}from pathlib import Path
{% endif %}
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
{% if has_key %}from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import {{ key_class }}
{% endif %}
CLIENT_ID = {{ client_id }}
AUTHORIZE_URL = {{ authorize_url }}
TOKEN_URL = {{ token_url }}
FHIR_BASE = {{ fhir_base }}
REDIRECT_URI = {{ redirect_uri }}
SCOPE = {{ scope }}
{% if has_key %}KEY_FILE = {{ key_file }}  # stays with you; never send it anywhere


class FiveMinutes(PrivateKeyJWT):
    """Signs a new assertion for each token request; we accept five minutes at most, and each one once."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 300}
        return super().sign(auth, token_endpoint)


key = {{ key_class }}.import_key(Path(KEY_FILE).read_text())
kid = {{ kid_python }}
{% endif %}session = OAuth2Session(
    CLIENT_ID,
    {% if has_key %}key,
    token_endpoint_auth_method="private_key_jwt",{% elif has_secret %}os.environ["CLIENT_SECRET"],
    token_endpoint_auth_method={{ method_quoted }},{% else %}token_endpoint_auth_method="none",{% endif %}
    scope=SCOPE,
    redirect_uri=REDIRECT_URI,
    code_challenge_method="S256",
)
{% if has_key %}session.register_client_auth_method(FiveMinutes(TOKEN_URL, headers={"kid": kid}, alg={{ alg }}))
{% endif %}
verifier = generate_token(64)
url, state = session.create_authorization_url(AUTHORIZE_URL, code_verifier=verifier, aud=FHIR_BASE)
print(f"Open this in a browser, and sign in:\n{url}")
callback = input("Paste the address you come back to:\n")
token = session.fetch_token(TOKEN_URL, authorization_response=callback, state=state, code_verifier=verifier)
print(f"Granted: {token['scope']}, until {time.ctime(token['expires_at'])}")

what = f"Patient/{token['patient']}" if "patient" in token else {{ read_quoted }}
answer = session.get(f"{FHIR_BASE}/{what}", headers={"Accept": "application/fhir+json"})
print(answer.text)
answer.raise_for_status()
{% endautoescape %}
