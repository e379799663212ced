{% autoescape off %}#!/usr/bin/env bash
# Needs curl and openssl, nothing else{% if has_key %}. Run it where {{ key_name }} is{% endif %}.
set -euo pipefail
CLIENT_ID={{ client_id }}
AUTHORIZE_URL={{ authorize_url }}
TOKEN_URL={{ token_url }}
FHIR_BASE={{ fhir_base }}
REDIRECT_URI={{ redirect_uri }}
SCOPE={{ scope }}
{% if has_key %}KEY_FILE={{ key_file }}
KID={{ kid }}{% if not is_kid_known %}  # the kid of your key, as in your key set{% endif %}
ALG={{ alg }}
{% elif has_secret %}: "${CLIENT_SECRET:?put the secret you were shown into CLIENT_SECRET}"
{% endif %}
urlencode() { local LC_ALL=C i c; for ((i = 0; i < ${#1}; i++)); do c=${1:i:1}
  case $c in [a-zA-Z0-9.~_-]) printf %s "$c" ;; *) printf '%%%02X' "'$c" ;; esac; done; }
VERIFIER=$(openssl rand -hex 32)
CHALLENGE=$(printf %s "$VERIFIER" | openssl dgst -sha256 -binary | openssl base64 -A | tr '+/' '-_' | tr -d '=')
STATE=$(openssl rand -hex 16)

echo "Open this in a browser, and sign in:"
echo "$AUTHORIZE_URL?response_type=code&client_id=$(urlencode "$CLIENT_ID")&redirect_uri=$(urlencode "$REDIRECT_URI")&scope=$(urlencode "$SCOPE")&state=$STATE&aud=$(urlencode "$FHIR_BASE")&code_challenge=$CHALLENGE&code_challenge_method=S256"
echo "Paste the address you come back to:"
read -r CALLBACK
[[ $CALLBACK == *"state=$STATE"* ]] || { echo "That is not the answer to this request: $CALLBACK" >&2; exit 1; }
CODE=${CALLBACK#*code=}; CODE=${CODE%%&*}

{% if has_key %}{% include "developers/snippets/assertion.sh" %}
{% endif %}ANSWER=$(curl -sS --fail-with-body "$TOKEN_URL" {% if method == "client_secret_basic" %}-u "$CLIENT_ID:$CLIENT_SECRET" {% endif %}\
  --data-urlencode grant_type=authorization_code \
  --data "code=$CODE" \
  --data-urlencode "redirect_uri=$REDIRECT_URI" \
  --data-urlencode "code_verifier=$VERIFIER" {% if has_key %}\
  --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
  --data-urlencode "client_assertion=$assertion"{% elif method == "client_secret_post" %}\
  --data-urlencode "client_id=$CLIENT_ID" \
  --data-urlencode "client_secret=$CLIENT_SECRET"{% elif method == "none" %}\
  --data-urlencode "client_id=$CLIENT_ID"{% endif %})
member() { printf %s "$ANSWER" | sed -nE "s/.*\"$1\": ?\"([^\"]+)\".*/\1/p"; }
PATIENT=$(member patient)

curl -sS --fail-with-body -H "Authorization: Bearer $(member access_token)" -H "Accept: application/fhir+json" \
  "$FHIR_BASE/${PATIENT:+Patient/}${PATIENT:-{{ read }}}"
{% endautoescape %}
