/*
 * The sample app: which view to show, and when. Source: SMART 2.2 app-launch.
 */

import { access, received } from "./access.js";
import { describe, draw, latest, legend, table } from "./chart.js";
import { authorizationAddress, forget, isOurState, resume } from "./connection.js";
import { clock, inWords, today, yearsBetween } from "./dates.js";
import { element, facts, find } from "./dom.js";
import { Problem, fromCallback, fromFailure } from "./problems.js";
import { findVitalSigns, identifierOfPatient, nameOfPatient, readPatient, seriesOf } from "./record.js";
import { SCOPE_SETS, permitsPatient, permitsVitalSigns, scopeFor, split } from "./scopes.js";

const VIEWS = ["connect", "problem", "record"];
const CHOICE = "growth-chart.choice"; // What was chosen last, so that "Try again" asks for the same.
const AGAIN = "growth-chart.again"; // Set while the page reloads to connect at once.
const settings = find("app").dataset;

async function start() {
  if (location.origin !== new URL(settings.baseUrl).origin) {
    // localhost and 127.0.0.1 are two origins: the redirect leads to the other one, where this one's session is not.
    location.replace(settings.baseUrl + location.pathname + location.search);
    return;
  }
  prepareForm();
  if (!window.FHIR) {
    throw new Problem("A part of this app did not load", "Please load the page again.");
  }
  const address = location.href;
  const query = takeQuery();
  if ("launchUrl" in settings) {
    query.has("launch") ? attempt(() => launchFromEhr(query), () => location.assign(address)) : showConnect();
  } else if (query.has("error")) {
    showProblem(fromCallback(query, isOurState(query.get("state"))), again);
  } else if (sessionStorage.getItem(AGAIN) && !query.has("code")) {
    await connect(lastChoice());
  } else {
    say("Opening the record…");
    const client = await resume(query);
    client ? attempt(() => showRecord(client)) : showConnect();
  }
}

/** Carry out `action`; if it fails, say so, and let "Try again" do `retry`. */
function attempt(action, retry = () => attempt(action)) {
  action().catch((error) => showProblem(fromFailure(error), retry));
}

/** Return the query and leave in the address what fhirclient needs; it would also obey parameters nobody here sent. */
function takeQuery() {
  const query = new URLSearchParams(location.search);
  const isAnswer = !("launchUrl" in settings) && query.has("code") && query.has("state");
  const kept = isAnswer ? `?${new URLSearchParams({ code: query.get("code"), state: query.get("state") })}` : "";
  history.replaceState(null, "", location.pathname + kept);
  return query;
}

// Connecting

async function launchFromEhr(query) {
  const iss = query.get("iss")?.replace(/\/$/, "");
  if (iss !== settings.iss) {
    // An app that follows any `iss` sends its user, and later the code, wherever a link says.
    throw new Problem("This app does not know that hospital", "Start it from a system it is registered with.");
  }
  say("Connecting to the hospital…");
  const scope = scopeFor(SCOPE_SETS[0].id, { isFromEhr: true });
  const address = await authorizationAddress(settings, { scope, launch: query.get("launch") });
  // The launch is used up: the back button must not lead to it.
  location.replace(address);
}

async function connect({ set, stay }) {
  sessionStorage.removeItem(AGAIN);
  say("Taking you to the sign-in page…");
  find("connect-button").disabled = true;
  location.assign(await authorizationAddress(settings, { scope: scopeFor(set, { stay }) }));
}

/** Ask once more for what was asked for last, on a fresh page: fhirclient remembers discovery, also one that failed. */
function again() {
  forget();
  sessionStorage.setItem(AGAIN, "yes");
  location.assign(settings.redirectUri);
}

function startOver() {
  forget();
  showConnect();
  find("connect-title").focus();
}

function showConnect() {
  find("connect-button").disabled = false;
  const { set, stay } = lastChoice();
  find("scope-set").value = set;
  find("stay").checked = stay;
  previewScope();
  show("connect");
}

function prepareForm() {
  find("scope-set").append(...SCOPE_SETS.map(({ id, label }) => element("option", { value: id }, label)));
  find("connect").addEventListener("change", previewScope);
  find("connect").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(CHOICE, JSON.stringify(formChoice()));
    attempt(() => connect(formChoice()), again);
  });
  find("problem-restart").addEventListener("click", startOver);
  find("restart").addEventListener("click", startOver);
  // A browser may bring the page back as it was left, with the button still waiting.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function previewScope() {
  const { set, stay } = formChoice();
  find("scope-set-help").textContent = SCOPE_SETS.find(({ id }) => id === set).help;
  find("scope-preview").textContent = scopeFor(set, { stay });
}

const formChoice = () => ({ set: find("scope-set").value, stay: find("stay").checked });

function lastChoice() {
  const { set, stay } = JSON.parse(sessionStorage.getItem(CHOICE) ?? "{}");
  const isKnown = SCOPE_SETS.some(({ id }) => id === set);
  return { set: isKnown ? set : SCOPE_SETS[0].id, stay: stay === true };
}

// The record

async function showRecord(client) {
  say("Opening the record…");
  // A request that meets 401 makes fhirclient empty the token response, so what it said is kept.
  const { tokenResponse } = client.state;
  const granted = split(tokenResponse.scope);
  const patient = tokenResponse.patient;
  showAccess(client);
  const results = await Promise.allSettled([
    loadPatient(client, patient, granted, tokenResponse.need_patient_banner !== false),
    loadVitalSigns(client, patient, granted),
  ]);
  const failures = results.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
  if (failures.length) {
    const hasEnded = failures.find(({ status }) => status === 401);
    showProblem(fromFailure(hasEnded ?? failures[0]), hasEnded ? again : () => attempt(() => showRecord(client)));
    return;
  }
  showAccess(client); // The requests may have refreshed the token.
  show("record");
}

