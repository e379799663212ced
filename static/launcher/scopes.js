/*
 * What to ask for, and what was granted, in words. Source: SMART 2.2 scopes-and-launch-context.
 */

const CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category";
export const VITAL_SIGNS = `${CATEGORY}|vital-signs`;
const SIGN_IN = "openid fhirUser";

export const SCOPE_SETS = [
  {
    id: "vital-signs",
    label: "Vital signs only",
    help: "Name and birth date, and measurements such as weight and blood pressure. Nothing else.",
    scope: `patient/Patient.r patient/Observation.rs?category=${VITAL_SIGNS}`,
  },
  {
    id: "record",
    label: "Whole record",
    help: "Everything the hospital keeps about one person. This app still shows vital signs only.",
    scope: "patient/*.rs",
  },
  {
    id: "clinician",
    label: "As a clinician (user/ scopes)",
    help: "What the person who signs in may see, for a patient chosen on the way.",
    scope: "user/Patient.rs user/Observation.rs",
  },
  {
    id: "name",
    label: "Name and birth date only",
    help: "No measurements: to see how the app copes with less.",
    scope: "patient/Patient.r",
  },
];

/** Return the scope parameter of an authorization request. */
export function scopeFor(setId, { stay = false, isFromEhr = false } = {}) {
  const set = SCOPE_SETS.find(({ id }) => id === setId) ?? SCOPE_SETS[0];
  const context = isFromEhr ? "launch" : "launch/patient";
  return [SIGN_IN, context, ...(stay ? ["offline_access"] : []), set.scope].join(" ");
}

export const split = (scope) => (scope ?? "").split(" ").filter(Boolean);

/** Return true when the granted scopes let the app read the patient's own entry. */
export const permitsPatient = (granted) => resourceScopes(granted).some((scope) => permits(scope, "r", "Patient"));

/** Return true when the granted scopes let the app search vital signs, or some of them. */
export function permitsVitalSigns(granted) {
  return resourceScopes(granted).some(
    (scope) =>
      permits(scope, "s", "Observation") &&
      scope.filters.getAll("category").every((value) => value.split(/[,|]/).includes("vital-signs")),
  );
}

const NAMED = {
  openid: "Know who signed in",
  fhirUser: "Know who that is in the hospital's records",
  profile: "Know who that is in the hospital's records",
  launch: "Know whose record is open",
  "launch/patient": "Know whose record is open",
  "launch/encounter": "Know which visit is open",
  offline_access: "Stay connected after you leave",
  online_access: "Stay connected while you are signed in",
};
const TYPES = {
  "*": "everything in the record",
  Patient: "name and personal details",
  Observation: "all measurements",
};
const CATEGORIES = {
  "vital-signs": "vital signs",
  laboratory: "laboratory results",
  "social-history": "social history",
};
const VERBS = [["r", "read"], ["s", "search"], ["c", "add"], ["u", "change"], ["d", "delete"]];
const V1_LETTERS = { read: "rs", write: "cud", "*": "cruds" };

/** Say what one scope permits. */
export function inWords(text) {
  const [scope] = resourceScopes([text]);
  if (!scope) {
    return NAMED[text] ?? "Something this app has no words for";
  }
  const verbs = VERBS.filter(([letter]) => scope.letters.includes(letter)).map(([, verb]) => verb);
  const sentence = `${listed(verbs)} ${subject(scope)}`;
  const whose = scope.level === "user" ? ", of every patient the signed-in person may see" : "";
  return sentence[0].toUpperCase() + sentence.slice(1) + whose;
}

function subject({ type, filters }) {
  const code = filters.get("category")?.split("|").at(-1);
  const isOnlyCategory = [...filters.keys()].length === 1;
  if (type === "Observation" && isOnlyCategory && code in CATEGORIES) {
    return CATEGORIES[code];
  }
  const name = TYPES[type] ?? `${type.replace(/\B[A-Z]/g, " $&").toLowerCase()} entries`;
  return [...filters.keys()].length ? `some of ${name}` : name;
}

const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

function resourceScopes(granted) {
  return granted
    .map((text) => /^(patient|user|system)\/(\*|[A-Za-z]+)\.([a-z]+|\*)(?:\?(.*))?$/.exec(text))
    .filter(Boolean)
    .map(([, level, type, suffix, query]) => ({
      level,
      type,
      letters: V1_LETTERS[suffix] ?? suffix,
      filters: new URLSearchParams(query),
    }));
}

const permits = ({ type, letters }, letter, wanted) => letters.includes(letter) && [wanted, "*"].includes(type);
