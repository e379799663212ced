/*
 * A series as SVG, as a sentence and as a table. The sentence and the table say everything the drawing does.
 */

import { element, shape } from "./dom.js";

const DAY = 86_400_000;
const YEAR = 365.25 * DAY;
const MARGIN = { top: 30, right: 14, bottom: 30 };
const YEAR_STEPS = [1, 2, 5, 10, 20, 50];
const MONTH = new Intl.DateTimeFormat("en", { month: "short", year: "numeric", timeZone: "UTC" });
const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

/** Draw a series `width` pixels wide. */
export function draw(series, width) {
  const points = series.lines.flatMap((line) => line.points);
  const times = extent(points.map(({ at }) => at));
  const yTicks = valueTicks(extent(points.map(({ value }) => value)));
  const write = writer(series);
  const height = Math.round(Math.min(Math.max(width * 0.5, 230), 340));
  const bottom = height - MARGIN.bottom;
  const right = width - MARGIN.right;
  const left = 14 + 7.5 * Math.max(...yTicks.labels.map((label) => label.length));
  const x = scale(times, [left + 10, right - 6]);
  const y = scale([yTicks.values[0], yTicks.values.at(-1)], [bottom, MARGIN.top]);

  const svg = shape("svg", {
    class: "chart",
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `Line chart of ${series.name.toLowerCase()} over time`,
  });
  yTicks.values.forEach((value, index) => {
    svg.append(
      shape("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      shape("text", { class: "tick", x: left - 8, y: y(value) + 4, "text-anchor": "end" }, yTicks.labels[index]),
    );
  });
  for (const { at, label } of timeTicks(times, right - left)) {
    // The last label leans inwards instead of being cut off.
    const [edge, anchor] = x(at) > right - 30 ? [right, "end"] : [x(at), "middle"];
    svg.append(
      shape("line", { class: "tick-mark", x1: x(at), x2: x(at), y1: bottom, y2: bottom + 5 }),
      shape("text", { class: "tick", x: edge, y: height - 8, "text-anchor": anchor }, label),
    );
  }
  svg.append(
    shape("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    shape("text", { class: "unit", x: 2, y: 14 }, series.unit),
  );
  series.lines.forEach((line, index) => {
    const path = line.points.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    svg.append(shape("path", { class: `line line-${index}`, d: `M${path}` }));
    svg.append(...line.points.map(({ at, value }) => marker(index, x(at), y(value))));
  });
  readOut(svg, series, { x, top: MARGIN.top, bottom, right, width, write });
  return svg;
}

/** Return the key to the lines, or null when there is only one. */
export function legend(series) {
  if (series.lines.length < 2) {
    return null;
  }
  const items = series.lines.map((line, index) => {
    const sample = shape("svg", { viewBox: "0 0 28 12", class: "sample", "aria-hidden": "true" });
    sample.append(shape("path", { class: `line line-${index}`, d: "M1 6L27 6" }), marker(index, 14, 6));
    return element("li", {}, sample, line.name);
  });
  return element("ul", { class: "legend" }, ...items);
}

/** Say what the chart shows. */
export function describe(series) {
  const { moments } = rows(series);
  const write = writer(series);
  const first = moments[0].day;
  const last = moments.at(-1).day;
  if (moments.length === 1) {
    return `One measurement, on ${first}.`;
  }
  const ranges = series.lines.map(({ name, points }) => {
    const lowest = points.reduce((one, other) => (other.value < one.value ? other : one));
    const highest = points.reduce((one, other) => (other.value > one.value ? other : one));
    const range =
      lowest.value === highest.value
        ? `always ${write(lowest.value)}`
        : `lowest ${write(lowest.value)} (${lowest.day}), highest ${write(highest.value)} (${highest.day})`;
    return `${name}: ${range}, latest ${write(points.at(-1).value)}.`;
  });
  return [`${moments.length} measurements, ${first} to ${last}.`, ...ranges].join(" ");
}

/** Return every number of a series as a table, the newest first. */
export function table(series) {
  const { moments, names } = rows(series);
  const write = writer(series, { isBare: true });
  const head = ["Date", ...names.map((name) => (series.unit ? `${name} (${series.unit})` : name))];
  return element(
    "table",
    {},
    element("caption", {}, `${series.name}, newest first`),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element(
      "tbody",
      {},
      ...moments
        .toReversed()
        .map(({ day, values }) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, day),
            ...values.map((value) => element("td", {}, value === null ? "–" : write(value))),
          ),
        ),
    ),
  );
}

