{% autoescape off %}// Node 18 or later; nothing to install. Save it as first-read.mjs{% if has_key %} beside {{ key_name }}{% endif %}.
import { createHash, {% if has_key %}createPrivateKey, randomUUID, sign, {% endif %}randomBytes } from "node:crypto";
{% if has_key %}import { readFileSync } from "node:fs";
{% endif %}import { createInterface } from "node:readline/promises";

const CLIENT_ID = {{ client_id }};
const AUTHORIZE_URL = {{ authorize_url }};
const TOKEN_URL = {{ token_url }};
const FHIR_BASE = {{ fhir_base }};
const REDIRECT_URI = {{ redirect_uri }};
const SCOPE = {{ scope }};
{% if has_key %}const KEY_FILE = {{ key_file }}; // stays with you; never send it anywhere
const HEADER = { alg: {{ alg }}, kid: {{ kid }}, typ: "JWT" };{% if not is_kid_known %} // the kid of your key, as in your key set{% endif %}

{% include "developers/snippets/assertion.mjs" %}{% endif %}
const verifier = randomBytes(32).toString("base64url");
const state = randomBytes(16).toString("base64url");
const url = `${AUTHORIZE_URL}?${new URLSearchParams({
  response_type: "code",
  client_id: CLIENT_ID,
  redirect_uri: REDIRECT_URI,
  scope: SCOPE,
  state,
  aud: FHIR_BASE,
  code_challenge: createHash("sha256").update(verifier).digest("base64url"),
  code_challenge_method: "S256",
})}`;
console.log(`Open this in a browser, and sign in:\n${url}`);
const terminal = createInterface({ input: process.stdin, output: process.stdout });
const callback = new URL(await terminal.question("Paste the address you come back to:\n"));
terminal.close();
if (callback.searchParams.get("state") !== state) throw new Error(`not the answer to this request: ${callback}`);

const granted = await fetch(TOKEN_URL, {
  method: "POST",
{% if method == "client_secret_basic" %}  headers: { Authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${process.env.CLIENT_SECRET}`).toString("base64")}` },
{% endif %}  body: new URLSearchParams({
    grant_type: "authorization_code",
    code: callback.searchParams.get("code") ?? "",
    redirect_uri: REDIRECT_URI,
    code_verifier: verifier,
{% if has_key %}    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: assertion(),
{% elif method == "client_secret_post" %}    client_id: CLIENT_ID,
    client_secret: process.env.CLIENT_SECRET ?? "",
{% elif method == "none" %}    client_id: CLIENT_ID,
{% endif %}  }),
});
const token = await granted.json();
if (!granted.ok) throw new Error(JSON.stringify(token));

const what = token.patient ? `Patient/${token.patient}` : {{ read_quoted }};
const answer = await fetch(`${FHIR_BASE}/${what}`, {
  headers: { Authorization: `Bearer ${token.access_token}`, Accept: "application/fhir+json" },
});
console.log(await answer.text());
if (!answer.ok) process.exitCode = 1;
{% endautoescape %}
