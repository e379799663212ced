// Whether a text holds the private part of a key. It is looked for here first, so that it is not even sent.
// The server looks again, in every field.

const FORMS = [
  /-{2,}\s*BEGIN [A-Z0-9 ]*PRIVATE KEY/i,
  /["'](?:d|p|q|dp|dq|qi|oth|k)["']\s*:/,
  /(?<![\w-])(?:d|p|q|dp|dq|qi|k)["'\\]*\s*:\s*["'\\]*[\w-]{32}/,
];
const BASE64 = /(?<![A-Za-z0-9+/])M[A-Za-z0-9+/]{15}(?:[A-Za-z0-9+/]|\s){32}/g;
// DER of PKCS#8, PKCS#1 or SEC1: a version 0 or 1 and then an algorithm, a modulus or the number of an EC key.
const DER = /^\x30(?:[\x00-\x7f]|\x81[^]|\x82[^]{2})\x02\x01[\x00\x01][\x30\x02\x04]/;

export function isPrivate(text) {
  if (FORMS.some((form) => form.test(text))) return true;
  return [...text.matchAll(BASE64)].some(([found]) => DER.test(atob(found.slice(0, 16))));
}
