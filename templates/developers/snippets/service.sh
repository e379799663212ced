{% autoescape off %}#!/usr/bin/env bash
# Needs curl and openssl, nothing else. Run it where {{ key_name }} is.
set -euo pipefail
CLIENT_ID={{ client_id }}
TOKEN_URL={{ token_url }}
FHIR_BASE={{ fhir_base }}
SCOPE={{ scope }}
KEY_FILE={{ key_file }}
KID={{ kid }}{% if not is_kid_known %}  # the kid of your key, as in your key set{% endif %}
ALG={{ alg }}

{% include "developers/snippets/assertion.sh" %}
TOKEN=$(curl -sS --fail-with-body "$TOKEN_URL" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "scope=$SCOPE" \
  --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
  --data-urlencode "client_assertion=$assertion" | sed -E 's/.*"access_token": ?"([^"]+)".*/\1/')

curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" -H "Accept: application/fhir+json" "$FHIR_BASE/{{ read }}"
{% endautoescape %}