async function loadPatient(client, id, granted, needsBanner) {
  if (!id) {
    return fillPatient("No patient", note("No patient came with the launch, so there is no record to show."));
  }
  if (!permitsPatient(granted)) {
    return fillPatient("Name not shared", note("Name and birth date were not shared with this app."));
  }
  const patient = await orRefusal(readPatient(client, id));
  if (patient instanceof Problem) {
    return fillPatient("Name not available", refusal(patient));
  }
  const name = nameOfPatient(patient);
  if (!needsBanner) {
    // The EHR around the app shows who it is (SMART 2.2, `need_patient_banner`); a second banner would only be noise.
    const born = patient.birthDate ? `, born ${inWords(patient.birthDate)}` : "";
    return fillPatient(`${name}${born}`, note("Your hospital's system shows the rest."));
  }
  const death = patient.deceasedDateTime;
  const isDead = Boolean(death || patient.deceasedBoolean);
  const age = isDead ? null : yearsBetween(patient.birthDate, today());
  const pairs = [
    ["Born", patient.birthDate ? inWords(patient.birthDate) + (age === null ? "" : ` (age ${age})`) : "Unknown"],
    ...(isDead ? [["Died", death ? inWords(death) : "Date unknown"]] : []),
    ["Sex", patient.gender ? patient.gender[0].toUpperCase() + patient.gender.slice(1) : "Unknown"],
    identifierOfPatient(patient),
  ];
  return fillPatient(name, facts(pairs.filter(Boolean), { class: "facts" }));
}

function fillPatient(title, content) {
  find("patient-name").textContent = title;
  find("patient").replaceChildren(content);
}

async function loadVitalSigns(client, patient, granted) {
  find("series-choice").hidden = true;
  if (!permitsVitalSigns(granted)) {
    const advice = "To see one, start over and share them.";
    return fillVitals(note(`Vital signs were not shared with this app, so there is no chart. ${advice}`));
  }
  if (!patient) {
    return fillVitals(note("Without a patient there is nothing to draw."));
  }
  const found = await orRefusal(findVitalSigns(client, patient));
  if (found instanceof Problem) {
    return fillVitals(refusal(found));
  }
  const all = seriesOf(found.observations);
  if (!all.length) {
    return fillVitals(note("There are no vital signs in this record."));
  }
  const select = find("series");
  select.replaceChildren(...all.map((series, index) => element("option", { value: index }, series.name)));
  select.onchange = () => showSeries(all[select.value], found.isCut);
  find("series-choice").hidden = false;
  showSeries(all[0], found.isCut);
}

function showSeries(series, isCut) {
  const { text, day } = latest(series);
  const key = legend(series);
  const caption = element("figcaption", {}, describe(series));
  const drawing = element("div", { class: "drawing" });
  fillVitals(
    element(
      "p",
      { class: "latest" },
      element("strong", {}, text),
      ` ${series.unit}`,
      element("span", {}, `latest, ${day}`),
    ),
    element("figure", {}, ...(key ? [key] : []), drawing, caption),
    element(
      "details",
      {},
      element("summary", {}, "All numbers as a table"),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All numbers" }, table(series)),
    ),
    ...(isCut ? [note("There are older measurements; the app shows the newest only.")] : []),
  );
  // Drawn at its real width, so that letters keep their size on a narrow screen.
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (width > 0 && width !== drawn) {
      drawn = width;
      drawing.replaceChildren(draw(series, width));
    }
  }).observe(drawing);
}

function fillVitals(...content) {
  find("vitals").replaceChildren(...content);
}

/** Return what was promised, or the Problem when the server says no to this one thing: the rest can still be shown. */
async function orRefusal(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 403 || error.status === 404) {
      return fromFailure(error);
    }
    throw error;
  }
}

const note = (text) => element("p", { class: "note" }, text);

function refusal({ title, advice, details }) {
  return element("div", { class: "note" }, element("p", {}, `${title}. ${advice}`), facts(details, { class: "facts" }));
}

function showAccess(client) {
  find("access").replaceChildren(...access(client.state));
  find("received").replaceChildren(...received(client.state));
  const button = find("refresh");
  button.hidden = !client.state.tokenResponse.refresh_token;
  button.onclick = () => refresh(client, button);
}

async function refresh(client, button) {
  button.disabled = true;
  find("refreshed").textContent = "Asking for a new token…";
  try {
    await client.refresh();
    find("refreshed").textContent = `There is a new token. Access ends ${clock(client.state.expiresAt)}.`;
  } catch (error) {
    const { title, details } = fromFailure(error);
    const reasons = details.map(([term, value]) => `${term}: ${value}`).join(". ");
    find("refreshed").textContent = `No new token. ${title}. ${reasons}`;
  } finally {
    button.disabled = false;
    showAccess(client);
  }
}

// Views

function showProblem({ title, advice, details }, retry) {
  find("problem-title").textContent = title;
  find("problem-advice").textContent = advice;
  find("problem-details").replaceWith(facts(details, { id: "problem-details", class: "facts" }));
  find("problem-retry").onclick = retry;
  show("problem");
  find("problem-title").focus();
}

function show(view) {
  say("");
  for (const name of VIEWS) {
    find(name).hidden = name !== view;
  }
}

/** Say what is going on, also to a screen reader. */
function say(text) {
  find("status").textContent = text;
}

// Last, because a module's constants exist only once their line has run.
attempt(start, again);
