/*
 * Finds people and visits without loading the page anew. The same buttons work without this, as parts of the form.
 */

const form = document.querySelector("form.launcher");
const FIELDS = ["user", "patient", "encounter", "fhir_context"]; // in which something can be picked
const LOOK = "find-"; // Asks for the form as it is, with who and what is chosen.

form.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.name === "pick") {
    event.preventDefault();
    pick(button);
  } else if (button?.name === "do" && button.value.startsWith(LOOK)) {
    event.preventDefault();
    find(button);
  }
});

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.type === "search") {
    event.preventDefault(); // Or it would launch.
    find(event.target.parentElement.querySelector("button"));
  }
});

form.addEventListener("change", ({ target }) => {
  if (["user", "patient", "encounter", "kind"].includes(target.name)) {
    look(LOOK);
  }
});

async function find(button) {
  await look(button.value);
  const found = document.getElementById(`${button.value.slice(LOOK.length)}-found`);
  found.querySelector("[name=pick]")?.focus();
}

async function pick({ value }) {
  const page = await look(LOOK, value);
  for (const name of page ? FIELDS : []) {
    form.elements[name].value = page.getElementById(name).value;
  }
  const [name] = value.split(" ");
  form.elements[name === "context" ? "fhir_context" : name].focus();
}

/** Send the form as it is, take what was found from the page that answers, and return that; what is typed stays. */
async function look(wish, picked) {
  const sent = new FormData(form);
  sent.set("do", wish);
  if (picked) {
    sent.set("pick", picked);
  }
  let page;
  try {
    const answer = await fetch(form.action, { method: "POST", body: sent });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
  for (const part of form.querySelectorAll(".swap")) {
    const fresh = page.getElementById(part.id);
    if (fresh) {
      part.replaceChildren(...fresh.childNodes);
    }
  }
  return page;
}
