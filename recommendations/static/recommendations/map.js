// The map of tracks: asks for it, and lets one look around in it.

import { el, placeTip } from "./dom.js";
import { Drawing } from "./map_canvas.js";

const page = document.getElementById("map");
const canvas = page.querySelector("canvas");
const tip = page.querySelector(".tip");
const method = document.getElementById("map-method");
const found = document.getElementById("map-found");
const WAIT = 2000; // milliseconds, where another request is laying it out already

ask().then(open, (error) => { method.textContent = `The map could not be made: ${error.message}`; })
  .finally(() => page.removeAttribute("aria-busy"));

async function ask() {
  for (;;) {
    const response = await fetch(page.dataset.url, { headers: { Accept: "application/json" } });
    if (response.status === 200) return response.json();
    if (response.status !== 202) throw new Error((await response.json().catch(() => ({}))).nothing ?? `the answer was ${response.status}`);
    await new Promise((later) => setTimeout(later, WAIT));
  }
}

function open({ method: name, kept, tags, tracks }) {
  const drawing = new Drawing(canvas, tracks, tags.map(([tag]) => tag));
  method.textContent = explained(name, kept, tracks.length);
  page.querySelector(".map-tags").append(...legend(drawing, tags, tracks));
  lookAround(drawing);
  search(drawing, tracks);
}

function explained(name, kept, count) {
  const tracks = `The ${count.toLocaleString("en")} most popular tracks that this version has learnt something about`;
  if (name === "t-SNE") return `${tracks}, laid out by t-SNE: neighbours are alike to it. Directions, and distances between far groups, mean nothing.`;
  return `${tracks}, laid out by the first two principal components, which hold ${Math.round(100 * kept)} % of what tells tracks apart: what lies far apart is unlike; what lies together need not be alike.`;
}

function legend(drawing, tags, tracks) {
  const rest = tracks.length - tags.reduce((sum, [, count]) => sum + count, 0);
  const entries = [...tags.map(([tag, count], n) => [tag, count, n]), ["other, or none", rest, null]];
  return entries.filter(([, count]) => count).map(([tag, count, n]) => el("li", {},
    el("button", { type: "button", "aria-pressed": "false", click: ({ currentTarget }) => single(drawing, currentTarget, n) },
      el("i", { class: `dot dot-${n ?? "rest"}` }), el("span", {}, tag), el("small", {}, count.toLocaleString("en")))));
}

/** Shows one tag alone, or all again. */
function single(drawing, button, tag) {
  const alone = button.getAttribute("aria-pressed") !== "true";
  for (const other of page.querySelectorAll(".map-tags button")) other.setAttribute("aria-pressed", String(alone && other === button));
  drawing.only(alone ? tag : undefined);
}

function search(drawing, tracks) {
  document.getElementById("map-find").addEventListener("input", ({ target }) => {
    const words = target.value.trim().toLowerCase();
    const matches = words ? tracks.filter(({ title, artist }) => `${title} ${artist}`.toLowerCase().includes(words)) : [];
    found.textContent = words ? `${matches.length.toLocaleString("en")} found` : "";
    drawing.circle(matches);
  });
}

function lookAround(drawing) {
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = event; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; drawing.point(null); });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      drawing.move(event.clientX - held.clientX, event.clientY - held.clientY);
      held = event;
    } else hover(drawing, event);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    drawing.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    hover(drawing, event);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => { if (byKey(drawing, event.key)) event.preventDefault(); });
  for (const button of page.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => (Number(button.dataset.zoom) ? drawing.zoom(Number(button.dataset.zoom)) : drawing.whole()));
  }
}

function byKey(drawing, key) {
  const does = {
    ArrowLeft: () => drawing.move(40, 0), ArrowRight: () => drawing.move(-40, 0),
    ArrowUp: () => drawing.move(0, 40), ArrowDown: () => drawing.move(0, -40),
    "+": () => drawing.zoom(1.5), "-": () => drawing.zoom(1 / 1.5), 0: () => drawing.whole(),
  }[key];
  does?.();
  return Boolean(does);
}

function hover(drawing, event) {
  const track = drawing.nearest(event.offsetX, event.offsetY);
  drawing.point(track);
  if (!track) { tip.hidden = true; return; }
  const listeners = `${track.listeners.toLocaleString("en")} listener${track.listeners === 1 ? "" : "s"}`;
  tip.replaceChildren(el("strong", { dir: "auto" }, `${track.title} – ${track.artist}`),
    el("p", {}, [track.tag, listeners].filter(Boolean).join(" · ")));
  placeTip(tip, event.offsetX + canvas.offsetLeft, event.offsetY + canvas.offsetTop);
}
