// Keeps the draft while it is filled in: on leaving a field the server is asked what it makes of the step so far, and
// what concerns fields that were visited is shown at them. Without this script the same is shown after "Next".

import { finding } from "./dom.js";
import { isPrivate } from "./private_keys.js";

const form = document.getElementById("step");
const saved = document.getElementById("saved");
const visited = new Set();
let running = Promise.resolve();
let waits = false;

function show(findings) {
  for (const place of document.querySelectorAll("[data-problems]")) {
    const member = place.dataset.problems;
    const own = findings.filter((one) => one.member === member);
    if (own.length && !visited.has(member) && !place.childElementCount) continue;
    const lines = own.map((one) => finding(one.message, one.seen, one.fix));
    // Only what changed is written, so that a screen reader does not read the same again.
    if (place.textContent.trim() === lines.map((line) => line.textContent).join("").trim()) continue;
    place.replaceChildren(...lines);
    const field = document.getElementById(`in-${member}`);
    if (own.length) field?.setAttribute("aria-invalid", "true");
    else field?.removeAttribute("aria-invalid");
  }
}

// One after the other: each says how the fields were after the one before.
function check() {
  if (waits) return;
  waits = true;
  running = running.then(() => {
    waits = false;
    return send();
  });
}

async function send() {
  const answers = new FormData(form);
  const pasted = answers.get("jwks");
  if (pasted && isPrivate(pasted)) {
    const fix = "Paste the public part only. If it was sent anywhere, never use this key again.";
    document.getElementById("problems-jwks").replaceChildren(finding("this is the private part of a key; it stays here", "", fix));
    return;
  }
  try {
    const headers = { Accept: "application/json" };
    const answer = await fetch(form.dataset.check, { method: "POST", headers, body: answers });
    if (!answer.headers.get("Content-Type")?.startsWith("application/json")) {
      // Somebody signed in or out in another tab, and this form is of before.
      saved.textContent = "Not saved: this page is out of date. Copy what you typed last, and load it again.";
      return;
    }
    const told = await answer.json();
    if (answer.ok) {
      form.elements.state.value = told.state;
      show(told.findings);
    }
    saved.textContent = answer.ok ? "Draft saved" : `Not saved: ${told.reason}. ${told.fix}`;
  } catch {
    saved.textContent = "Not saved: the server cannot be reached";
  }
}

form.addEventListener("change", (event) => {
  if (!event.target.name) return;
  visited.add(memberOf(event.target.name));
  check();
});
form.addEventListener("focusout", (event) => {
  const { name, value } = event.target;
  // A field that was passed over is told about too, once somebody has typed anything.
  if (name && value === "" && event.target.matches("input, textarea") && visited.size && !visited.has(name)) {
    visited.add(name);
    check();
  }
});
form.addEventListener("keys-made", () => {
  visited.add("jwks").add("jwks_uri");
  check();
});

function memberOf(name) {
  if (name === "keys_from") {
    // Another way to give keys makes what was said about the last one pointless.
    document.getElementById("problems-jwks").replaceChildren();
    document.getElementById("problems-jwks_uri").replaceChildren();
  }
  return { data: "scope", named: "scope", more_scopes: "scope", level: "scope" }[name] ?? name;
}

// On a slow connection somebody types before this script is here.
for (const field of form.querySelectorAll("input:not([type=hidden], [type=radio], [type=checkbox]), textarea")) {
  if (field.name && field.value !== field.defaultValue) {
    visited.add(memberOf(field.name));
  }
}
if (visited.size) {
  check();
}

form.addEventListener("submit", (event) => {
  if (isPrivate(form.elements.jwks?.value ?? "")) {
    event.preventDefault();
    check();
    form.elements.jwks.focus();
  }
});
