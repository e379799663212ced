/*
 * Launch, session and refresh, by way of fhirclient (the global FHIR).
 */

import { Problem } from "./problems.js";

const SESSION = "SMART_KEY"; // Where fhirclient keeps the name of the current session in sessionStorage.

/** Return the address of the authorization server's page for this request. `launch` is what an EHR handed over. */
export async function authorizationAddress(settings, { scope, launch }) {
  if (!window.isSecureContext) {
    const advice = "Browsers allow it on https and on this machine's own address only.";
    throw new Problem("This page cannot connect from an unprotected address", advice);
  }
  const address = await FHIR.oauth2.authorize({
    iss: settings.iss,
    clientId: settings.clientId,
    redirectUri: settings.redirectUri,
    scope,
    launch,
    pkceMode: "required", // Without it fhirclient goes on without PKCE when discovery does not mention S256.
    completeInTarget: true, // This window shows the result, also when another window opened it.
    noRedirect: true, // The caller decides what the back button does.
  });
  if (address.startsWith(settings.redirectUri)) {
    // What fhirclient does with a server that names no authorization endpoint.
    throw new Problem("The hospital's server offers no sign-in for apps", "Ask whoever runs it.");
  }
  return address;
}

/** Return fhirclient's client after a callback or a reload, or null when there is nothing to go on with. */
export async function resume(query) {
  if (!query.has("code") && !session()?.tokenResponse?.access_token) {
    return null;
  }
  const client = await FHIR.oauth2.ready();
  return client.getState("tokenResponse.access_token") ? client : null;
}

/** Return true when `state` is one that this tab sent and that was not used yet. */
export const isOurState = (state) => Boolean(state) && state === stored(SESSION) && stored(state) !== null;

/** Forget the session of this tab. */
export function forget() {
  const key = stored(SESSION);
  if (key) {
    sessionStorage.removeItem(key);
  }
  sessionStorage.removeItem(SESSION);
}

const session = () => stored(stored(SESSION));

function stored(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}
