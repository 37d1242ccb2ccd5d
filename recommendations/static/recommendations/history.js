// Charts over versions, one line for each series. What they show stands in the table below them too.

import { el, placeTip, svg } from "./dom.js";
import { scale } from "./scale.js";

const HEIGHT = 210;
const EDGE = { top: 12, right: 18, bottom: 26, left: 58 };
const LABEL_WIDTH = 64; // of a date below the axis, with room beside it

const script = document.getElementById("history");
const { charts, versions } = script ? JSON.parse(script.textContent) : { charts: [], versions: [] };
const page = document.getElementById("charts");
const tip = el("div", { class: "tip", hidden: "" });
const cursors = [];

for (const chart of charts) {
  const plot = page.querySelector(`[data-chart="${chart.name}"] .plot`);
  new ResizeObserver(() => draw(plot, chart)).observe(plot);
}
page?.append(tip);

function draw(plot, chart) {
  if (chart.series.every(({ key }) => stretches(key).length === 0)) {
    plot.replaceChildren(el("p", { class: "quality-hint" }, "Not recorded for any of these versions."));
    return;
  }
  const width = plot.clientWidth;
  if (width <= EDGE.left + EDGE.right) return; // not shown yet; it is drawn when it gets its size
  const x = placesAcross(width);
  const y = scale(chart, versions, HEIGHT - EDGE.bottom, EDGE.top);
  const cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  cursors[charts.indexOf(chart)] = { cursor, x };
  plot.replaceChildren(svg("svg", { width, height: HEIGHT, role: "img", "aria-label": `${chart.title} by version; the table below has the numbers` },
    ...grid(y, width), ...dates(x, width), cursor,
    ...chart.series.flatMap((series, number) => line(series, number, x, y)).reverse(),
    ...versions.map((version, n) => mark(version, chart.series[0], x(n), y)),
    ...columns(plot, x, width)));
}

/** Versions side by side, however far apart in time: what is compared is each with the one before. */
function placesAcross(width) {
  const room = width - EDGE.left - EDGE.right;
  return (n) => EDGE.left + (room * (n + 0.5)) / versions.length;
}

function grid(y, width) {
  return y.ticks.flatMap(({ value, text }) => [
    svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y.at(value), y2: y.at(value) }),
    svg("text", { class: "tick", x: EDGE.left - 8, y: y.at(value) + 4, "text-anchor": "end" }, text),
  ]);
}

function dates(x, width) {
  const every = Math.max(1, Math.ceil((versions.length * LABEL_WIDTH) / (width - EDGE.left - EDGE.right)));
  return versions.map((version, n) => (versions.length - 1 - n) % every ? null
    : svg("text", { class: "tick", x: x(n), y: HEIGHT - 6, "text-anchor": "middle" }, day(version.trained)));
}

const day = (trained) => new Date(`${trained.slice(0, 10)}T00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

function line(series, number, x, y) {
  return stretches(series.key).flatMap((stretch) => [
    stretch.length === 1 && svg("circle", { class: `line line-${number}`, cx: x(stretch[0]), cy: y.at(number_of(stretch[0], series.key)), r: 2 }),
    series.low && band(series, stretch, x, y),
    svg("polyline", { class: `line line-${number}`, points: stretch.map((n) => point(x(n), y.at(number_of(n, series.key)))).join(" ") }),
  ]);
}

function band(series, stretch, x, y) {
  const bounded = stretch.filter((n) => number_of(n, series.low) !== null);
  const edge = (rows, key) => rows.map((n) => point(x(n), y.at(number_of(n, key))));
  return svg("g", { class: "interval" },
    svg("polygon", { points: [...edge(bounded, series.high), ...edge([...bounded].reverse(), series.low)].join(" ") }),
    ...bounded.map((n) => svg("line", { x1: x(n), x2: x(n), y1: y.at(number_of(n, series.low)), y2: y.at(number_of(n, series.high)) })));
}

/** Runs of versions that have the number: a line leads over no version that has none. */
function stretches(key) {
  const runs = [[]];
  versions.forEach((_, n) => { if (number_of(n, key) === null) runs.push([]); else runs.at(-1).push(n); });
  return runs.filter((run) => run.length);
}

const number_of = (n, key) => versions[n].values[key];
const point = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;

function mark(version, series, x, y) {
  const value = version.values[series.key];
  if (value === null) return null;
  const shape = version.standing === "held_back" ? svg("path", { d: "M-4-4L4 4M4-4L-4 4" }) : svg("circle", { r: version.standing === "in_service" ? 5.5 : 3.5 });
  return svg("g", { class: `mark-drawn mark-${version.standing}`, transform: `translate(${point(x, y.at(value))})` }, shape);
}

/** What the pointer meets: a column for each version, which leads to its page. Keyboards have the table's links. */
function columns(plot, x, width) {
  const half = (width - EDGE.left - EDGE.right) / versions.length / 2;
  return versions.map((version, n) => svg("a", { href: version.url, tabindex: "-1", "data-version": version.version,
    pointermove: (event) => show(version, n, event), pointerleave: hide },
  svg("rect", { class: "column", x: x(n) - half, y: 0, width: 2 * half, height: HEIGHT })));
}

function show(version, n, event) {
  for (const { cursor, x } of cursors) {
    cursor.setAttribute("x1", x(n));
    cursor.setAttribute("x2", x(n));
    cursor.setAttribute("visibility", "visible");
  }
  tip.replaceChildren(
    el("strong", {}, version.version),
    el("p", {}, el("i", { class: `mark mark-${version.standing}` }), `${version.standing_label} · trained ${version.trained}`),
    el("dl", {}, ...Object.entries(version.says).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
  const frame = page.getBoundingClientRect();
  placeTip(tip, event.clientX - frame.left, event.clientY - frame.top);
}

function hide() {
  tip.hidden = true;
  for (const { cursor } of cursors) cursor.setAttribute("visibility", "hidden");
}
