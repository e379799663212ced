/*
 * What was granted and what was received, for the person and for the developer.
 */

import { clock } from "./dates.js";
import { element, facts } from "./dom.js";
import { inWords, split } from "./scopes.js";
import { claimsOf } from "./tokens.js";

const SECRETS = ["access_token", "refresh_token", "id_token"];
const INSTANTS = ["exp", "iat", "nbf", "auth_time", "updated_at"];

/** Return the elements that say what the app may do, and until when. */
export function access(state) {
  const { tokenResponse, scope: requested, expiresAt } = state;
  const granted = split(tokenResponse.scope);
  // A server that grants less may also write it differently; the lists show both wordings and leave nothing out.
  const missing = split(requested).filter((scope) => !granted.includes(scope));
  const claims = claimsOf(tokenResponse.id_token);
  const reference = claims?.fhirUser?.split("/").slice(-2).join("/"); // It is a URL; its end says who.
  const who = claims ? [["Signed in as", claims.name ?? reference ?? claims.sub ?? "unknown"]] : [];
  const hasEnded = expiresAt * 1000 < Date.now();
  return [
    scopeList(granted, "granted"),
    ...(missing.length
      ? [element("h3", {}, "Asked for, but not granted like this"), scopeList(missing, "missing")]
      : []),
    facts([...who, [hasEnded ? "Access ended" : "Access ends", clock(expiresAt)]], { class: "facts" }),
  ];
}

function scopeList(scopes, kind) {
  const items = scopes.map((scope) => element("li", {}, inWords(scope), " ", element("code", {}, scope)));
  return items.length ? element("ul", { class: `scopes ${kind}` }, ...items) : element("p", {}, "Nothing.");
}

/** Return the parts of the token response, each folded away. */
export function received({ tokenResponse }) {
  const { access_token, id_token } = tokenResponse;
  return [
    folded("Token response", responseFacts(tokenResponse)),
    id_token
      ? folded("ID token", claimFacts(claimsOf(id_token), "This is not a JWT the app can read."))
      : folded("ID token", element("p", {}, "There is none: openid was not granted.")),
    folded("Access token", claimFacts(claimsOf(access_token), "It is opaque: only the server knows what it means.")),
  ];
}

function responseFacts(tokenResponse) {
  return facts(
    Object.entries(tokenResponse).map(([name, value]) => [
      element("code", {}, name),
      SECRETS.includes(name) ? element("em", {}, "received, not shown") : written(value),
    ]),
    { class: "claims" },
  );
}

function claimFacts(claims, otherwise) {
  if (claims === null) {
    return element("p", {}, otherwise);
  }
  const pairs = Object.entries(claims).map(([name, value]) => [
    element("code", {}, name),
    INSTANTS.includes(name) && Number.isFinite(value) ? `${value} (${clock(value)})` : written(value),
  ]);
  return facts(pairs, { class: "claims" });
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

const folded = (title, content) => element("details", {}, element("summary", {}, title), content);
