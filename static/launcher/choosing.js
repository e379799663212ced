/*
 * Finds people and visits without loading the page anew. The same buttons work without this, as parts of the form.
 */

const form = document.querySelector("form.launcher");
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
  const [name, ...rest] = value.split(" ");
  const { [name]: field, encounter } = form.elements;
  if (name === "patient" && field.value !== rest.join(" ") && encounter.value !== "latest") {
    encounter.value = ""; // It was a visit of somebody else.
  }
  field.value = rest.join(" ");
  field.focus();
  await look(LOOK);
}

/** Send the form as it is and take from the page that answers what was found; what is typed meanwhile stays. */
async function look(wish) {
  const sent = new FormData(form);
  sent.set("do", wish);
  let page;
  try {
    const answer = await fetch(form.action, { method: "POST", body: sent });
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return;
  }
  for (const part of form.querySelectorAll(".swap")) {
    const fresh = page.getElementById(part.id);
    if (fresh) {
      part.replaceChildren(...fresh.childNodes);
    }
  }
}
