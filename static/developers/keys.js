// Makes a key pair in this browser. The public part goes into the form; the private part is offered as a file and
// leaves this page in no other way.

import { finding } from "./dom.js";
import { showReport } from "./key_report.js";
import { isPrivate } from "./private_keys.js";

const KINDS = {
  ES384: { name: "ECDSA", namedCurve: "P-384", members: ["crv", "kty", "x", "y"] },
  RS384: {
    name: "RSASSA-PKCS1-v1_5", modulusLength: 3072, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-384",
    members: ["e", "kty", "n"],
  },
};

const form = document.getElementById("step");
const field = (id) => document.getElementById(id);
let mustSave = false;

// A key that is registered already goes on signing while the new one takes its place.
const registered = "keeps" in field("generate").dataset ? keysIn(field("in-jwks").value) : [];

function keysIn(text) {
  try {
    return JSON.parse(text).keys ?? [];
  } catch {
    return []; // What somebody typed over it is theirs to mend.
  }
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// RFC 7638: the hash of the members that make the key, in the order of the alphabet, without blanks.
async function thumbprint(jwk, members) {
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonical)));
}

function pem(bytes) {
  const lines = btoa(String.fromCharCode(...new Uint8Array(bytes))).match(/.{1,64}/g).join("\n");
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

function offer(link, text, type) {
  if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type }));
}

async function makePair() {
  const alg = field("alg").value;
  const { members, ...algorithm } = KINDS[alg];
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const whole = await crypto.subtle.exportKey("jwk", pair.privateKey);
  const kid = await thumbprint(whole, members);
  const publicJwk = { ...Object.fromEntries(members.map((name) => [name, whole[name]])), kid, alg, use: "sig" };
  const { key_ops: operations, ext, ...bare } = whole;
  offer(field("save-pem"), pem(await crypto.subtle.exportKey("pkcs8", pair.privateKey)), "application/x-pem-file");
  offer(field("save-jwk"), JSON.stringify({ ...bare, kid, alg, use: "sig" }, null, 2), "application/json");
  field("in-jwks").value = JSON.stringify({ keys: [...registered, publicJwk] }, null, 2);
  field("made-kid").textContent = kid;
  field("made").hidden = false;
  field("unsaved").hidden = true;
  field("make-pair").textContent = "Make another pair";
  mustSave = true;
  form.dispatchEvent(new Event("keys-made"));
}

if (globalThis.crypto?.subtle) {
  field("generate-form").hidden = false;
  field("make-pair").addEventListener("click", makePair);
} else {
  field("generate").append(finding("this browser makes no keys on a page without https", "", "Paste a public key instead."));
}

for (const link of [field("save-pem"), field("save-jwk")]) {
  link.addEventListener("click", () => {
    mustSave = false;
    field("unsaved").hidden = true;
  });
}

form.addEventListener("submit", (event) => {
  if (mustSave && form.elements.keys_from.value === "generate") {
    event.preventDefault();
    field("unsaved").hidden = false;
    field("save-pem").focus();
  }
});

field("test-keys").addEventListener("click", async (event) => {
  event.preventDefault();
  const place = field("key-report");
  const asked = new FormData(form);
  if (isPrivate(asked.get("jwks"))) return;
  place.replaceChildren("Looking …");
  try {
    const answer = await fetch(event.target.dataset.url, { method: "POST", body: asked, headers: { Accept: "application/json" } });
    showReport(place, await answer.json());
  } catch {
    place.replaceChildren(finding("the server cannot be reached", "", "Try again."));
  }
});
