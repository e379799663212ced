/*
 * Shows what the launcher has seen of a launch, while it goes on. The page has it all without this, once it is loaded.
 */

import { element, find } from "./dom.js";

const EVERY = 1500; // milliseconds
const PATIENCE = 45 * 60 * 1000;
const WHY = [["rule", "Rule"], ["reason", "Reason"], ["expected", "Expected"], ["seen", "Seen"], ["fix", "Fix"]];

const { url, page } = find("recorder").dataset;
const begun = Date.now();
let known = find("steps").children.length;

// The answer to the app stands in the address when it comes back into the frame: good once, so not to be loaded again.
if (location.search) {
  history.replaceState(null, "", page);
}

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok) {
        return say("This launch is no longer kept; what you see is the last of it.");
      }
      show(await answer.json());
    } catch {
      say("The server does not answer at the moment.");
    }
  }
  if (Date.now() - begun < PATIENCE) {
    setTimeout(look, EVERY);
  } else {
    say("Nothing new is fetched any more; load the page again to go on.");
  }
}

function show({ steps, report, is_full: isFull }) {
  if (steps.length === known) {
    return;
  }
  const fresh = steps.slice(known);
  known = steps.length;
  find("steps").append(...fresh.map(stepOf));
  find("steps").scrollTop = find("steps").scrollHeight;
  find("report").replaceChildren(...report.map(markOf));
  const refused = fresh.filter(({ is_refused: isRefused }) => isRefused);
  const last = (refused.at(-1) ?? fresh.at(-1));
  say(`${steps.length} requests${isFull ? ", and more that are not kept" : ""}. ${last.part}: ${last.outcome}.`);
}

function stepOf(step) {
  const reasons = WHY.filter(([name]) => step[name]).map(([name, title]) => [title, step[name]]);
  return element(
    "li",
    { class: step.is_refused ? "step refused" : "step" },
    element("p", { class: "step-line" }, element("span", { class: "at" }, `${step.after} s`), " ",
      element("strong", {}, step.part), " ", element("code", {}, step.what)),
    element("p", { class: "step-end" }, `${step.status} ${step.outcome} `,
      element("span", { class: "took" }, `${step.took} ms`),
      ...(step.fault ? [" ", element("span", { class: "mark caution" }, step.fault)] : [])),
    ...(step.rule ? [why([...reasons, ["Trace", step.trace_id]])] : []),
  );
}

function why(pairs) {
  const rows = pairs.map(([title, text]) => element("div", {}, element("dt", {}, title), element("dd", {}, text)));
  return element("dl", { class: "why" }, ...rows);
}

const markOf = ({ verdict, title, says, fix }) =>
  element("li", { class: verdict }, element("strong", {}, title), " ", element("span", {}, says),
    ...(fix ? [" ", element("span", { class: "fix" }, fix)] : []));

const say = (text) => {
  find("news").textContent = text;
};

look();
