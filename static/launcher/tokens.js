/*
 * What is inside a token. An app may read its ID token; the access token is meant for the server, and is opened here
 * only because this is a sample: a real app must not depend on what it finds there.
 *
 * No signature is checked: the ID token came straight from the token endpoint (OIDC Core §3.1.3.7), and nothing is
 * decided here by what it says.
 */

/** Return the claims of a JWT, or null when the text is not one. */
export function claimsOf(token) {
  const [, payload] = token?.split(".") ?? [];
  if (!payload) {
    return null;
  }
  // fhirclient has a reader too, but it takes neither the base64url letters - and _ nor names beyond ASCII.
  try {
    const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}
