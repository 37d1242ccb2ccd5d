// The map of tracks: loads it, and lets the operator zoom, pan, search and filter it by tag.

import { el, placeTip } from "./dom.js";
import { MapCanvas } from "./map_canvas.js";

const page = document.getElementById("map");
const canvas = page.querySelector("canvas");
const tip = page.querySelector(".tip");
const method = document.getElementById("map-method");
const searchResult = document.getElementById("map-found");
const RETRY_MS = 2000; // while another request computes the layout

loadMap().then(show, (error) => { method.textContent = `The map could not be loaded: ${error.message}`; })
  .finally(() => page.removeAttribute("aria-busy"));

async function loadMap() {
  for (;;) {
    const response = await fetch(page.dataset.url, { headers: { Accept: "application/json" } });
    if (response.status === 200) return response.json();
    if (response.status !== 202) throw new Error((await response.json().catch(() => ({}))).error ?? `the server answered ${response.status}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function show({ method: name, explained_variance: explainedVariance, tags, tracks }) {
  const map = new MapCanvas(canvas, tracks, tags.map(([tag]) => tag));
  method.textContent = describeMethod(name, explainedVariance, tracks.length);
  page.querySelector(".map-tags").append(...legend(map, tags, tracks));
  handlePointer(map);
  search(map, tracks);
}

function describeMethod(name, explainedVariance, count) {
  const tracks = `The ${count.toLocaleString("en")} most popular tracks that have factors in this version`;
  if (name === "t-SNE") return `${tracks}, laid out by t-SNE: neighbours are similar. Directions, and distances between groups, have no meaning.`;
  return `${tracks}, laid out by the first two principal components, which explain ${Math.round(100 * explainedVariance)} % of the variance: tracks far apart differ, but neighbours need not be similar.`;
}

function legend(map, tags, tracks) {
  const rest = tracks.length - tags.reduce((sum, [, count]) => sum + count, 0);
  const entries = [...tags.map(([tag, count], n) => [tag, count, n]), ["other, or none", rest, null]];
  return entries.filter(([, count]) => count).map(([tag, count, n]) => el("li", {},
    el("button", { type: "button", "aria-pressed": "false", click: ({ currentTarget }) => toggleTag(map, currentTarget, n) },
      el("i", { class: `dot dot-${n ?? "rest"}` }), el("span", {}, tag), el("small", {}, count.toLocaleString("en")))));
}

/** Show only the tracks of one tag, or all again. */
function toggleTag(map, button, tag) {
  const selected = button.getAttribute("aria-pressed") !== "true";
  for (const other of page.querySelectorAll(".map-tags button")) other.setAttribute("aria-pressed", String(selected && other === button));
  map.showTag(selected ? tag : undefined);
}

function search(map, tracks) {
  document.getElementById("map-find").addEventListener("input", ({ target }) => {
    const words = target.value.trim().toLowerCase();
    const matches = words ? tracks.filter(({ title, artist }) => `${title} ${artist}`.toLowerCase().includes(words)) : [];
    searchResult.textContent = words ? `${matches.length.toLocaleString("en")} found` : "";
    map.mark(matches);
  });
}

function handlePointer(map) {
  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => { dragged = event; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointercancel", () => { dragged = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; map.highlight(null); });
  canvas.addEventListener("pointermove", (event) => {
    if (dragged) {
      map.move(event.clientX - dragged.clientX, event.clientY - dragged.clientY);
      dragged = event;
    } else hover(map, event);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    map.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    hover(map, event);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => { if (handleKey(map, event.key)) event.preventDefault(); });
  for (const button of page.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => (Number(button.dataset.zoom) ? map.zoom(Number(button.dataset.zoom)) : map.reset()));
  }
}

function handleKey(map, key) {
  const action = {
    ArrowLeft: () => map.move(40, 0), ArrowRight: () => map.move(-40, 0),
    ArrowUp: () => map.move(0, 40), ArrowDown: () => map.move(0, -40),
    "+": () => map.zoom(1.5), "-": () => map.zoom(1 / 1.5), 0: () => map.reset(),
  }[key];
  action?.();
  return Boolean(action);
}

function hover(map, event) {
  const track = map.nearest(event.offsetX, event.offsetY);
  map.highlight(track);
  if (!track) { tip.hidden = true; return; }
  const listeners = `${track.listeners.toLocaleString("en")} listener${track.listeners === 1 ? "" : "s"}`;
  tip.replaceChildren(el("strong", { dir: "auto" }, `${track.title} – ${track.artist}`),
    el("p", {}, [track.tag, listeners].filter(Boolean).join(" · ")));
  placeTip(tip, event.offsetX + canvas.offsetLeft, event.offsetY + canvas.offsetTop);
}