/** Return the latest values, written, and the day they were measured. */
export function latest(series) {
  const last = rows(series).moments.at(-1);
  const write = writer(series, { isBare: true });
  return { text: last.values.map((value) => (value === null ? "–" : write(value))).join(" / "), day: last.day };
}

/** Return a writer of values that gives all values of a series the same number of decimals. */
export function writer(series, { isBare = false } = {}) {
  const decimals = Math.max(
    ...series.lines.flatMap(({ points }) => points.map(({ value }) => (String(value).split(".")[1] ?? "").length)),
  );
  const suffix = isBare || !series.unit ? "" : ` ${series.unit}`;
  return (value) => value.toFixed(Math.min(decimals, 4)) + suffix;
}

/** Return one row per moment. Two values of one line at one moment make two rows: both are in the record. */
function rows(series) {
  const moments = [];
  series.lines.forEach(({ points }, index) => {
    for (const { at, day, value } of points) {
      let row = moments.find((one) => one.at === at && one.values[index] === null);
      if (!row) {
        row = { at, day, values: series.lines.map(() => null) };
        moments.push(row);
      }
      row.values[index] = value;
    }
  });
  return { moments: moments.sort((one, other) => one.at - other.at), names: series.lines.map(({ name }) => name) };
}

/** Let a pointer read values off the drawing; a keyboard has the table. */
function readOut(svg, series, { x, top, bottom, right, width, write }) {
  const { moments } = rows(series);
  const bare = writer(series, { isBare: true });
  const guide = shape("line", { class: "guide", y1: top, y2: bottom, visibility: "hidden" });
  const text = shape("text", { class: "read-out", x: right, y: 14, "text-anchor": "end" });
  svg.append(guide, text);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    const near = moments.reduce((one, other) => (Math.abs(x(other.at) - at) < Math.abs(x(one.at) - at) ? other : one));
    const values = near.values.filter((value) => value !== null);
    guide.setAttribute("x1", x(near.at));
    guide.setAttribute("x2", x(near.at));
    guide.setAttribute("visibility", "visible");
    text.textContent = `${near.day}: ${[...values.slice(0, -1).map(bare), write(values.at(-1))].join(" / ")}`;
  });
  svg.addEventListener("pointerleave", () => {
    guide.setAttribute("visibility", "hidden");
    text.textContent = "";
  });
}

// Lines differ in shape as well as in colour.
function marker(index, x, y) {
  return index % 2
    ? shape("rect", { class: `mark mark-${index}`, x: x - 3, y: y - 3, width: 6, height: 6 })
    : shape("circle", { class: `mark mark-${index}`, cx: x, cy: y, r: 3.5 });
}

const extent = (numbers) => [Math.min(...numbers), Math.max(...numbers)];

function scale([from, to], [start, end]) {
  // A single measurement has no extent; it stands in the middle.
  return (value) => (to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start));
}

/** Return round values that enclose all others. The axis need not begin at zero: small changes matter here. */
function valueTicks([lowest, highest]) {
  const spread = highest - lowest || Math.abs(highest) * 0.1 || 1;
  const rough = spread / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.floor(lowest / step) - (lowest === highest ? 1 : 0);
  const last = Math.ceil(highest / step) + (lowest === highest ? 1 : 0);
  const decimals = Math.max(0, -Math.floor(Math.log10(step)));
  const values = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { values, labels: values.map((value) => value.toFixed(decimals)) };
}

/** Return ticks for `pixels`: on New Year's days over the years, else on the first of months, else on both ends. */
function timeTicks([from, to], pixels) {
  const start = new Date(from).getUTCFullYear();
  const end = new Date(to).getUTCFullYear();
  if (to - from < 70 * DAY) {
    const ends = [from, to].map((at) => ({ at, label: DATE.format(at) }));
    return ends[0].label === ends[1].label ? ends.slice(0, 1) : ends;
  }
  const isInside = ({ at }) => at >= from && at <= to;
  if (to - from > 1.5 * YEAR) {
    const step = YEAR_STEPS.find((years) => (end - start) / years <= pixels / 50) ?? YEAR_STEPS.at(-1);
    return range(start, end + 1)
      .filter((year) => year % step === 0)
      .map((year) => ({ at: Date.UTC(year), label: String(year) }))
      .filter(isInside);
  }
  const months = range(start * 12, end * 12 + 12).map((month) => Date.UTC(Math.floor(month / 12), month % 12));
  const ticks = months.map((at) => ({ at, label: MONTH.format(at) })).filter(isInside);
  return ticks.filter((_, index) => index % Math.max(1, Math.ceil((ticks.length * 84) / pixels)) === 0);
}

const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);
