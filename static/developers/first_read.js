// A first read without any tool: this page does what the partner's service will do, with the partner's own key.
// The key is read from a file into this page, cannot be taken out of it again, and is sent nowhere.

import { element, finding } from "./dom.js";

const WORK = {
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ES384: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  RS384: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" },
};
const MEMBERS = { EC: ["crv", "kty", "x", "y"], RSA: ["e", "kty", "n"] };

const form = document.getElementById("first-read");
const place = document.getElementById("first-read-answer");
const { clientId, tokenUrl, audience, readUrl, scope, alg, kid, receipts } = form.dataset;
const encode = (text) => new TextEncoder().encode(text);

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const isJwk = (text) => text.trim().startsWith("{");

// Of keys at a URL only the key itself says what it signs with; else the registration does.
function algorithmOf(text) {
  if (kid || !isJwk(text)) return alg;
  const jwk = JSON.parse(text);
  return jwk.alg ?? { "P-256": "ES256", "P-384": "ES384" }[jwk.crv] ?? "RS384";
}

// The private key of a PEM file (PKCS #8, as this portal and openssl's newer commands write it) or of a JWK.
async function readKey(text, work) {
  if (isJwk(text)) return crypto.subtle.importKey("jwk", withoutUse(JSON.parse(text)), work, false, ["sign"]);
  const inner = /-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----/.exec(text);
  if (!inner) throw new Error("the file is not a private key in PEM (PKCS #8) or a JWK");
  const bytes = Uint8Array.from(atob(inner[1].replace(/\s/g, "")), (one) => one.charCodeAt(0));
  return crypto.subtle.importKey("pkcs8", bytes, work, false, ["sign"]);
}

function withoutUse({ key_ops: operations, use, ext, alg: named, ...jwk }) {
  return jwk;
}

// Where the server knows no kid, the keys are at a URL: the thumbprint is what most tools call them by (RFC 7638).
async function nameOf(text) {
  if (kid) return kid;
  if (!isJwk(text)) throw new Error("choose the key as a JWK, which says its kid");
  const jwk = JSON.parse(text);
  if (jwk.kid) return jwk.kid;
  const canonical = JSON.stringify(Object.fromEntries(MEMBERS[jwk.kty].map((name) => [name, jwk[name]])));
  return base64url(await crypto.subtle.digest("SHA-256", encode(canonical)));
}

async function sign(text) {
  const named = algorithmOf(text);
  const work = WORK[named];
  if (!work) throw new Error(`this page does not sign with ${named}`);
  const [key, name] = await Promise.all([readKey(text, work), nameOf(text)]);
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + 300, jti: crypto.randomUUID() };
  const parts = [{ alg: named, kid: name, typ: "JWT" }, claims].map((one) => base64url(encode(JSON.stringify(one))));
  const signature = await crypto.subtle.sign(work, key, encode(parts.join(".")));
  return [...parts, base64url(signature)].join(".");
}

function refused(what, answer, told) {
  const trace = answer.headers.get("X-Trace-Id");
  const line = finding(`${what}: ${answer.status} ${told.error ?? told.resourceType ?? ""}`.trim(), "", "");
  if (trace) line.append(" ", element("a", { href: `${receipts}${trace}` }, "Read why, and what mends it"));
  place.replaceChildren(line);
}

async function ask(url, options) {
  const answer = await fetch(url, { ...options, credentials: "omit", cache: "no-store" });
  return [answer, await answer.json()];
}

async function run(text) {
  const assertion = await sign(text);
  const [granted, token] = await ask(tokenUrl, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      scope,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: assertion,
    }),
  });
  if (!granted.ok) return refused("No token", granted, token);
  const headers = { Authorization: `Bearer ${token.access_token}`, Accept: "application/fhir+json" };
  const [answer, resource] = await ask(readUrl, { headers });
  if (!answer.ok) return refused("A token, but nothing to read", answer, resource);
  const read = element("pre", { tabindex: "0", "aria-label": "What was read" }, element("code", {}, JSON.stringify(resource, null, 2)));
  const granting = `A token for ${token.expires_in} s, and an answer: ${resource.resourceType}${"total" in resource ? ` with ${resource.total} in all` : ""}.`;
  place.replaceChildren(element("p", { class: "done" }, granting), read);
}

if (crypto?.subtle && WORK[alg]) document.querySelector("[data-first-read]").hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = document.getElementById("key-file").files[0];
  if (!file) return;
  place.replaceChildren("Asking …");
  try {
    await run(await file.text());
  } catch (error) {
    const why = error instanceof DOMException || error instanceof SyntaxError ? "the key cannot be read, or is of another kind than the registered one" : error.message;
    place.replaceChildren(finding(why, "", "Choose the private part of the key that is registered."));
  }
});
