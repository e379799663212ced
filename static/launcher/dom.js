/*
 * Elements from text. Nothing in this app makes markup from strings, so whatever stands in a record stays text.
 */

/** Return an element with attributes and children; a string child becomes a text node. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

/** Return a description list of [term, value] pairs; a value is text or an element. */
export function facts(pairs, attributes = {}) {
  return element(
    "dl",
    attributes,
    ...pairs.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))),
  );
}

export const find = (id) => document.getElementById(id);

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
