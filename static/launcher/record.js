/*
 * What is read from the record, and how Observations become series to draw.
 */

import { inWords, milliseconds } from "./dates.js";
import { VITAL_SIGNS } from "./scopes.js";

const PAGE_SIZE = "100";
const MAX_PAGES = 10;
const ENTERED_IN_ERROR = ["entered-in-error", "cancelled"];

/** Read the Patient. */
export const readPatient = (client, id) => client.request(`Patient/${encodeURIComponent(id)}`);

/** Return the vital signs of a patient, and whether older ones were left out. */
export async function findVitalSigns(client, patient) {
  // The newest first: if the bound below is met, it is the oldest that are missing.
  const search = new URLSearchParams({ patient, category: VITAL_SIGNS, _sort: "-date", _count: PAGE_SIZE });
  const observations = [];
  let next = `Observation?${search}`;
  for (let page = 0; next && page < MAX_PAGES; page += 1) {
    const bundle = await client.request(next);
    for (const { resource } of bundle.entry ?? []) {
      if (resource?.resourceType === "Observation" && !ENTERED_IN_ERROR.includes(resource.status)) {
        observations.push(resource);
      }
    }
    next = bundle.link?.find(({ relation }) => relation === "next")?.url;
  }
  return { observations, isCut: Boolean(next) };
}

// Names for people; what has none here keeps the record's own.
const NAMES = {
  "29463-7": "Body weight",
  "8302-2": "Body height",
  "39156-5": "Body mass index",
  "85354-9": "Blood pressure",
  "8480-6": "Systolic",
  "8462-4": "Diastolic",
  "8867-4": "Heart rate",
  "9279-1": "Respiratory rate",
  "8310-5": "Body temperature",
  "59408-5": "Oxygen saturation",
  "2708-6": "Oxygen saturation",
  "9843-4": "Head circumference",
};
const FIRST = "Body weight";

/**
 * Sort Observations into series: one per code and unit, with one line per component.
 *
 * Returns [{ name, unit, lines: [{ name, points: [{ at, day, value }] }] }], weight first, points oldest first.
 */
export function seriesOf(observations) {
  const series = new Map();
  for (const observation of observations) {
    const time = observation.effectiveDateTime ?? observation.effectiveInstant ?? observation.effectivePeriod?.start;
    const at = milliseconds(time);
    if (Number.isNaN(at)) {
      continue;
    }
    for (const { name, quantity } of valuesOf(observation)) {
      const unit = quantity.unit ?? quantity.code ?? "";
      const key = `${codeOf(observation.code)} ${unit}`;
      const found = series.get(key) ?? { name: nameOf(observation.code), unit, lines: new Map() };
      series.set(key, found);
      const points = found.lines.get(name) ?? [];
      found.lines.set(name, points);
      points.push({ at, day: inWords(time), value: quantity.value });
    }
  }
  return [...series.values()]
    .map(({ lines, ...rest }) => ({ ...rest, lines: [...lines].map(([name, points]) => line(name, points)) }))
    .sort((one, other) => (other.name === FIRST) - (one.name === FIRST) || one.name.localeCompare(other.name));
}

const line = (name, points) => ({ name, points: points.sort((one, other) => one.at - other.at) });

function valuesOf(observation) {
  const own = { name: nameOf(observation.code), quantity: observation.valueQuantity };
  const parts = (observation.component ?? []).map(({ code, valueQuantity }) => ({
    name: nameOf(code),
    quantity: valueQuantity,
  }));
  return (own.quantity ? [own] : parts).filter(({ quantity }) => Number.isFinite(quantity?.value));
}

const codeOf = (concept) => concept?.coding?.[0]?.code ?? concept?.text ?? "";

function nameOf(concept) {
  const known = concept?.coding?.find(({ code }) => Object.hasOwn(NAMES, code));
  return NAMES[known?.code] ?? concept?.text ?? concept?.coding?.[0]?.display ?? "Measurement";
}

/** Return a Patient's name as it is read out. */
export function nameOfPatient(patient) {
  const names = patient.name ?? [];
  const name = names.find(({ use }) => use === "official") ?? names.find(({ use }) => use !== "old") ?? names[0] ?? {};
  const written = [...(name.prefix ?? []), ...(name.given ?? []), name.family, ...(name.suffix ?? [])];
  return name.text ?? (written.filter(Boolean).join(" ") || "Name unknown");
}

/** Return [label, value] of the identifier people know a Patient by, or null. */
export function identifierOfPatient(patient) {
  const all = (patient.identifier ?? []).filter(({ value }) => value);
  const medical = all.find(({ type }) => type?.coding?.some(({ code }) => code === "MR"));
  const chosen = medical ?? all.find(({ use }) => use === "usual") ?? all[0];
  return chosen ? [medical ? "Medical record no." : (chosen.type?.text ?? "Identifier"), chosen.value] : null;
}
