/*
 * Dates as a record means them: the day where it was measured, not the day it was then where the reader is.
 */

const LONG = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", timeZone: "UTC" });
const CLOCK = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const DATE = /^\d{4}(-\d{2}(-\d{2})?)?/;

/** Write a FHIR date or dateTime, as precise as it is and no more. */
export function inWords(date) {
  const [text, month, day] = DATE.exec(date) ?? [];
  if (!text || !month) {
    return text ?? String(date);
  }
  return (day ? LONG : MONTH).format(Date.parse(text));
}

/** Return the milliseconds of a FHIR dateTime, or NaN. */
export const milliseconds = (date) => Date.parse(date);

/** Write an instant given in seconds since 1970, on the reader's clock. */
export const clock = (seconds) => CLOCK.format(seconds * 1000);

/** Return whole years between two FHIR dates, or null unless both name a day. */
export function yearsBetween(from, to) {
  const start = DATE.exec(from)?.[0] ?? "";
  const end = DATE.exec(to)?.[0] ?? "";
  if (start.length < 10 || end.length < 10) {
    return null;
  }
  const isBeforeBirthday = end.slice(5) < start.slice(5);
  return Number(end.slice(0, 4)) - Number(start.slice(0, 4)) - (isBeforeBirthday ? 1 : 0);
}

/** Return today where the reader is, as a FHIR date. */
export function today() {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}
