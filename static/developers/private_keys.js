// Whether a text holds the private part of a key. It is looked for here first, so that it is not even sent.

const PRIVATE = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|["'](?:d|p|q|dp|dq|qi|oth|k)["']\s*:/;

export function isPrivate(text) {
  return PRIVATE.test(text);
}
