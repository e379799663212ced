{% autoescape off %}// Node 18 or later; nothing to install. Save it as first-read.mjs beside {{ key_name }}.
import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const CLIENT_ID = {{ client_id }};
const TOKEN_URL = {{ token_url }};
const FHIR_BASE = {{ fhir_base }};
const SCOPE = {{ scope }};
const KEY_FILE = {{ key_file }}; // stays with you; never send it anywhere
const HEADER = { alg: {{ alg }}, kid: {{ kid }}, typ: "JWT" };{% if not is_kid_known %} // the kid of your key, as in your key set{% endif %}

{% include "developers/snippets/assertion.mjs" %}
const granted = await fetch(TOKEN_URL, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "client_credentials",
    scope: SCOPE,
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: assertion(),
  }),
});
const token = await granted.json();
if (!granted.ok) throw new Error(JSON.stringify(token));

const answer = await fetch(`${FHIR_BASE}/{{ read }}`, {
  headers: { Authorization: `Bearer ${token.access_token}`, Accept: "application/fhir+json" },
});
console.log(await answer.text());
if (!answer.ok) process.exitCode = 1;
{% endautoescape %}
