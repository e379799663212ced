/*
 * The app: says who it was opened by and about, and reads the record as apps do: page by page, with what it refers to.
 */

const SECRET = ["access_token", "refresh_token", "id_token"];

const at = (id) => document.getElementById(id);

async function main() {
  const client = await FHIR.oauth2.ready();
  at("read").addEventListener("click", () => attempt(() => read(client)));
  at("refresh").addEventListener("click", () => attempt(() => refresh(client)));
  await read(client);
}

async function read(client) {
  const seen = { told: told(client) };
  const patient = await client.patient.read();
  at("who").textContent = [...patient.name[0].given, patient.name[0].family].join(" ");
  seen.patient = patient.id;
  seen.encounter = client.encounter.id && (await client.encounter.read()).id;
  seen.user = await client.user.read().then((user) => `${user.resourceType}/${user.id}`);
  seen.observations = await observations(client);
  seen.visits = await visits(client);
  seen.style = Object.keys(await style(client));
  at("seen").textContent = JSON.stringify(seen);
  at("state").textContent = "Everything is read.";
}

/** What the token response said, without what nobody should see. */
function told(client) {
  const entries = Object.entries(client.state.tokenResponse).filter(([name]) => !SECRET.includes(name));
  return Object.fromEntries(entries);
}

/** All pages, limited to the patient by the library, which looks up in the server's metadata how to do that. */
async function observations(client) {
  const found = { pages: 0, ids: [] };
  const onPage = (bundle) => {
    found.pages += 1;
    found.ids.push(...(bundle.entry ?? []).map((entry) => entry.resource.id));
  };
  await client.patient.request("Observation?_count=30", { pageLimit: 0, onPage });
  return { pages: found.pages, count: new Set(found.ids).size };
}

/** All visits with the people and places they refer to. */
async function visits(client) {
  const { data, references } = await client.request(`Encounter?patient=${client.patient.id}&_count=8`, {
    pageLimit: 0,
    flat: true,
    graph: false,
    resolveReferences: ["participant.0.individual", "serviceProvider"],
  });
  return { count: data.length, references: Object.keys(references).sort() };
}

async function style(client) {
  const answer = await fetch(client.state.tokenResponse.smart_style_url);
  return answer.json();
}

async function refresh(client) {
  const before = client.state.tokenResponse.access_token;
  await client.refresh();
  if (client.state.tokenResponse.access_token === before) {
    throw new Error("the refreshed token is the old one");
  }
  await read(client);
}

async function attempt(action) {
  at("problem").hidden = true;
  at("state").textContent = "";
  try {
    await action();
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

attempt(main);
