/*
 * Where an EHR opens the app, with iss and launch, and where people open it on their own, with iss alone.
 */

const at = (id) => document.getElementById(id);

async function main() {
  const answer = await fetch("config.json");
  const config = { redirectUri: "index.html", pkceMode: "required", ...(await answer.json()) };
  if (!config.target) {
    return authorize(config);
  }
  // A window of its own is opened for a person, who asked for it.
  at("connect").hidden = false;
  at("connect").addEventListener("click", () => authorize(config));
}

async function authorize(config) {
  try {
    await FHIR.oauth2.authorize(config);
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

main();
