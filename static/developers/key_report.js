// The report on a key set, as the server's own page shows it.

import { element, finding } from "./dom.js";

function keyReport(key) {
  const facts = [`${key.kty} ${key.size}`.trim(), key.alg, key.use && `use ${key.use}`].filter(Boolean);
  const problems = key.problems.map((one) => finding(one.reason, one.seen, one.fix));
  return element(
    "article", { class: "key" },
    element("p", {}, element("strong", {}, "Key ", element("code", {}, key.kid || "without kid")), " ",
      element("span", { class: "person-facts" }, ...facts.map((fact) => element("span", {}, fact)))),
    ...(problems.length ? problems : [element("p", { class: "note" }, "It can verify your signatures.")]),
  );
}

export function showReport(place, report) {
  if (report.error) {
    place.replaceChildren(finding(report.reason, "", ""));
    return;
  }
  const parts = [
    element("h3", {}, report.is_healthy ? "Nothing to mend" : "There is something to mend"),
    ...report.findings.map((one) => finding(one.reason, one.seen, one.fix)),
    ...report.keys.map(keyReport),
  ];
  if (report.rotation) {
    const caching = element("code", {}, report.cache_control || "none");
    parts.push(element("p", { class: "note" }, element("strong", {}, "Changing keys: "), `${report.rotation} Cache-Control: `, caching, "."));
  }
  place.replaceChildren(...parts);
}
