// Elements from values: text is always text, so nothing that was typed or fetched can become markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// One thing to mend, as the server writes it into the page.
export function finding(reason, seen, fix) {
  const line = element("p", { class: "finding" }, element("span", { class: "sign", "aria-hidden": "true" }, "!"), ` ${capitalised(reason)}`);
  if (seen) line.append(": ", element("code", {}, seen));
  line.append(".");
  if (fix) line.append(" ", element("span", { class: "fix" }, fix));
  return line;
}
